"""Steps, starts and conditions as people read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scrm.desk.stages import STAGES
from scrm.desk.stages import name as stage_name
from scrm.desk.tasks.rules import KINDS
from scrm.playbook.sops.values import (
    Branch,
    Date,
    Mark,
    Message,
    Plan,
    Start,
    Step,
    StepKind,
    Wait,
    When,
    written,
)

STEP_KINDS: Mapping[StepKind, str] = {
    "message": "发消息",
    "task": "待办",
    "wait": "等待",
    "branch": "看情况",
    "coupon": "发优惠券",
    "tag": "打标签",
    "stage": "改阶段",
    "end": "结束",
}
ICONS: Mapping[StepKind, str] = {
    "message": "wx",
    "task": "fi",
    "wait": "ck",
    "branch": "jo",
    "coupon": "co",
    "tag": "bk",
    "stage": "ev",
    "end": "ok",
}
START_KINDS: Mapping[str, str] = {
    "stage": "进入某个阶段",
    "tag": "打上某个标签",
    "event": "发生某件事",
    "silent": "客户多天没说话",
    "date": "某个日子前后",
}
MARK_KINDS: Mapping[str, str] = {
    "stage": "进入某个阶段",
    "tag": "有了某个标签",
    "event": "发生某件事",
    "reply": "家里有人回复",
}
#: How the kind of an event begins, and what that is.
EVENTS: Mapping[str, str] = {
    "event.contact.added": "加了企业微信好友",
    "event.contact.left": "客户删除或拉黑了我们",
    "event.subscribe": "关注了公众号",
    "event.unsubscribe": "取消关注公众号",
    "event.scan": "扫了带参数的二维码",
    "event.app.signup": "注册了 App",
    "event.order.": "订单有任何变化",
    "event.order.created": "下了单",
    "event.order.paid": "付了款",
    "event.order.delivered": "收到货或完成交付",
    "event.order.cancelled": "取消了订单",
    "event.refund.done": "退了款",
    "event.contract.signed": "签了合同",
    "event.contract.cancelled": "解除了合同",
    "event.lesson.attended": "到课了",
    "event.lesson.absent": "缺课了",
    "event.call.unanswered": "电话没有接",
    "message.": "发来任何消息",
}
DATES: Mapping[Date, str] = {
    "visit": "约定的到访",
    "promise_until": "答应的优惠到期",
    "coupon_until": "优惠券到期",
    "order_paid": "下单付款",
    "opened": "商机建立",
}
TOS: Mapping[str, str] = {
    "same": "正在联系的人",
    "registrant": "登记的人",
    "buyer": "购买的人",
    "user": "使用的人",
}
SENDS: Mapping[str, str] = {"confirm": "顾问看过再发", "auto": "到时间自动发"}
ROLES: Mapping[str, str] = {
    "registrant": "登记人",
    "buyer": "购买人",
    "payer": "付款人",
    "user": "使用人",
    "signatory": "签约人",
}
IN_STAGE, TAGGED, NO_SCRIPT, NO_TEXT = "进入“{name}”阶段", "有了标签“{name}”", "话术“{title}”", "还没写内容"
SILENT, REPLIED = "客户 {n} 天没说话", "家里有人回复"
AFTER, BEFORE, ON = "{date}后 {n} 天", "{date}前 {n} 天", "{date}当天"
ALWAYS = "任何客户"
WAITS, UNTIL, AT, WORK, ANSWER = (
    "等{span}",
    "等到 {at}",
    "等{span}，到 {at}",
    "只算工作时间",
    "有人回复就不等了",
)
DAYS, HOURS, MINUTES = " {n} 天", " {n} 小时", " {n} 分钟"
DOES, HOLDS = "{kind}：{title}，{n} 小时内", "做完才往下走"
FORKS = "如果{when}，到第 {a} 步；不是，到第 {b} 步"
PUTS_ON, TAKES_OFF, MOVES = "加上{names}", "去掉{names}", "改成“{name}”"
TO_WHOM, JUMPS, UNSAID = "发给{who}", "然后到第 {n} 步", "还没选"
STAGE_IS, ROLE_IS, HAS_TAGS, HAS_NOT = "阶段是{names}", "角色是{names}", "有标签{names}", "没有标签{names}"
CHANNEL_IS, PRODUCT_IS = "渠道是{names}", "商品是{names}"
ANSWERED, SILENCE, PAID, UNPAID = "回复过", "没有回复", "付过款", "没有付款"
OR = "或"
GROUP, PRIORITY = "互斥组（同组的一家同时只走一个）", "优先级（大的先）"
AGAIN, LATE = "同一家几天内不重复", "晚几小时就不再发"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """In the reader's language, with the names of this tenant's scripts and coupons."""

    say: Callable[..., str]
    #: Between parts of a sentence.
    comma: str = "，"
    trade: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    coupons: Mapping[str, str] = field(default_factory=dict)
    #: Step -> its number.
    numbers: Mapping[str, int] = field(default_factory=dict)

    def stage(self, key: str) -> str:
        return self.say(stage_name(key, self.trade)) if key in STAGES else key or self.say(UNSAID)

    def event(self, kind: str) -> str:
        return self.say(EVENTS[kind]) if kind in EVENTS else kind

    # -- when it starts and ends ---------------------------------------------------------------------------
    def start(self, one: Start) -> str:
        if one.silent_days:
            return self.say(SILENT, n=one.silent_days)
        if one.date:
            words = BEFORE if one.days < 0 else AFTER if one.days else ON
            values: dict[str, object] = {"n": abs(one.days)} if one.days else {}
            return self.say(words, date=self.say(DATES[one.date]), **values)
        return self._mark(one)

    def mark(self, one: Mark) -> str:
        return self.say(REPLIED) if one.reply else self._mark(one)

    def _mark(self, one: Start | Mark) -> str:
        if not written(one):
            return self.say(UNSAID)
        if one.event:
            return self.event(one.event)
        return self.say(IN_STAGE, name=self.stage(one.stage)) if one.stage else self.say(TAGGED, name=one.tag)

    def when(self, when: When) -> str:
        parts = [
            (STAGE_IS, [self.stage(key) for key in when.stage]),
            (ROLE_IS, [self.say(ROLES.get(key, key)) for key in when.role]),
            (HAS_NOT, when.no_tags),
            (CHANNEL_IS, when.channel),
            (PRODUCT_IS, when.product),
        ]
        found = [self.say(words, names=self._names(names)) for words, names in parts if names]
        found += [self.say(HAS_TAGS, names=self._all(when.tags))] if when.tags else []
        found += [self.say(ANSWERED if when.replied else SILENCE)] if when.replied is not None else []
        found += [self.say(PAID if when.bought else UNPAID)] if when.bought is not None else []
        return self.comma.join(found) or self.say(ALWAYS)

    def _all(self, names: Sequence[str]) -> str:
        between = "、" if self.comma == "，" else self.comma
        return between.join(f"“{name}”" for name in names)

    def _names(self, names: Sequence[str]) -> str:
        """Any of them."""
        return self.say(OR).join(f"“{name}”" for name in names)

    # -- steps ---------------------------------------------------------------------------------------------
    def step(self, step: Step) -> str:
        """In a line, with where it goes on when that is not the next one."""
        said = self._does(step)
        jump = [self.say(JUMPS, n=self.number(step.next))] if step.next else []
        return self.comma.join([said, *jump])

    def _does(self, step: Step) -> str:
        if step.message:
            return self.message(step.message)
        if step.wait:
            return self.wait(step.wait)
        if step.branch:
            return self._branch(step.branch)
        if step.task:
            kind, hours = self.say(KINDS[step.task.kind]), f"{step.task.due_hours:g}"
            words = [self.say(DOES, kind=kind, title=step.task.title or self.say(NO_TEXT), n=hours)]
            return self.comma.join(words + ([self.say(HOLDS)] if step.task.wait else []))
        return self._marks(step)

    def _marks(self, step: Step) -> str:
        if step.coupon:
            name = self.coupons.get(step.coupon.batch, step.coupon.batch) or self.say(UNSAID)
            return self.comma.join([name, self.say(SENDS[step.coupon.delivery])])
        if step.tag:
            parts = [(PUTS_ON, step.tag.add), (TAKES_OFF, step.tag.remove)]
            found = [self.say(words, names=self._all(names)) for words, names in parts if names]
            return self.comma.join(found) or self.say(UNSAID)
        return self.say(MOVES, name=self.stage(step.stage)) if step.stage else step.end or self.say(NO_TEXT)

    def message(self, message: Message) -> str:
        if message.script:
            said = self.say(NO_SCRIPT, title=self.scripts.get(message.script, message.script))
        else:
            said = message.text.replace("\n", " ") or self.say(NO_TEXT)
        whom = [self.say(TO_WHOM, who=self.say(TOS[message.to]))] if message.to != "same" else []
        return self.comma.join([said, *whom, self.say(SENDS[message.delivery])])

    def wait(self, wait: Wait) -> str:
        parts = [(DAYS, wait.days), (HOURS, wait.hours), (MINUTES, wait.minutes)]
        span = "".join(self.say(words, n=n) for words, n in parts if n)
        if wait.at:
            said = self.say(AT, span=span, at=wait.at) if span else self.say(UNTIL, at=wait.at)
        else:
            said = self.say(WAITS, span=span or f" {self.say(UNSAID)}")
        more = [self.say(words) for words, on in ((WORK, wait.business), (ANSWER, wait.until_reply)) if on]
        return self.comma.join([said, *more])

    def _branch(self, branch: Branch) -> str:
        a, b = self.number(branch.then), self.number(branch.otherwise)
        return self.say(FORKS, when=self.when(branch.when), a=a, b=b)

    def number(self, ident: str) -> str:
        return str(self.numbers[ident]) if ident in self.numbers else "?"


def text_of(plan: Plan, speaker: Speaker) -> str:
    """The whole as one reads it, for telling two versions apart by words."""
    kinds = STEP_KINDS
    lines = [plan.title, plan.about]
    lines += [f"{speaker.say('开始')} {speaker.start(one)}" for one in plan.starts]
    lines.append(f"{speaker.say('只对')} {speaker.when(plan.when)}")
    lines += [f"{speaker.say('目标')} {speaker.mark(one)}" for one in plan.goal]
    lines += [f"{speaker.say('停止')} {speaker.mark(one)}" for one in plan.stop]
    more = ((GROUP, plan.group), (PRIORITY, plan.priority), (AGAIN, plan.again_after_days))
    lines += [f"{speaker.say(words)} {value}" for words, value in (*more, (LATE, plan.late_hours)) if value]
    lines += [
        f"{n}. {speaker.say(kinds[step.kind])} · {speaker.step(step)}" for n, step in enumerate(plan.steps, 1)
    ]
    return "\n".join(line for line in lines if line)


def numbers_of(steps: Sequence[Step]) -> dict[str, int]:
    return {step.id: n for n, step in enumerate(steps, 1)}
