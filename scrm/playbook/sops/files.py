"""SOPs as files: `scripts_library/<trade>/sops/*.yaml`, read through the door and checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import time
from pathlib import Path
from typing import Any

from scrm.desk.stages import STAGES
from scrm.errors import BadInput
from scrm.playbook.scripts import TRADES
from scrm.playbook.sops.values import Mark, Plan, Start, Step, When, written
from scrm.playbook.templates import admit
from scrm.shapes import load, read_yaml

FOLDER = "sops"
_CODE = re.compile(r"[a-z][a-z0-9]*\.[a-z0-9]+(-[a-z0-9]+)*")
_STEP = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MOST = 60

BAD_CODE = "编号“{code}”要写成 edu.new-7-days 的样子"
NO_TITLE = "版本从 1 开始，标题不能为空"
NO_START = "至少写一个开始条件（starts）"
STEPS = "步骤要有 1 到 {most} 步"
ONE_EACH = "每个开始、目标和停止条件只写一项，不能留空"
BAD_EVENT = "事件“{event}”要写成 event. 或 message. 开头的样子"
DAYS_OF_START = "开始条件里的天数要在一年以内"
DAYS_AND_DATE = "days 要和 date 一起写"
HEAD_NUMBERS = (
    "多少天内不重复（again_after_days）不能是负数，晚多久不再发（late_hours）要在 1 到 168 小时之间"
)
BAD_ID = "步骤的 id 只用小写字母、数字和短横线"
TWICE = "这个 id 用了两次"
ONE_THING = "每一步只做一件事：message、task、wait、branch、coupon、tag、stage、end 写一个，不能留空"
NO_STEP = "没有“{target}”这一步"
NO_TARGET = "两条路都要选走到哪一步"
SCRIPT_OR_TEXT = "选一条话术（script）或者自己写（text），写一样，也只写一样"
NO_TASK = "待办要写标题（title）"
NO_BATCH = "发券要写哪一批（batch）"
NO_TAG = "标签要写加什么（add）或者去掉什么（remove）"
NO_SCRIPT = "话术库里没有“{script}”"
DUE = "待办的时限（due_hours）要在 0 到 720 小时之间"
WAIT_SPAN = "等待要在一年以内，不能是负数"
WAIT_EMPTY = "没有写等多久"
BAD_CLOCK = "时间“{at}”要写成 10:00 的样子"
NO_STAGE = "没有“{stage}”这个阶段"
UNREACHED = "没有哪一步会走到这里"
CIRCLE = "在没有等待的步骤里绕圈，永远走不完"
NO_ANSWERS = "有人回复流程就结束了，等不到“回复后往下走”"
QUIET = "{at} 是免打扰时段，后面的消息要等到时段结束才发"
NO_COUPON = "还没有编号为“{batch}”的券"
NO_GOAL = "没有写目标，走完之前客户已经成交也会继续"
AT_STEP = "步骤 {step}: {words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """Something about a plan; `step` "" = about the plan as a whole."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)
    step: str = ""

    @property
    def words(self) -> str:
        return self.text.format(**self.values) if self.values else self.text

    def __str__(self) -> str:
        return AT_STEP.format(step=self.step, words=self.words) if self.step else self.words


def _wrong(text: str, **values: object) -> Wrong:
    return Wrong(text=text, values=values)


def read_packs(folder: Path, scripts: Collection[str]) -> dict[str, tuple[Plan, ...]]:
    """The SOPs of every trade. Raises `BadInput` naming the file, the SOP and the step."""
    packs = {trade: read(folder / trade, scripts) for trade in TRADES}
    seen: dict[str, str] = {}
    for trade, plans in packs.items():
        for plan in plans:
            if plan.code in seen:
                raise BadInput(
                    f"{trade}/{FOLDER}: {plan.code}: {seen[plan.code]} 里已经用过这个编号，请换一个"
                )
            seen[plan.code] = trade
    return packs


