"""The turns of speech that decide whether an offer stands: what denies, hedges, asks, ends or hands it on."""

from __future__ import annotations

import re

#: A denial reaches so many characters.
REACH = 12
TURNS = re.compile("直接|而是|但|只要|只需|只收|只能|改成|按|最多|最低|就(?!是不)")
#: These turn a denial into an offer only when the denied thing has been named already.
TURNS_AFTER = re.compile("是|打|送|给|能|可以|减|算|要|有|搭|便宜|优惠")
LINKS = re.compile(r"[、和或跟与及或者还是\s]*")
#: 再多就不行了 denies more than was offered, not the offer.
BEYOND = re.compile(
    "少|再|多|更|低|高|其他|别|下|过了|明|以后|之后|后面|否则|不然|"
    "要不|错过|晚|超过|之外|剩|原|平时|后天|后期"
)
PLAIN_END = frozenset("没有 没 不能 不可以 不给 不做 不打 不送 没得 不是".split())
OVER = frozenset(
    "结束了 已经结束 已结束 截止了 过期 过期了 抢完 抢完了 抢光 送光 "
    "送光了 早送光了 送完了 满了 卖了 卖完 卖完了 卖掉 用完 用完了 "
    "没赶上 已过 早就没了"
    " 已下架 已满 已经满 名额满 赶不上了".split()
)
#: Asking somebody is still to be done, so what it is about is not given yet, a clause away too.
ASKING = frozenset(
    "申请 请示 问问 问下 问一下 得问 要问 需要问 等通知 等消息 等我消息 "
    "不一定 不确定 说不准 说不好 不好说 看情况 没定 还没定 未定 走流程 "
    "走审批 在审批"
    " 审批中 报批 要批 得批 打报告 不保准 没把握 试试 试一下 尽量 争取 "
    "未必 待定 具体看 再确认 确认一下 确认下 我问 帮您问 汇报 商量 "
    "才知道 不敢打包票"
    " 想办法 想想办法 得看 看看能不能 看能不能 去谈 谈谈 谈谈看 谈一谈 "
    "找领导 找经理 跟领导说 等批 还在批 等总部 等领导 等公司 等财务 "
    "得总部 得公司 得领导"
    " 保不准 暂定 报备 要跟 得跟 帮您谈 再谈 跟业主谈 跟房东谈 得看看 "
    "我得看 核实 沟通一下 反馈一下 看看有没有 磨一磨 去磨 没把握 听说 "
    "据说 得问 还没批 还没同意 还没通过 还没下来".split()
)
#: 给您申请的七五折已经批了: what was asked for has been given.
GRANTED = frozenset(
    "批了 批下来 批下来了 批准 批准了 同意了 申请下来了 申请到了 下来了 谈下来了 通过了 敲定 定了".split()
)
#: 尽量给您争取到九折 has got nothing yet; 努力了好久 has.
EFFORTS = frozenset("尽量 尽力 努力 看能不能 看看能不能 想办法 想想办法 希望能 希望可以 试试 试着".split())
DONE = re.compile("[过好完]?了|过|好久|半天")
WISHES_AFTER = frozenset("可惜 就好了 没赶上 来晚了 晚了一步 错过了".split())
NOW = re.compile("现在|这次|这回|今年|本次|目前|今天|还是")
#: 再等就 99 折了: what it costs who comes late.
LATE = re.compile(
    "(?:再等|再晚|晚了|过期|逾期|错过|拖到)\\S{0,5}(?:就|得|要|只能|只有)(?:是|剩|变|要|涨到?)*$"
)
GIVEN_TO = re.compile("[^,是]{0,3}(?:是|只|只是)(?:给|针对|面向)(?!您)\\S{1,10}的?")
#: 8 折是去年, 送车位的活动是去年的.
WAS = re.compile("(?:的?(?:活动|政策|优惠|福利|价格?|折扣|方案|力度|事))?(?:那|都|也)*是")
DECIDES = re.compile(
    "定|订|报|签|来|付|考虑|接受|办|刷|转|要|合适|划算|方便|安排|拿|"
    "交|买|行|过来|带走|意思|有空|诚意|心动|能|满意|抓紧|怎"
)
CLOSED = re.compile("[吗么嘛][呀啊哈]?$")
