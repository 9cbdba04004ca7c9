"""The words the grammar knows, by class, and what each word of kinship means."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from scrm.identity.statements.values import Relation

#: Class -> words. What stands in none is `W`.
_CLASSES: Mapping[str, str] = {
    "I": "我 俺 本人 咱 我家 我们 我们家 咱家 咱们 俺家 咱们家",
    "YOU": "你 您 你们 你家 您家 你们家",
    "HE": "他 她 ta TA 人家",
    "BE": "是 系 就是 才是 也是",
    "THIS": "这 那 这个 那个 这位 那位 这里 这边 此",
    "DE": "的 哒 滴 之",
    "BA": "把 将",
    "KID": "孩子 小孩 娃 娃娃 宝宝 宝贝 学生 小朋友 学员 小孩子 孩儿 小家伙 同学 崽 这孩子 俩娃",
    "FATHER": "爸爸 爸 父亲 老爸 爹 老爹 粑粑 爸比 爹地",
    "MOTHER": "妈妈 妈 母亲 老妈 娘 麻麻 妈咪 妈眯",
    "GRAND": "爷爷 奶奶 姥姥 姥爷 外公 外婆 爷 姥",
    "AUNT": (
        "舅舅 舅妈 姑姑 姑妈 姑父 姨妈 姨父 小姨 大姨 叔叔 伯伯 伯父 伯母 婶婶 大伯 姑丈 干妈 干爸"
        " 嫂子 公公 婆婆 岳父 岳母 丈母娘 小姑 小舅 二姨 三姨 表姐 表哥 表弟 表妹 堂姐 堂哥"
    ),
    "SIBLING": "哥哥 姐姐 弟弟 妹妹 哥 姐 弟 妹 亲姐 亲哥 亲妹 亲弟 大哥 大姐",
    "GUARDIAN": "家长 监护人",
    "HELPER": "保姆 司机 助理 秘书 育儿嫂 家政",
    "SPOUSE": "老公 老婆 丈夫 妻子 先生 太太 爱人 媳妇 媳妇儿 另一半 内人 夫人 家属 对象 老伴",
    "JUNIOR": "儿子 女儿 闺女 丫头 大儿子 小儿子 大女儿 小女儿 二女儿 二儿子 女娃 男娃 千金",
    "GRANDKID": "孙子 孙女 外孙 外孙女 孙儿 小孙子 小孙女 大孙子",
    "NEPHEW": "侄子 侄女 外甥 外甥女",
    "GRADE": (
        "一年级 二年级 三年级 四年级 五年级 六年级 初一 初二 初三 高一 高二 高三 大班 中班"
        " 小班 一班 二班 三班"
        " 四班 五班 六班 七年级 八年级 九年级"
    ),
    "FRIEND": "朋友 闺蜜 同事 邻居 同学家 老同学 好友 熟人 亲戚 客户 哥们 姐妹 宝妈",
    "REFER": "介绍 推荐 引荐",
    "HELP": "帮 替 代 帮忙 为 代替",
    "GIVE": "给",
    "INQUIRE": "问 咨询 了解 报名 报 打听 看看 预约 约 问问 问一下 报班 报课 看课 找课 约课",
    "ADD": "加 添加 联系 打 打给 拨 找 加一下 加下 联系一下 联系下 通过 call 加个",
    "SEND": "推 推给 发 发给 转给 转发给",
    "CONTACT": "微信 电话 手机 手机号 号码 电话号码 联系方式 微信号 名片 号 手机号码 电话号 v vx wx",
    "CALLED": "叫 名叫 叫做 名字叫 姓名 名字是 名字 大名 大名叫 小名叫 小名",
    "COLON": ": ：",
    "LEAD": (
        "嗯 嗯嗯 好的 好 好滴 老师 您好 你好 哈喽 hello hi 其实 对 是的 哦 亲 请 麻烦 麻烦您 麻烦你"
        " 对了 哎 噢 在吗 老师好 嗨 早上好 下午好 晚上好 不好意思 行 补充 ok OK 可以"
    ),
    "ADV": (
        "就 也 才 都 真的 现在 还 刚 刚刚 刚才 已经 会 今天 等下 待会 待会儿 等会 等会儿 稍后"
        " 马上 一下 下 直接 再"
    ),
    "PARTICLE": "呀 啊 哈 哦 哟 噢 啦 了 呢 嘛 喔 诶 哒 嘻嘻 哈哈 谢谢 哈哈哈",
    "SOFT": "吧 就行 就好 即可 就可以 也行 也可以",
    "WANT": "想 要 来 过来 打算 请问 看到 有点 找您 找你 准备 负责",
    "NEG": (
        "不 不是 没 没有 别 并非 非 未 无 不要 不用 不能 不会 又不是 可不是 哪是 哪里是"
        " 并不是 不算 莫 勿 而不是"
    ),
    "ASK": (
        "吗 么 什么 谁 哪 哪个 哪位 怎么 几 多少 是不是 有没有 可不可以 能不能 要不要 吗? 嘛? 难道 何"
        " 是否 为什么 咋 啥 能否"
    ),
    "IF": (
        "如果 要是 假如 假设 万一 比如 例如 譬如 好像 可能 也许 大概 以为 据说 听说 应该 假装 冒充 倘若"
        " 若是 若 的话 即使 就算 哪怕 除非 想象 梦见 希望 似乎 仿佛 像 好比 等于 相当于 幸亏 当年 以前"
        " 曾经 想当 要当 估计 猜 觉得 怀疑 看起来 当成 算是 万一是 想做 前任 原来是 恨不得 未来 将来 演"
    ),
    "SAY": (
        "说 讲 问我 喊 告诉 说道 说过 写着 称 自称 声称 叫我 回 道 歌 歌词 小说 剧 电影 电视剧 备注 群里"
        " 台词 文章 书里 视频里"
    ),
    "EX": "前夫 前妻 前男友 前女友 前任 未婚夫 未婚妻 男朋友 女朋友 男友 女友",
    "SWEAR": "他妈的 你妈 妈的 尼玛 妈呀 我的妈呀 我妈呀 天哪 大爷的 你大爷 他大爷 妈蛋 我去 老娘 你妹",
}
WORDS: Mapping[str, str] = MappingProxyType(
    {word: cls for cls, words in _CLASSES.items() for word in words.split()}
)
#: Longest word, for cutting.
LONGEST = max(map(len, WORDS))

#: Class of kin of a child -> what its bearer is to the child.
OF_CHILD: Mapping[str, Relation] = MappingProxyType(
    {
        "FATHER": "parent",
        "MOTHER": "parent",
        "GRAND": "grandparent",
        "AUNT": "other",
        "SIBLING": "sibling",
        "GUARDIAN": "guardian",
        "HELPER": "helper",
    }
)
#: Class of what somebody is to me -> what I am to them.
OF_ME: Mapping[str, Relation] = MappingProxyType(
    {
        "FATHER": "child",
        "MOTHER": "child",
        "GRAND": "grandchild",
        "AUNT": "other",
        "SIBLING": "sibling",
        "HELPER": "helper",
        "SPOUSE": "spouse",
        "JUNIOR": "parent",
        "GRANDKID": "grandparent",
        "NEPHEW": "other",
        "KID": "guardian",
    }
)
#: No child is called so, though it stands where a name would.
_PLAIN = frozenset(
    "全职 新手 单亲 职场 二胎 三胎 二孩 三孩 宝妈 上海 北京 准 普通 小学 初中 高中 幼儿园 高三 初三 高一"
    " 初一 一年级 二年级 三年级 四年级 五年级 六年级 大班 中班 小班 班级 班里 同班 隔壁"
    " 邻居 别人 人家 新生 老"
    " 后 干 奶 虎 辣 星 创业 军人 职业 一个 一位 一名 两个 三个 两 三 二 大家 自己 你们 咱们 亲 亲生 新"
    " 大 小 代 各位 所有 本班 学校 老师 王老师 男 女 男生 女生 男孩 女孩 他们 她们 伟大 可怜 超级 焦虑 佛系"
    " 暴躁 好 坏 双胞胎 龙凤胎 客服 校长 我 你 他 她 顾客 用户 朋友 同学 同事 家里 家 外地"
    " 农村 城里 海淀 顺义"
    " 鸡娃 这样 那样 这种 那种 真正 合格 称职 负责 严格 二宝妈 年轻 老年 高龄 陪读 爱心 热心 志愿者 某 某某"
    " 慢慢 常常 刚刚 天天 好好 看看 试试 谢谢 哈哈 呵呵 嘻嘻 偷偷 悄悄 轻轻 多多 太太 往往 渐渐 默默 大大"
    " 星星 宝宝 贝贝们 妹妹 弟弟 哥哥 姐姐 爸爸 妈妈 爷爷 奶奶 舅舅 姑姑 叔叔 娃娃 人人 个个 每每 样样"
    " 老公 老婆 先生 女士 小姐 小孩 小区 小时 小组 小样 大人 大叔 大妈 大家 大神 阿姨 老板 老人 小白 小王"
    " 小李 小张 小刘 小陈 总".split()
)
NO_NAMES = _PLAIN | frozenset(
    "美丽 阳光 平安 健康 智慧 文明 文静 大海 明星 清华 北大 王子 公主 温柔 快乐 幸福 天使"
    " 善良 勇敢 优秀 诚信 可爱 开心 乐观 自信 活泼 聪明 自由 浪漫 优雅 美好 和平 和谐 安静"
    " 安全 光明 希望 梦想 未来 春天 夏天 秋天 冬天 太阳 月亮 大山 大树 小草 小鸟 森林 海洋"
    " 江南 江苏 江西 河南 河北 海南 湖南 山东 山西 安徽 云南 天津 重庆 南京 杭州 苏州 成都"
    " 武汉 广州 深圳 西安 长沙 香港 澳门 台湾 东北 金牌 银牌 文艺 艺术 音乐 书画 体育 国学"
    " 英语 语文 数学 物理 化学 钢琴 舞蹈 编程 奥数 围棋 书法 美术 可乐 奇妙 亲爱 贤良 善美"
    " 正义 仁义 智信 荣华 富贵 吉祥 如意 国庆 建军 元旦 中秋 端午 大陆 大小 大众 大爱 大美"
    " 小美 小康 小雨 小雪 小满".split()
)
COMPOUND = frozenset("欧阳 上官 司马 诸葛 慕容 令狐 东方 皇甫 尉迟 长孙 公孙 司徒 端木 夏侯".split())
SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢"
    "姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常汤"
    "温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟申欧耿关兰焦俞左柳甘祝包宁尚符舒阮纪梅童凌毕单裴霍涂成苗"
    "谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁房屈饶解牟艾尤时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜"
)
#: Characters given names are made of: a word of the dictionary made of them alone may be a child's name.
GIVEN = frozenset(
    "子梓涵萱轩宇浩然欣怡诗雨桐一诺可俊杰思远宇航佳琪明轩嘉懿天佑泽若曦依晨悦糖朵乐果豆米芽甜萌苗安宁睿"
    "博文瑞霖辰皓熙妍婷琳雪梦瑶菲雅静涛磊鑫鹏飞龙凤霞芳娜丽艳娟敏慧晓旭阳光昊翔凯哲瀚恒毅志强伟勇军建国平"
    "彤彦颖莹璐露倩茜薇蕾兰竹菊梅莲荷蓉蓓贝琦璇玥玲珑珊瑾瑜琪钰铭锦钧钦淇淳清源沐沛泓洋海涵润泉汐汶江河"
    "心念慈恩惠忆恬愉悠言语书墨画诗词歌舒予亦奕艺芸芷苒茉荣华景晗晴昕昱映星月云霄震霆雷风岚山峰峻崇岩石"
    "城培堃坤楠林森松柏枫桦槿栩楷模桓正义仁礼智信德才贤良善美真纯洁元亨利贞吉祥瑞福禄寿喜康健民生伦尧舜禹"
    "小大二宝多米朗朗跃跳球球圆点布丁豆包奇妙麦兜卡诺亚索娅妮莉露丝杰森悠"
)