def read(folder: Path, scripts: Collection[str]) -> tuple[Plan, ...]:
    """Every SOP of one trade, sorted by code. Raises `BadInput` naming the file, the SOP and the step."""
    found: dict[str, Plan] = {}
    for path in sorted((folder / FOLDER).glob("*.yaml")):
        where = f"{folder.name}/{FOLDER}/{path.name}"
        for plan in parse(read_yaml(path), where=where):
            if plan.code in found:
                raise BadInput(f"{where}: {plan.code}: 这个编号已经用过，请换一个")
            prove(plan, scripts, where=where)
            found[plan.code] = plan
    return tuple(found[code] for code in sorted(found))


def parse(data: Any, *, where: str) -> tuple[Plan, ...]:
    return load(tuple[Plan, ...], data, where=where)


def prove(plan: Plan, scripts: Collection[str], *, where: str) -> None:
    """Raises `BadInput` with the first thing that cannot work."""
    wrong = next(problems(plan, scripts), None)
    if wrong:
        raise BadInput(f"{where}: {plan.code}: {wrong}")


def problems(plan: Plan, scripts: Collection[str]) -> Iterator[Wrong]:
    """What cannot work; the editor shows all of it."""
    yield from _head(plan)
    yield from _marks(plan)
    ids = [s.id for s in plan.steps]
    for step in plan.steps:
        for wrong in _step(step, ids, scripts):
            yield replace(wrong, step=step.id)
    if plan.steps and all(len(s.kinds) == 1 for s in plan.steps) and len(set(ids)) == len(ids):
        yield from _paths(plan)


def _head(plan: Plan) -> Iterator[Wrong]:
    if not _CODE.fullmatch(plan.code):
        yield _wrong(BAD_CODE, code=plan.code)
    if plan.version < 1 or not plan.title.strip():
        yield _wrong(NO_TITLE)
    if not plan.starts:
        yield _wrong(NO_START)
    if not 1 <= len(plan.steps) <= MOST:
        yield _wrong(STEPS, most=MOST)
    yield from _condition(plan.when)


def _marks(plan: Plan) -> Iterator[Wrong]:
    marks: tuple[Start | Mark, ...] = (*plan.starts, *plan.goal, *plan.stop)
    for one in marks:
        if len(written(one)) != 1:
            yield _wrong(ONE_EACH)
        yield from _stage(one.stage)
        if one.event and not one.event.startswith(("event.", "message.")):
            yield _wrong(BAD_EVENT, event=one.event)
    for start in plan.starts:
        if not 0 <= start.silent_days <= 366 or abs(start.days) > 366:
            yield _wrong(DAYS_OF_START)
        if start.days and not start.date:
            yield _wrong(DAYS_AND_DATE)
    if plan.again_after_days < 0 or not 1 <= plan.late_hours <= 24 * 7:
        yield _wrong(HEAD_NUMBERS)


def _step(step: Step, ids: Sequence[str], scripts: Collection[str]) -> Iterator[Wrong]:
    if not _STEP.fullmatch(step.id):
        yield _wrong(BAD_ID)
    if ids.count(step.id) > 1:
        yield _wrong(TWICE)
    if len(step.kinds) != 1:
        yield _wrong(ONE_THING)
        return
    targets = [step.next] if step.next else []
    targets += [step.branch.then, step.branch.otherwise] if step.branch else []
    for target in targets:
        if target not in ids:
            yield _wrong(NO_STEP, target=target) if target else _wrong(NO_TARGET)
    yield from _stage(step.stage)
    if step.branch:
        yield from _condition(step.branch.when)
    yield from _words(step, scripts)
    yield from _times(step)


def _words(step: Step, scripts: Collection[str]) -> Iterator[Wrong]:
    if step.message and bool(step.message.script) == bool(step.message.text):
        yield _wrong(SCRIPT_OR_TEXT)
    if step.message and step.message.text:
        try:
            admit(step.message.text)
        except BadInput as error:
            yield _wrong(error.sentence)
    if step.task and not step.task.title.strip():
        yield _wrong(NO_TASK)
    if step.coupon and not step.coupon.batch.strip():
        yield _wrong(NO_BATCH)
    if step.tag and not (step.tag.add or step.tag.remove):
        yield _wrong(NO_TAG)
    for script in (
        step.message.script if step.message else "",
        step.task.script if step.task else "",
    ):
        if script and script not in scripts:
            yield _wrong(NO_SCRIPT, script=script)


