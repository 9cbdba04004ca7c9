"""The people of the simulated platforms: who they are, what their phones show, and how they chat."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

Mood = Literal["eager", "hesitant", "quiet", "returning"]
State = Literal["sending", "sent", "failed", "recalled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """One member of the simulated company."""

    userid: str
    name: str
    #: Whether customers meet them.
    sells: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """One customer: the same unionid on every channel, another id per app and per company."""

    number: int
    name: str
    unionid: str
    kid: str
    grade: str
    subject: str
    mood: Mood
    #: Names of the channels this customer uses.
    channels: frozenset[str]
    #: What is on this customer's mind, most pressing first; keys of `LINES`.
    agenda: tuple[str, ...]

    @property
    def letter(self) -> str:
        """Stands in for an avatar."""
        return self.name[0]

    @property
    def mobile(self) -> str:
        return f"1380013{self.number:04d}"

    def openid(self, app_id: str) -> str:
        return "o" + _digest(self.unionid, app_id)[:27]

    def external_userid(self, corp_id: str) -> str:
        return "wm" + _digest(self.unionid, corp_id)[:30]

    def words(self, line: str) -> str:
        """A line of the script with this family's names in it."""
        return line.format(kid=self.kid, grade=self.grade, subject=self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """One message on a customer's phone."""

    id: str
    slug: str
    mine: bool
    text: str
    at: datetime
    kind: str = "text"
    #: Userid of the member who wrote it; "" for the customer and for the company's API.
    by: str = ""
    state: State = "sent"


class Outlet(Protocol):
    """A running simulator, seen from the customers' side. The answers say: the callback was acked."""

    channel: str

    async def say(self, persona: Persona, bubble: Bubble) -> bool: ...

    async def meet(self, persona: Persona, staff: Staff) -> bool:
        """First contact: follow, open the conversation, add as friend - whatever the channel has."""
        ...

    async def leave(self, persona: Persona, staff: Staff) -> bool:
        """The customer turns away: unfollow, end, delete the friend."""
        ...


STAFF = (
    Staff(userid="LinXiaoYan", name="林晓燕"),
    Staff(userid="ZhouHao", name="周浩"),
    Staff(userid="ChenSiQi", name="陈思琪"),
    Staff(userid="ZhaoMin", name="赵敏"),
)


class World:
    """The shared people, their phones and the clock. Everything random comes from `rng`."""

    def __init__(
        self,
        rng: random.Random,
        *,
        people: int = 24,
        staff: Sequence[Staff] = STAFF,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rng = rng
        self.staff = tuple(staff)
        self.personas = cast(rng, people)
        self.outlets: dict[str, Outlet] = {}
        #: Unionids of customers who refuse messages from the company.
        self.refusing: set[str] = set()
        self._clock = clock
        self._ahead_s = 0.0
        self._serial = 0
        self._phones: dict[int, list[Bubble]] = defaultdict(list)
        self._arrived: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._turns: dict[tuple[int, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ids: dict[tuple[str, str], dict[str, Persona]] = {}

    def time(self) -> float:
        """Seconds since the epoch on the platforms' clock."""
        return self._clock() + self._ahead_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Let time pass on the platforms (not on our side)."""
        self._ahead_s += seconds

    def serial(self) -> int:
        """A new 63-bit number, rising with time, so that a restarted demo repeats none."""
        self._serial = max(self._serial + 1, int(self.time() * 1000) << 20)
        return self._serial

    def secret(self) -> str:
        """A new one-time word: access token, code, ticket."""
        return f"{self.rng.getrandbits(128):032x}{self.serial():x}"

    def by_openid(self, app_id: str, openid: str) -> Persona | None:
        return self._known("app", app_id, Persona.openid).get(openid)

    def by_external(self, corp_id: str, external_userid: str) -> Persona | None:
        return self._known("corp", corp_id, Persona.external_userid).get(external_userid)

    def _known(self, kind: str, scope: str, address: Callable[[Persona, str], str]) -> dict[str, Persona]:
        if (kind, scope) not in self._ids:
            self._ids[kind, scope] = {address(person, scope): person for person in self.personas}
        return self._ids[kind, scope]

    def member(self, userid: str) -> Staff | None:
        return next((member for member in self.staff if member.userid == userid), None)

    async def say(self, persona: Persona, slug: str, text: str, *, kind: str = "text") -> Bubble:
        """The customer writes; the bubble ends `sent` when our callback answered, else `failed`.

        One customer's messages on one channel leave one after another, as from a real phone.
        """
        async with self._turns[persona.number, slug]:
            bubble = Bubble(
                id=str(self.serial()),
                slug=slug,
                mine=True,
                text=text,
                at=self.now(),
                kind=kind,
                state="sending",
            )
            self._phones[persona.number].append(bubble)
            acked = await self.outlets[slug].say(persona, bubble)
            return self.mark(persona, bubble.id, "sent" if acked else "failed")

    def deliver(self, persona: Persona, bubble: Bubble) -> None:
        """A message from the company (or, with kind `system`, a notice of the vendor) reaches the phone."""
        self._phones[persona.number].append(bubble)
        self._arrived[persona.number].set()

    def mark(self, persona: Persona, bubble_id: str, state: State) -> Bubble:
        """Change what the phone shows about one message, e.g. that it was taken back."""
        bubbles = self._phones[persona.number]
        place = next(i for i in reversed(range(len(bubbles))) if bubbles[i].id == bubble_id)
        bubbles[place] = replace(bubbles[place], state=state)
        return bubbles[place]

    def phone(self, persona: Persona, slug: str = "") -> tuple[Bubble, ...]:
        """Everything on the phone in order, on one channel or on all."""
        return tuple(bubble for bubble in self._phones[persona.number] if slug in ("", bubble.slug))

    def received(self, persona: Persona) -> tuple[Bubble, ...]:
        """What the company sent, in order of arrival; the vendor's own notices are not the company's."""
        return tuple(b for b in self._phones[persona.number] if not b.mine and b.kind != "system")

    def delivered(self, persona: Persona, text: str) -> int:
        """How often exactly this text reached the phone; a push must count once."""
        return sum(bubble.text == text for bubble in self.received(persona))

    async def arrival(self, persona: Persona, seen: int = 0) -> Bubble:
        """Wait for the message after the first `seen` received ones."""
        while len(received := self.received(persona)) <= seen:
            self._arrived[persona.number].clear()
            await self._arrived[persona.number].wait()
        return received[seen]


LINES: dict[str, tuple[str, ...]] = {
    "咨询": (
        "你好，想了解一下{grade}的{subject}课",
        "在吗？刚看到你们的文章，想给孩子报个{subject}班",
        "老师好，{kid}今年{grade}，{subject}有点跟不上，有合适的班吗？",
    ),
    "价格": ("这个价格太贵了，能便宜点吗？", "一节课多少钱呀？", "一学期下来要好几千，家里两个孩子有点吃力"),
    "试听": ("可以先试听一节吗？", "试听课要收费吗？{kid}想先去感受一下", "周末有没有试听？我带{kid}过去"),
    "坚持": (
        "就怕孩子坚持不了，之前报的画画上了两个月就不去了",
        "{kid}三分钟热度，担心学几节就不想上了",
    ),
    "退费": ("要是上了几节不合适，可以退费吗？", "剩下的课时能退吗？怎么个退法？"),
    "时间": ("我们只有周六下午有空，有这个时间的班吗？", "平时放学都五点半了，晚上的课几点开始？"),
    "老师": ("上课的老师是全职的吗？教了多少年？", "能不能安排有经验一点的老师？"),
    "对比": (
        "我也在看另外一家，他们一节课便宜三十块，你们好在哪里？",
        "楼下那家是六个人的小班，你们一个班多少人？",
    ),
    "效果": ("学一个学期大概能看到什么效果？", "{kid}上次{subject}才考了七十多分，跟着学能提上来吗？"),
    "优惠": ("现在报名有什么优惠吗？", "两个孩子一起报有没有折扣？", "朋友圈看到的那个活动还能参加吗？"),
    "考虑": ("我再考虑一下吧，回去跟家里人商量商量", "先不急，等期中考完再说"),
    "转介绍": ("同事家孩子也想学，介绍过来有什么说法吗？", "我把你推给我闺蜜了，她家孩子也{grade}"),
    "续费": ("{kid}的课快上完了，续费还是原来的价格吗？", "下学期还想继续跟这个老师，现在续费来得及吗？"),
    "请假": ("这周{kid}发烧了，周六的课能请假吗？", "上周请假落下的那节课怎么补？"),
    "线上": ("有网课吗？住得有点远，接送不太方便", "线上和线下的老师是同一个吗？"),
    "表现": ("老师，{kid}最近上课表现怎么样？", "昨天的作业{kid}说不会做，能帮忙讲讲吗？"),
}

#: When the rep's words contain one of these, the customer may take it up with one of those.
ANSWERS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("试听", "体验课"), ("好的，那帮我约一节吧", "试听大概多久？要带什么吗？", "周六上午可以吗？")),
    (("优惠", "折", "立减", "券", "活动"), ("优惠到什么时候截止？", "那算下来一共多少钱？")),
    (("退费", "退款", "协议", "合同"), ("写进协议里我就放心了", "退的话一般多久到账？")),
    (("老师", "教龄", "师资"), ("那能先让{kid}和老师聊一聊吗？", "听着挺专业的，是固定一个老师带到底吗？")),
    (
        ("周六", "周日", "周末", "晚上", "几点", "时间"),
        ("周六下午两点可以的", "那个时间{kid}有别的课，还有别的时段吗？"),
    ),
    (("校区", "地址", "地铁", "停车"), ("离我们家不远，走路十分钟", "好停车吗？我开车过去")),
    (
        ("价格", "学费", "费用", "课时", "元", "块"),
        ("可以分期付吗？", "比我想的要贵一点", "这个费用包含教材吗？"),
    ),
    (("测评", "水平", "测试", "摸底"), ("测评要多长时间？在线上也能做吗？", "好，先测一下看看差在哪里")),
    (
        ("年级", "几岁", "基础", "成绩", "薄弱"),
        ("{kid}{grade}，{subject}基础一般", "主要是做题粗心，应用题老丢分"),
    ),
    (("坚持", "兴趣", "习惯", "陪伴"), ("有您这么盯着我就放心多了", "关键还是看孩子自己喜不喜欢")),
    (("电话", "方便", "联系"), ("晚上八点以后方便", "先微信上说吧，我在上班")),
    (("资料", "课表", "介绍", "发您", "发你"), ("收到，我先看看", "好的，看完有问题再问你")),
)

FOLLOW_UPS = (
    "嗯嗯，那具体怎么安排呢？",
    "好的，一个班大概多少个孩子？",
    "一节课多长时间？",
    "教材是跟学校同步的吗？",
    "作业老师会批改吗？",
    "明白了，那下一步需要我做什么？",
    "上课家长可以旁听吗？",
)
CLOSINGS: dict[Mood, str] = {
    "eager": "好的，那就先这么定，谢谢老师",
    "hesitant": "我再考虑一下，晚点回复你",
    "quiet": "好的，知道了",
    "returning": "先这样，我跟家里人商量一下再找你",
}
COMEBACKS = (
    "老师，我又来了，上次说的那个班还有名额吗？",
    "刚才在忙，接着问一下",
    "跟家里商量过了，还有个问题想问",
)
NUDGES = ("在吗？", "老师在忙吗？看到回我一下", "？")
#: How many answers a customer gives before closing the talk.
PATIENCE: dict[Mood, int] = {"eager": 6, "hesitant": 3, "quiet": 1, "returning": 4}
#: Lines a customer remembers having said, over all talks.
_MEMORY = 16

_OA, _KF, _BOTH = frozenset({"wechat_oa"}), frozenset({"wecom_kf"}), frozenset({"wechat_oa", "wecom_kf"})
_CAST: tuple[tuple[str, str, str, str, Mood, frozenset[str], str], ...] = (
    ("子涵妈妈", "子涵", "三年级", "数学", "eager", _BOTH, "咨询 价格 试听 时间"),
    ("陈先生", "一诺", "五年级", "英语", "hesitant", _OA, "价格 对比 优惠 考虑"),
    ("梓萱妈妈", "梓萱", "二年级", "语文", "returning", _KF, "坚持 试听 老师"),
    ("刘女士", "浩然", "初一", "数学", "eager", _KF, "效果 老师 时间 优惠"),
    ("雨桐爸爸", "雨桐", "四年级", "英语", "hesitant", _OA, "退费 价格 考虑"),
    ("诗涵妈妈", "诗涵", "大班", "美术", "eager", _OA, "试听 时间 请假"),
    ("王哥", "子轩", "六年级", "数学", "returning", _BOTH, "对比 价格 效果"),
    ("Coco妈", "可可", "一年级", "英语", "eager", _KF, "续费 优惠 转介绍"),
    ("老周", "思远", "初二", "物理", "quiet", _OA, "线上 时间"),
    ("欣怡妈妈", "欣怡", "三年级", "语文", "returning", _OA, "表现 请假 续费"),
    ("赵姐", "俊杰", "五年级", "数学", "hesitant", _KF, "价格 退费 考虑"),
    ("糖糖的麻麻", "糖糖", "中班", "舞蹈", "eager", _BOTH, "咨询 坚持 试听"),
    ("李海涛", "宇航", "四年级", "编程", "eager", _OA, "咨询 老师 效果 价格"),
    ("佳琪妈妈", "佳琪", "六年级", "英语", "returning", _KF, "效果 对比 试听"),
    ("吴女士", "明轩", "初三", "化学", "hesitant", _KF, "时间 价格 考虑"),
    ("嘉懿爸爸", "嘉懿", "二年级", "围棋", "eager", _OA, "坚持 老师 优惠"),
    ("小鱼儿", "小鱼", "一年级", "书法", "quiet", _KF, "咨询 线上"),
    ("孙晓梅", "天佑", "五年级", "语文", "eager", _BOTH, "转介绍 优惠 续费"),
    ("乐乐奶奶", "乐乐", "三年级", "数学", "hesitant", _OA, "时间 请假 退费"),
    ("郑先生", "若曦", "初一", "英语", "returning", _OA, "对比 效果 试听 价格"),
    ("依依妈妈", "依依", "大班", "英语", "eager", _KF, "试听 坚持 价格"),
    ("胡敏", "泽宇", "四年级", "数学", "returning", _BOTH, "续费 表现 优惠"),
    ("晨晨爸", "晨晨", "六年级", "奥数", "hesitant", _OA, "效果 老师 考虑"),
    ("唐糖", "悦悦", "二年级", "钢琴", "eager", _KF, "退费 请假 转介绍"),
)


def cast(rng: random.Random, count: int) -> tuple[Persona, ...]:
    """`count` customers; beyond the scripted ones the families repeat with numbers behind their names."""
    people = []
    for number in range(1, count + 1):
        name, kid, grade, subject, mood, channels, agenda = _CAST[(number - 1) % len(_CAST)]
        again = (number - 1) // len(_CAST)
        people.append(
            Persona(
                number=number,
                name=f"{name}{again + 1}" if again else name,
                unionid="oU" + _digest(str(rng.getrandbits(64)), str(number))[:26],
                kid=kid,
                grade=grade,
                subject=subject,
                mood=mood,
                channels=channels,
                agenda=tuple(agenda.split()),
            )
        )
    return tuple(people)


def opening(persona: Persona, rng: random.Random) -> str:
    return persona.words(rng.choice(LINES[persona.agenda[0]]))


def answer(persona: Persona, heard: str, used: Collection[str], rng: random.Random) -> str:
    """What the customer says to `heard`: takes up a word of it, moves on to the next worry, or just asks."""
    taken_up = [line for words, lines in ANSWERS if any(word in heard for word in words) for line in lines]
    worries = [line for topic in persona.agenda[1:] for line in LINES[topic]]
    pools = [taken_up, worries[:2], worries, list(FOLLOW_UPS)]
    if rng.random() < 0.3:
        pools.insert(0, worries)
    for pool in pools:
        fresh = [line for line in map(persona.words, pool) if line not in used]
        if fresh:
            return rng.choice(fresh)
    return CLOSINGS[persona.mood]


async def live(world: World, pace_s: float | Callable[[], float], rng: random.Random) -> None:
    """All customers chat at human pace until cancelled; `pace_s` is about one short sentence's typing.

    A function is asked before every pause, so that the pace can change while they talk.
    """
    pace = pace_s if callable(pace_s) else lambda: pace_s
    async with asyncio.TaskGroup() as group:
        for order, persona in enumerate(world.personas):
            own = random.Random(rng.getrandbits(64))
            group.create_task(_Life(world, persona, pace, own).run(order))


@dataclass(frozen=True, slots=True)
class _Life:
    world: World
    persona: Persona
    pace_s: Callable[[], float]
    rng: random.Random

    async def run(self, order: int) -> None:
        """Arrive staggered, talk, go away; some never come back."""
        await self._rest(0.2 * order, 0.3 * order)
        slugs = [slug for slug, out in self.world.outlets.items() if out.channel in self.persona.channels]
        if not slugs:
            return
        await self._meet(slugs[0])
        first, used = opening(self.persona, self.rng), set[str]()
        while True:
            await self._talk(self.rng.choice(slugs), first, used)
            if len(used) > _MEMORY:
                used.clear()
            if self.persona.mood == "quiet":
                return
            await self._rest(15, 60)
            first = self.rng.choice((*COMEBACKS, opening(self.persona, self.rng)))

    async def _meet(self, slug: str) -> None:
        if self.rng.random() < 0.5:
            who = self.rng.choice([s for s in self.world.staff if s.sells])
            await self.world.outlets[slug].meet(self.persona, who)

    async def _talk(self, slug: str, first: str, used: set[str]) -> None:
        seen = len(self.world.received(self.persona))
        used.add(first)
        await self._type(slug, first)
        for _ in range(PATIENCE[self.persona.mood]):
            heard = await self._listen(slug, seen)
            if not heard:
                return
            seen += len(heard)
            line = answer(self.persona, "".join(bubble.text for bubble in heard), used, self.rng)
            used.add(line)
            await self._type(slug, line)
        if await self._listen(slug, seen):
            await self._type(slug, CLOSINGS[self.persona.mood])

    async def _listen(self, slug: str, seen: int) -> tuple[Bubble, ...]:
        """The new messages, if they come before patience ends; half-way the customer nudges once."""
        for last in (False, True):
            try:
                async with asyncio.timeout(self.pace_s() * self.rng.uniform(15, 30)):
                    await self.world.arrival(self.persona, seen)
            except TimeoutError:
                if not last and self.persona.mood != "quiet":
                    await self._type(slug, self.rng.choice(NUDGES))
                continue
            return self.world.received(self.persona)[seen:]
        return ()

    async def _type(self, slug: str, text: str) -> None:
        slowness = 0.5 + len(text) / 15
        await self._rest(0.7 * slowness, 1.3 * slowness)
        await self.world.say(self.persona, slug, text)

    async def _rest(self, least: float, most: float) -> None:
        await asyncio.sleep(self.pace_s() * self.rng.uniform(least, most))


async def load(
    world: World, rate: float, *, total: int, rng: random.Random, slugs: Sequence[str] = ()
) -> list[Bubble]:
    """`total` messages at `rate` a second over all customers of `slugs` (default: every running channel).

    Each text is unique ("... #17"). Returns the bubbles in order of sending, `sent` or `failed`.
    """
    lines = [line for topic in LINES.values() for line in topic]
    talkers = [
        (persona, slug)
        for slug, outlet in world.outlets.items()
        for persona in world.personas
        if (slug in slugs if slugs else outlet.channel in persona.channels)
    ]
    loop = asyncio.get_running_loop()
    start, tasks = loop.time(), []
    async with asyncio.TaskGroup() as group:
        for number in range(total):
            persona, slug = talkers[number % len(talkers)]
            text = f"{persona.words(rng.choice(lines))} #{number + 1}"
            tasks.append(group.create_task(world.say(persona, slug, text)))
            await asyncio.sleep(start + (number + 1) / rate - loop.time())
    return [task.result() for task in tasks]


def _digest(*parts: str) -> str:
    """Looks like a vendor's id: letters, digits, `-`, `_`."""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"
    return "".join(alphabet[byte & 63] for byte in hashlib.sha256("|".join(parts).encode()).digest())
