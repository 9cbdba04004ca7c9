"""Pages about rulings and about who is who with everything on them, for tests of how pages are made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from scrm.web.knowing import views as k
from scrm.web.lead import views as v
from scrm.web.views import Me
from tests.web.managing import BOSS, JOBS, NOW

LEAD, OFFICER = Me(name="王主管", role="lead"), Me(name="赵合规", role="compliance")
SIDES = tuple(
    v.Side(
        key=f"rep:{n}",
        name=name,
        rows=(
            v.ClaimRow(at=NOW, kind="报备", tone="brand", outcome="wins"),
            v.ClaimRow(
                at=NOW,
                kind="跟进",
                outcome="refused",
                why="发生在成交之后。",
                told_at=NOW,
                masked=True,
                signals=("报备的客户电话就是报备人自己的电话。",),
            ),
        ),
        more=3,
        share="100" if n else "",
        wanted="" if n else "100",
    )
    for n, name in enumerate(("李敏", "王强"))
)
DEAL = v.DealView(
    id="d1",
    number="D1",
    line="新签",
    at=NOW,
    customer="陈女士，138****1234",
    amount=1_000_000,
    policy="教育·新签",
    policy_version=3,
    ruling="r1",
    pending=True,
    sides=SIDES,
    reasons=("判给李敏：最早有效。",),
    before="王强",
    after="李敏",
    looked=True,
    paid=True,
    decides=True,
    fault="请写明理由。",
    money=(
        v.Money(name="李敏", before=0, after=80_000, paid=100),
        v.Money(name="王强", before=None, after=None),
    ),
    asked=v.Asked(
        who="李敏", text="我先加的", at=NOW, due_at=NOW + timedelta(hours=72), overdue=False, hours=71
    ),
    rulings=(
        v.RulingRow(
            at=NOW,
            state="pending",
            trigger="claim",
            sentence="判给李敏。",
            winners="李敏",
            by="赵",
            note="核实",
        ),
    ),
)
ROWS = tuple(
    v.Row(
        href="/rulings/d1",
        number="D1",
        line="新签",
        at=NOW,
        title="判给李敏。",
        winners="李敏",
        sort=sort,
        due_at=NOW if sort == "appeal" else None,
        hours=3,
        overdue=sort == "changed",
        asker="李敏",
        frozen=80_000,
    )
    for sort in ("appeal", "changed", "approval", "settled")
)
SIGNAL = v.SignalRow(at=NOW, who="链家", kind="报备", signals=("同一台设备 24 小时内提交了 9 条报备。",))
POLICY = k.PolicyView(
    version=2,
    kinds=tuple(
        k.KindRow(
            name=use,
            title="手机号",
            strength=70,
            use=use,
            exclusive=0,
            max_persons=3,
            max_names=4,
            epoch_gap_days=90,
            blocked=9,
        )
        for use in ("merges", "counted", "place")
    ),
    limits=(("一个人最多多少标识", 64),),
    versions=(
        k.VersionRow(version=2, at=NOW, who="李管理", note="收紧", now=True),
        k.VersionRow(version=1, at=None, who="内置", note="随版本发布"),
    ),
    body="version: 2",
    changes=("一个人最多多少标识：64 改为 32",),
    run=k.DryRun(
        job=JOBS[0],
        counts=(("合并", 3),),
        examples=(k.Example(what="合并", tone="house", text="手机 139****5678"),),
    ),
    jobs=(JOBS[1],),
    fault="identity.yaml: person_cap: 应为整数",
    saved=True,
)
BARS = (k.Bar(size="1", n=900, length=1000), k.Bar(size="2", n=3, length=4))
STATS = k.StatsView(
    at=NOW,
    persons=903,
    biggest=5,
    kinds=(
        k.KindFigures(
            title="手机号",
            values=9,
            persons=8,
            per_person="1.13",
            most=2,
            shared=1,
            generic=1,
            blocked=0,
            top=(k.SharedRow(value="139****5678", persons=4, generic=True),),
        ),
    ),
    sizes=BARS,
    homes=BARS,
    standings=(("冲突搁置", 2),),
    alarms=("phone：多人共用的值从 1 个增加到 40 个。",),
    job=JOBS[0],
)
REVERT = k.RevertView(
    said={"login": "rep", "rule": "human.link"},
    count=2,
    by_rule=(("同事认定", 2),),
    done=(k.Reverted(job=JOBS[2], what="同事 rep", why="认错人了", undo=True),),
    rules=(("human.link", "同事认定"),),
    before="c",
)
PARTY = k.Party(
    name="陈女士",
    fields=(("手机", "138****1234"),),
    nodes=(("会员号", "acc****left"),),
    owners=("李敏",),
    family=("小宇",),
)
REVIEW = k.QueueView(
    rows=(k.QueueRow(id="p1", title="陈女士 / 陈静", percent=80, cls="same_person", current=True),),
    waiting=4,
    question=k.Question(
        id="p1",
        cls="same_person",
        percent=80,
        source="实时线索",
        a=PARTY,
        b=PARTY,
        reasons=tuple(k.ReasonRow(text="姓名相同", strength=s) for s in ("strong", "medium", "weak")),
        against=("姓氏不同",),
        effects=("不影响归属和佣金",),
        stopped="和已有的证据冲突。",
    ),
    undo="p0",
    undone="accept",
    before="c",
)
JUDGING_PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "deals": (
        "lead/list.html",
        {"me": LEAD, "view": v.ListView(tab="waiting", rows=ROWS, before="c", done=True)},
    ),
    "signals": ("lead/list.html", {"me": OFFICER, "view": v.ListView(tab="signals", signals=(SIGNAL,))}),
    "deal": ("lead/deal.html", {"me": LEAD, "view": DEAL}),
    "rulings": (
        "lead/mine.html",
        {"me": Me(name="李敏"), "view": v.ListView(tab="all", rows=ROWS, before="c")},
    ),
    "identity-policy": ("knowing/policy.html", {"me": BOSS, "view": POLICY}),
    "identity-stats": ("knowing/stats.html", {"me": BOSS, "view": STATS}),
    "identity-revert": ("knowing/revert.html", {"me": BOSS, "view": REVERT}),
    "review": ("knowing/review.html", {"me": OFFICER, "view": REVIEW}),
}