def _times(step: Step) -> Iterator[Wrong]:
    if step.task and not 0 < step.task.due_hours <= 24 * 30:
        yield _wrong(DUE)
    if not step.wait:
        return
    w = step.wait
    if min(w.minutes, w.hours, w.days) < 0 or w.days > 366 or w.hours > 24 * 31 or w.minutes > 60 * 24:
        yield _wrong(WAIT_SPAN)
    if not (w.minutes or w.hours or w.days or w.at):
        yield _wrong(WAIT_EMPTY)
    if w.at:
        try:
            time.fromisoformat(w.at)
        except ValueError:
            yield _wrong(BAD_CLOCK, at=w.at)


def _stage(name: str) -> Iterator[Wrong]:
    if name and name not in STAGES:
        yield _wrong(NO_STAGE, stage=name)


def _condition(when: When) -> Iterator[Wrong]:
    for name in when.stage:
        yield from _stage(name)


def _paths(plan: Plan) -> Iterator[Wrong]:
    """Steps nobody comes to, and circles in which nobody ever waits."""
    reached, open_ = set(), [plan.steps[0].id]
    while open_:
        ident = open_.pop()
        step = plan.step(ident)
        if ident in reached or step is None:
            continue
        reached.add(ident)
        open_ += follows(plan, step)
    for step in plan.steps:
        if step.id not in reached:
            yield Wrong(text=UNREACHED, step=step.id)
    if circle := _circle(plan):
        yield Wrong(text=CIRCLE, step=circle)


def follows(plan: Plan, step: Step) -> list[str]:
    """The ids that can come after it."""
    if step.end:
        return []
    if step.branch:
        return [step.branch.then, step.branch.otherwise]
    return [after] if (after := plan.after(step)) else []


def _circle(plan: Plan) -> str:
    """A step from which one comes back to it without waiting; "" = there is none."""
    quick = {s.id: [] if s.wait else follows(plan, s) for s in plan.steps}
    for start in quick:
        seen: set[str] = set()
        open_ = list(quick[start])
        while open_:
            ident = open_.pop()
            if ident == start:
                return start
            if ident not in seen:
                seen.add(ident)
                open_ += quick.get(ident, [])
    return ""


# -- worth a look ------------------------------------------------------------------------------------------
def warnings(plan: Plan, quiet: tuple[int, int] | None = None, coupons: Collection[str] = ()) -> list[Wrong]:
    """What works but may not be meant. `quiet` in minutes of the day; `coupons`: the codes there are."""
    found = []
    stops_at_reply = any(mark.reply for mark in (*plan.goal, *plan.stop))
    for step in plan.steps:
        if step.wait and step.wait.until_reply and stops_at_reply:
            found.append(Wrong(text=NO_ANSWERS, step=step.id))
        if step.wait and step.wait.at and quiet and _within(step.wait.at, quiet):
            found.append(Wrong(text=QUIET, values={"at": step.wait.at}, step=step.id))
        if step.coupon and step.coupon.batch not in coupons:
            found.append(Wrong(text=NO_COUPON, values={"batch": step.coupon.batch}, step=step.id))
    if not plan.goal:
        found.append(Wrong(text=NO_GOAL))
    return found


def _within(clock: str, quiet: tuple[int, int]) -> bool:
    at = time.fromisoformat(clock)
    minutes, (begin, end) = at.hour * 60 + at.minute, quiet
    return begin <= minutes < end if begin < end else minutes >= begin or minutes < end


def plain(value: object) -> Any:
    """A plan as it would stand in a file: without what is as usual."""
    if isinstance(value, Plan | Step | Start | Mark | When) or hasattr(value, "__dataclass_fields__"):
        found: Mapping[str, Any] = {
            f.name: plain(one)
            for f in fields(value)  # type: ignore[arg-type]
            if (one := getattr(value, f.name)) != f.default and one not in ((), "", None, When())
        }
        return dict(found)
    return [plain(one) for one in value] if isinstance(value, tuple) else value
