"""Admin pages with everything on them, for tests of how pages are made and of how they look."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from scrm.contract import Need
from scrm.web.admin import views as a
from scrm.web.views import Me

NOW = datetime(2026, 11, 21, 8, 40, tzinfo=UTC)
BOSS = Me(name="李管理", role="admin")

TROUBLE = a.Line(text="试了 3 次还没成：密钥不对", tone="bad", at=NOW, href="/admin/dead")
CARD = a.Card(
    slug="school",
    name="启明学堂",
    channel="企业微信",
    icon="wx",
    state="running",
    level="bad",
    callback_url="https://scrm.example.com/hooks/school",
    last_at=NOW - timedelta(minutes=3),
    lag="最久 8 分钟",
    waiting=12,
    rate=(0, 3, 9, 1, 0, 0, 2, 4, 8, 16, 2, 1),
    errors=4,
    quarantined=2,
    unsent=1,
    unclear=1,
    streams=(a.Stream(name="kf1", moved_at=NOW - timedelta(minutes=1), behind="最久 3 小时"),),
    token_until=NOW + timedelta(hours=1),
    quotas={"群发": "3"},
    troubles=(TROUBLE,),
    asked=120,
    got=118,
    missing=2,
    counted_at=NOW - timedelta(hours=3),
    holes=1,
)
CHANNEL = a.Channel(key="wecom", title="企业微信", icon="wx")
FORM = a.FormView(
    channel=CHANNEL,
    settings=(
        a.Setting(need=Need(name="corp_id", help="企业 ID"), value="ww1"),
        a.Setting(need=Need(name="secret", help="应用的 Secret", secret=True), held=True),
        a.Setting(need=Need(name="suite_id", help="第三方应用才有", required=False)),
    ),
    name="启明学堂",
    slug="school",
    faults=("账号 school：缺少“agent_id”。",),
    readme="# 企业微信\n\n1. 打开管理后台",
    readme_path="connectors/wecom/README.md",
)
JOBS = tuple(
    a.JobRow(
        id=f"j-{state}",
        title="全量同步",
        account="启明学堂",
        state=cast(Any, state),
        done=50,
        total=total,
        fresh=3,
        failed=1,
        error="平台没有答复。" if state == "failed" else "",
        created_at=NOW - timedelta(minutes=9),
        updated_at=NOW,
    )
    for state, total in (
        ("running", None),
        ("paused", 120),
        ("done", 50),
        ("failed", 120),
        ("cancelled", 120),
    )
)
DEAD = a.DeadRow(
    id="k1",
    account="启明学堂",
    stage="解析",
    error="缺少 MsgId",
    first_at=NOW - timedelta(days=1),
    last_at=NOW,
    rows=7,
)
LETTER = a.LetterView(
    id="l1",
    account="启明学堂",
    state="quarantined",
    stage="解析",
    error="缺少 MsgId",
    note="测试",
    mended=True,
    received_at=NOW,
    attempts=1,
    fields=(
        a.FieldRow(number=0, pointer="/xml/MsgType", shown="text", plain=True),
        a.FieldRow(number=1, pointer="/xml/Content", shown="文字，8 个字", plain=False),
    ),
    fault="请选择要改的一项。",
)
UNSENT = tuple(
    a.UnsentRow(
        id=f"u-{state}",
        account="启明学堂",
        kind="text",
        state=state,
        error="平台限流",
        code="45009",
        created_at=NOW,
        again=state == "dead",
    )
    for state in ("dead", "unknown")
)
ADMIN_PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "admin": (
        "admin/home.html",
        {
            "me": BOSS,
            "home": a.HomeView(
                tiles=(a.Tile(label="账号", value="3", hint="1 个", tone="warn", href="/admin/connectors"),),
                troubles=(TROUBLE,),
            ),
        },
    ),
    "admin-calm": ("admin/home.html", {"me": BOSS, "home": a.HomeView(tiles=(), troubles=())}),
    "connectors": ("admin/connectors.html", {"me": BOSS, "view": a.CardsView(cards=(CARD,))}),
    "connector": (
        "admin/connector.html",
        {
            "me": BOSS,
            "one": a.ConnectorView(
                card=CARD,
                form=FORM,
                findings=(a.Line(text="平台的回调能到达这里，签名正确。", tone="ok"), TROUBLE),
                stocks=(("customers", "客户"),),
                jobs=JOBS,
                from_file=True,
                saved=True,
            ),
        },
    ),
    "new-account": ("admin/new.html", {"me": BOSS, "view": a.NewView(channels=(CHANNEL,), form=FORM)}),
    "dead": ("admin/dead.html", {"me": BOSS, "view": a.DeadView(rows=(DEAD,))}),
    "class": (
        "admin/class.html",
        {
            "me": BOSS,
            "view": a.ClassView(
                row=DEAD,
                letters=(a.LetterRow(id="l1", received_at=NOW, attempts=1, error="缺少 MsgId"),),
                before="c",
            ),
        },
    ),
    "letter": ("admin/letter.html", {"me": BOSS, "one": LETTER}),
    "unsent": (
        "admin/unsent.html",
        {
            "me": BOSS,
            "view": a.UnsentView(state="dead", rows=UNSENT, counts={"dead": 1, "unknown": 1}, before="c"),
        },
    ),
    "jobs": ("admin/jobs.html", {"me": BOSS, "view": a.JobsView(rows=JOBS, before="c")}),
    "import": (
        "admin/import.html",
        {
            "me": BOSS,
            "view": a.ImportView(
                slug="hotline",
                name="招生热线",
                result=a.Imported(
                    kept=False,
                    lines=120,
                    good=118,
                    fresh=0,
                    known=0,
                    bad=2,
                    faults=((7, "没有可用的电话号码：主叫、被叫都不是完整的号码。"),),
                ),
            ),
        },
    ),
    "import-fault": (
        "admin/import.html",
        {"me": BOSS, "view": a.ImportView(slug="hotline", name="招生热线", fault="请选择一个文件。")},
    ),
    "calendar": (
        "admin/calendar.html",
        {
            "me": BOSS,
            "view": a.CalendarView(
                years=(
                    (
                        2026,
                        (
                            a.Stretch(
                                first=date(2026, 10, 1),
                                last=date(2026, 10, 7),
                                kind="holiday",
                                name="国庆节",
                                ours=False,
                            ),
                            a.Stretch(
                                first=date(2026, 12, 8),
                                last=date(2026, 12, 8),
                                kind="workday",
                                name="校庆",
                                ours=True,
                            ),
                        ),
                    ),
                    (2027, ()),
                ),
                today=date(2026, 11, 21),
                business_hours="1-5 09:00-18:00",
                quiet_hours="",
                fault="请选择日期，如 2026-10-01。",
            ),
        },
    ),
}
