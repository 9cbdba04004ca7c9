"""Pages of the script library with everything on them, for tests of how pages are made and look."""

from __future__ import annotations

from typing import Any

from scrm.playbook.library.diff import diff
from scrm.playbook.templates import Part
from scrm.web.cards import ScriptCard
from scrm.web.shelf import views as v
from scrm.web.shelf.finding import Found
from scrm.web.views import Me
from tests.web.managing import BOSS, NOW

BASE = "/admin/scripts"
PIECES = diff("这个课程很划算，您看看", "这个价格很划算，您先看看")
TRADES = (v.Choice(key="education", name="教育培训", on=True), v.Choice(key="housing", name="房产"))
LEAVES = (
    v.Leaf(title="觉得贵", href=f"{BASE}/edu.price", marks=(v.Mark(text="草稿"),), current=True),
    v.Leaf(title="要优惠", href=f"{BASE}/edu.off", marks=(v.Mark(text="已下架", tone="bad"),)),
)
TREE = v.Tree(
    base=BASE, q="", trade="", trades=TRADES, count=2, more=True,
    branches=(v.Branch(name="顾虑解答", leaves=LEAVES, open=True),),
)  # fmt: skip
HIT = v.RuleHit(
    level="block", title="保证效果", matched="保证提分", why="广告法", rewrite="看得见的进步", rule="edu.x"
)
FORM = v.Form(
    code="edu.price", title="觉得贵", trade="education", stage="objection", triggers="太贵", says="太贵了",
    text="{{ member.name }}，您先看看", examples="- expect: 您先看看", note="说软一点",
)  # fmt: skip
SAMPLES = (v.Choice(key="whole", name="子涵家", on=True), v.Choice(key="new", name="新客户"))
PREVIEW = v.Preview(
    samples=SAMPLES, title="觉得贵", stage="顾虑解答", missing=("孩子称呼",), fault="例子 1 对不上",
    parts=(Part(text="子涵妈妈", kind="variable"), Part(text="，您先看看", kind="plain")),
    hits=(HIT,), examples=2, chars=9,
)  # fmt: skip
HISTORY = (
    v.VersionRow(
        version=3, state="待审核", tone="warn", at=NOW, who="李敏", note="说软一点", source="网页", before=2
    ),
    v.VersionRow(version=2, state="文件里的版本", tone="", at=None, who="随版本发布", current=True),
)  # fmt: skip
HOME = v.HomeView(
    tree=TREE, packs=TRADES, may_write=True, may_run=True, fault="至少留一个行业。", saved="行业已更新。",
    waiting=(v.Waiting(title="觉得贵", href=f"{BASE}/edu.price#decide", who="李敏", at=NOW),),
    news=(v.News(code="edu.off", title="要优惠", version=4, pieces=PIECES, fields=("标题",), mine=True),),
)  # fmt: skip
EDITOR = v.EditorView(
    tree=TREE, form=FORM, preview=PREVIEW, action=f"{BASE}/edu.price", folder="公司", has_file=True,
    state=v.Mark(text="待审核", tone="warn"), versions=HISTORY, stages=TRADES, roles=TRADES,
    deliveries=TRADES, trades=TRADES, variables=(("member.name", "客户称呼"),),
    filters=(("trim", "去掉前后空格"),), fault="没有这个变量", saved="已提交。",
    deciding=v.Deciding(
        version=3, who="李敏", note="说软一点", at=NOW, pieces=PIECES, fields=("标题",), hits=(HIT,)
    ),
)  # fmt: skip
COMPARE = v.DiffView(
    base=BASE, code="edu.price", title="觉得贵", a=2, b=3, pieces=PIECES, versions=(2, 3),
    fields=(("触发词", "太贵", "太贵、便宜"),),
)  # fmt: skip
ROWS = (
    v.ImportRow(
        code="edu.price", title="觉得贵", change="有改动", tone="warn", pieces=PIECES, fields=("标题",),
        older=True, takes=True,
    ),
    v.ImportRow(code="edu.new", title="新话术", change="新增", tone="ok", takes=True),
)  # fmt: skip
IMPORT = v.ImportView(trades=TRADES, rows=ROWS, text="- id: edu.price", takes=2, fault="文件太大")
CARD = ScriptCard(
    id="found-1", n=1, title="顾虑解答 · 觉得贵", why="话术 edu.price 第 3 版", key="k" * 24, text="您先看看",
    parts=(Part(text="您先看看", kind="plain"),), level="ok",
)  # fmt: skip
FOUND = Found(cid="c1", q="jdg", cards=(CARD,), via="api")
REP = Me(name="王强")
SHELF_PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "scripts": ("shelf/home.html", {"me": BOSS, "view": HOME}),
    "script": ("shelf/editor.html", {"me": BOSS, "view": EDITOR}),
    "scripts compared": ("shelf/compare.html", {"me": BOSS, "view": COMPARE}),
    "scripts imported": ("shelf/import.html", {"me": BOSS, "view": IMPORT}),
    "scripts found": ("sidebar/found_page.html", {"me": REP, "found": FOUND}),
}
