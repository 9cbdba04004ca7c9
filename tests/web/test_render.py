"""Pages: complete in both languages, safe with hostile text, usable without scripts."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from jinja2 import Environment

from scrm import errors
from scrm.contract import Signature
from scrm.desk.stages import STAGE_NAMES, STAGES
from scrm.playbook.checks.lines import PHRASES
from scrm.playbook.checks.rules import SENTENCES as VERDICTS
from scrm.playbook.checks.values import LEVELS
from scrm.playbook.scripts import TRADES
from scrm.playbook.templates import VARIABLES
from scrm.push.rules import SENTENCES
from scrm.web import views as v
from scrm.web.gallery import gallery
from scrm.web.parts import Attached, Filter, Line, Shape, Version
from scrm.web.render import DIST, WORDS, Renderer, by_day, catalogue, clock, waited
from tests.web.judging import JUDGING_PAGES
from tests.web.managing import ADMIN_PAGES
from tests.web.selling_pages import SELLING_PAGES
from tests.web.shelving import SHELF_PAGES
from tests.web.speakers import SPEAKERS
from tests.web.todoing import TODO_PAGES

WEB = Path(__file__).parents[2] / "scrm/web"
NOW = datetime(2026, 11, 21, 8, 40, tzinfo=UTC)  # 16:40 in Shanghai
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}</script><script>alert(1)</script>"
KF = v.Channel(key="kf", name="微信客服")
PHONE = v.Channel(key="ph", name="电话", icon="ph")
ME = v.Me(name="王强")
SHEET_FORM = 'class="stack" method="post" data-send'
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))


@dataclass(frozen=True)
class Part:
    text: str
    kind: Literal["plain", "variable", "missing"] = "plain"


def ago(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


def item(**changes: Any) -> v.Item:
    return replace(
        v.Item(id="e1", at=ago(2), channel=KF, who="陈先生", whom="我", text="能便宜点吗？"), **changes
    )


def card(**changes: Any) -> v.ScriptCard:
    made = v.ScriptCard(
        id="s1", n=1, title="报价", why="客户刚说“能便宜点吗”，命中“便宜”", key="k" * 32,
        parts=(Part("陈先生", "variable"), Part("，早鸟价到月底。")), text="陈先生，早鸟价到月底。",
    )  # fmt: skip
    return replace(made, **changes)


def row(**changes: Any) -> v.QueueRow:
    made = v.QueueRow(
        cid="c1", name="陈先生", channel=KF, last="能便宜点吗？", last_at=ago(2), waiting_since=ago(2)
    )
    return replace(made, **changes)


def timeline(**changes: Any) -> v.TimelineView:
    made = v.TimelineView(cid="c1", items=(item(),), channels=(KF, PHONE), before="cur", topics=("node:1",))
    return replace(made, **changes)


def customer(**changes: Any) -> v.CustomerView:
    made = v.CustomerView(
        cid="c1", name="陈先生", subline="我跟进 6 天", tags=(v.Tag(text="购买人", tone="brand"),),
        cards=(card(),),
        members=(v.Member(name="爸爸", role="购买人", href="/s/c/c1", current=True),), via="api",
        topics=("node:1", "rep:9"),
    )  # fmt: skip
    return replace(made, **changes)


def conversation(**changes: Any) -> v.ConversationView:
    made = v.ConversationView(
        cid="c1", name="陈先生", channel=KF, items=(item(),), before="cur", key="k" * 32
    )
    return replace(made, **changes)


QUEUE = v.QueueView(
    rows=(row(), row(cid="c2", mine=True, unread=3, waiting_since=None)), counts={"waiting": 1}
)
BOOT = v.Boot(
    signatures=(Signature(scope="agent", app_id="ww1", agent_id="2", timestamp=1, nonce="n", signature="s"),)
)
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    **ADMIN_PAGES,
    **JUDGING_PAGES,
    **TODO_PAGES,
    **SHELF_PAGES,
    **SELLING_PAGES,
    "login": (
        "login.html",
        {"login": v.LoginView(doors=(v.Door(slug="a", name="铁军"),), error="密码不对。")},
    ),
    "shell": ("sidebar/shell.html", {"me": ME, "shell": v.ShellView(conversations=QUEUE.rows, boot=BOOT)}),
    "customer": ("sidebar/page.html", {"me": ME, "customer": customer(outgoing=(item(delivery="sent"),))}),
    "timeline": (
        "sidebar/page.html",
        {"me": ME, "customer": customer(tab="timeline", timeline=timeline())},
    ),
    "edit": ("sidebar/page.html", {"me": ME, "customer": customer(edit=card(missing=("校区",)))}),
    "inbox": ("inbox/page.html", {"me": ME, "inbox": v.InboxView(queue=QUEUE)}),
    "conversation": (
        "inbox/page.html",
        {"me": ME, "inbox": v.InboxView(queue=QUEUE, conversation=conversation(), customer=customer())},
    ),
    "prefs": ("prefs.html", {"me": ME, "prefs": v.PrefsView(theme="auto", locale="zh_CN")}),
    "error": ("error.html", {"error": v.ErrorView(status=404, sentence="没有找到这项内容。")}),
    "dev": ("dev_ui.html", {"me": ME, "gallery": gallery()}),
}


@pytest.fixture(scope="module")
def pages() -> Renderer:
    return Renderer(Path("no bundle here"))


def show(pages: Renderer, template: str, *, locale: v.Locale = "zh_CN", **views: Any) -> str:
    return pages.render(template, locale=locale, theme="auto", now=NOW, **views)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("locale", ["zh_CN", "en"])
def test_every_page_has_language_title_landmark_and_unique_ids(
    pages: Renderer, name: str, locale: v.Locale
) -> None:
    template, given = PAGES[name]

    html = show(pages, template, locale=locale, **given)

    assert f'<html lang="{"en" if locale == "en" else "zh-CN"}">' in html
    assert re.search(r"<title>[^<]*\w[^<]*</title>", html)
    assert html.count('<main id="main"') == 1
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", PAGES)
def test_no_page_needs_inline_script_or_style(pages: Renderer, name: str) -> None:
    template, given = PAGES[name]

    html = show(pages, template, **given)

    assert not re.search(r"\sstyle=|\son\w+=|<style|hx-on|js:", html)
    scripts = re.findall(r"<script([^>]*)>", html)
    assert all('type="application/json"' in attributes for attributes in scripts)


@pytest.mark.parametrize("name", PAGES)
def test_every_action_is_a_link_or_a_form_with_a_place_to_go(pages: Renderer, name: str) -> None:
    template, given = PAGES[name]

    html = show(pages, template, **given)

    # The sheet is the one form the scripts aim; without them it never opens.
    forms = [f for f in re.findall(r"<form([^>]*)>", html) if f.strip() != SHEET_FORM]
    assert all(('method="post"' in f or 'role="search"' in f) and 'action="/' in f for f in forms)
    assert all("href=" in a for a in re.findall(r"<a\s([^>]*)>", html))
    for attributes in re.findall(r"<button([^>]*)>", html):
        works = 'type="button"' not in attributes
        scripted = re.search(r"\bdata-|hidden|\bjs\b|disabled", attributes) or name == "dev"
        assert works or scripted, attributes


def hostile_parts(words: str) -> tuple[Attached, ...]:
    """One of everything that may come with an item, with these words wherever words go."""
    line = Line(text=words, who=words, at=NOW, lines=(Line(text=words),))
    shapes = get_args(Shape)
    common: dict[str, Any] = {"title": words, "text": words, "note": words, "facts": (words,)}
    shown = [
        Attached(shape=s, href="/media/m1", rows=((words, words),), items=(line,), **common) for s in shapes
    ]
    return (*shown, Attached(shape="file", again=("e1", 0), **common))


def test_hostile_words_stay_words(pages: Renderer) -> None:
    boot = v.Boot(mock_userid=HOSTILE, find_url=HOSTILE)
    hostile = item(text=HOSTILE, who=HOSTILE, whom=HOSTILE, reason=HOSTILE, delivery="dead")
    brought = item(id="b", attached=hostile_parts(HOSTILE), before=(Version(at=NOW, text=HOSTILE),))
    unknown = item(id="u", unknown=HOSTILE, raw=HOSTILE)
    given = customer(
        name=HOSTILE, subline=HOSTILE, tags=(v.Tag(text=HOSTILE),),
        timeline=timeline(items=(hostile, unknown, brought), members=(Filter(key="m", name=HOSTILE),)),
        cards=(card(title=HOSTILE, why=HOSTILE, parts=(Part(HOSTILE, "variable"),), text=HOSTILE),),
        members=(v.Member(name=HOSTILE, role=HOSTILE, href="/s/c/c1", hint=HOSTILE),),
        banner=v.Banner(title=HOSTILE, text=HOSTILE), via_note=HOSTILE,
    )  # fmt: skip

    html = show(pages, "sidebar/page.html", me=ME, customer=given, boot=boot, notice=HOSTILE)

    assert "<img src=x" not in html
    assert "<script>alert" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "{{7*7}}" in html
    assert html.count("</script>") == html.count("<script")


def test_a_script_card_underlines_variables_and_names_what_is_missing(pages: Renderer) -> None:
    whole, lacking = card(), card(id="s2", n=2, missing=("校区",), parts=(Part("【校区】", "missing"),))

    html = show(pages, "sidebar/customer.html", customer=customer(cards=(whole, lacking)))

    assert "<mark>陈先生</mark>" in html
    assert '<mark class="bad">【校区】</mark>' in html
    assert "还缺：校区" in html
    first, second = html.split('id="card-s2"')
    assert "发送<kbd" in first
    assert "发送<kbd" not in second
    assert "填好再发" in second


@pytest.mark.parametrize(
    ("via", "there", "absent"),
    [
        ("api", 'action="/s/c/c1/send" data-send="api"', "nosdk"),
        # Both are rendered: whether the chat app's SDK is there only the browser knows.
        ("jssdk", 'action="/s/c/c1/sent" data-send="jssdk"', "/s/c/c1/send"),
        ("copy", "复制", "发送<kbd"),
    ],
)
def test_the_card_offers_what_the_channel_can_do(
    pages: Renderer, via: v.Via, there: str, absent: str
) -> None:
    html = show(pages, "sidebar/customer.html", customer=customer(via=via))

    assert there in html
    assert absent not in html


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("queued", "待发"),
        ("sending", "发送中"),
        ("sent", "已送达平台"),
        ("unconfirmed", "已发送 · 未确认"),
        ("unknown", "可能已发送"),
        ("retry", "稍后重发"),
        ("dead", "发送失败"),
    ],
)
def test_a_bubble_says_what_became_of_it(pages: Renderer, state: v.Delivery, word: str) -> None:
    html = show(pages, "sidebar/sent.html", item=item(direction="out", delivery=state, reason="平台限流"))

    for prefix in ("ev", "tl", "out"):
        assert html.count(f'id="{prefix}-e1"') == 1
    assert html.count(f"{word} · 平台限流") == 3
    assert ("data-copy=" in html) == (state in ("dead", "unknown"))


def test_recalled_and_unknown_events_are_shown_as_such(pages: Renderer) -> None:
    items = (item(recalled=True), item(id="e2", unknown="event.new_thing", raw="<xml/>", event=True))

    html = show(pages, "sidebar/timeline.html", timeline=timeline(items=items))

    assert "<s>能便宜点吗？</s>" in html
    assert "已撤回" in html
    assert "未识别的事件 <code>event.new_thing</code>" in html
    assert "&lt;xml/&gt;</pre></details>" in html


def test_the_timeline_pages_by_cursor_and_keeps_the_filter(pages: Renderer) -> None:
    html = show(pages, "sidebar/timeline.html", timeline=timeline(channel="ph", before="a b"))

    assert 'href="/s/c/c1?tab=timeline&amp;channel=ph&amp;before=a%20b"' in html
    assert 'hx-get="/s/c/c1/timeline?tab=timeline&amp;channel=ph&amp;before=a%20b"' in html
    assert re.search(r'id="flt-ph"[^>]*aria-current="true"', html)


def test_a_closed_conversation_says_why_instead_of_taking_words(pages: Renderer) -> None:
    html = show(pages, "inbox/conversation.html", conversation=conversation(closed="会话已结束。"))

    assert "会话已结束。</p>" in html
    assert re.search(r"<textarea[^>]* disabled aria-describedby=\"composer-closed\"", html)


def test_the_dot_does_not_claim_to_be_live_before_the_stream_speaks(pages: Renderer) -> None:
    html = show(pages, "sidebar/customer.html", customer=customer())

    assert 'data-dot="connecting"' in html
    assert 'data-dot="live"' not in html


def test_pages_without_the_bundle_link_nothing_that_is_not_there(pages: Renderer) -> None:
    html = show(pages, *PAGES["inbox"][:1], **PAGES["inbox"][1])

    assert pages.missing_assets
    assert "/static/dist/" not in html


def test_the_bundle_is_linked_by_its_hashed_name(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"sidebar.js": "sidebar-X.js", "sidebar.css": "sidebar-Y.css"}')

    html = show(Renderer(tmp_path), "sidebar/page.html", me=ME, customer=customer())

    assert '<script src="/static/dist/sidebar-X.js" defer></script>' in html
    assert 'href="/static/dist/sidebar-Y.css"' in html
    assert DIST.name == "dist"


def test_theme_is_the_system_s_unless_chosen(pages: Renderer) -> None:
    template, given = PAGES["error"]

    auto = pages.render(template, locale="zh_CN", theme="auto", now=NOW, **given)
    dark = pages.render(template, locale="zh_CN", theme="dark", now=NOW, **given)

    assert "data-theme" not in auto
    assert '<html lang="zh-CN" data-theme="dark">' in dark


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (NOW - timedelta(seconds=59), "刚刚"),
        (NOW - timedelta(minutes=1), "1 分钟前"),
        (NOW - timedelta(minutes=59, seconds=59), "59 分钟前"),
        (NOW - timedelta(hours=1), "15:40"),
        (datetime(2026, 11, 20, 16, 0, tzinfo=UTC), "00:00"),  # midnight in Shanghai
        (datetime(2026, 11, 20, 15, 59, tzinfo=UTC), "11-20"),
        (datetime(2025, 11, 21, 8, 40, tzinfo=UTC), "2025-11-21"),
        (NOW + timedelta(minutes=5), "16:45"),  # a vendor's clock ahead of ours
    ],
)
def test_times_are_relative_within_the_hour_then_clock_then_date(at: datetime, text: str) -> None:
    assert clock(at, NOW, {}) == text


def test_waiting_is_counted_in_minutes_then_hours() -> None:
    english = catalogue("en")

    assert waited(ago(7), NOW, {}) == "等 7 分钟"
    assert waited(ago(125), NOW, english) == "2 h waiting"
    assert waited(NOW + timedelta(seconds=3), NOW, {}) == "等 0 分钟"


def test_days_are_cut_at_midnight_in_shanghai() -> None:
    items = [item(at=ago(1)), item(at=ago(60 * 17)), item(at=ago(60 * 24 * 30))]

    days = by_day(items, NOW, {})

    assert [label for _, label, _ in days] == ["今天", "昨天", "10-22"]
    assert [len(group) for *_, group in days] == [1, 1, 1]


def _template_words() -> set[str]:
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    found: set[str] = set()
    for path in TEMPLATES:
        messages = environment.extract_translations(path.read_text("utf-8"))  # type: ignore[attr-defined]
        found |= {m if isinstance(m, str) else m[0] for _, _, m in messages}
    return found


def _spoken(*files: str) -> set[str]:
    """Chinese sentences in code: no docstrings, no patterns, none that have values put into them."""
    found: set[str] = set()
    for file in files:
        tree = ast.parse((WEB.parent / file).read_text("utf-8"))
        inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.JoinedStr) for n in ast.walk(f)}
        docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "re.compile"]
        docs |= {id(n) for call in calls for n in ast.walk(call)}
        found |= {
            n.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in inside | docs
        }
    return {text for text in found if re.search("[一-鿿]", text)}


CHANNELS = sorted(p.parent.name for p in (WEB.parents[1] / "connectors").glob("*/fixtures"))
TITLES = {import_module(f"connectors.{name}").TITLE for name in CHANNELS}
DEEDS = [deed for name in CHANNELS for deed in getattr(import_module(f"connectors.{name}"), "DEEDS", ())]
ASKED = {deed.title for deed in DEEDS} | {one.title for deed in DEEDS for one in deed.fields}
STOCKS = {s.title for n in CHANNELS for s in getattr(import_module(f"connectors.{n}"), "STOCKS", ())}
ERRORS = {kind.__doc__ for kind in vars(errors).values() if isinstance(kind, type) and kind.__doc__}


def test_every_word_people_read_has_an_english_translation() -> None:
    english = catalogue("en")
    needed = _template_words() | set(WORDS) | {"今天", "昨天"} | _spoken(*SPEAKERS) | set(SENTENCES)
    needed |= {words for words in ASKED | STOCKS if re.search("[一-鿿]", words)}
    needed |= {name for names in STAGE_NAMES.values() for name in names.values()} | set(TRADES.values())
    needed |= set(STAGES.values()) | TITLES | {doc for doc in ERRORS if re.search("[一-鿿]", doc)}

    needed |= (
        {v.label.removesuffix("（分）") for v in VARIABLES.values()}
        | set(VERDICTS)
        | set(PHRASES)
        | set(LEVELS.values())
    )
    needed -= {"[图片]"}  # what the timeline keeps, not what a page says

    assert len(needed) > 80
    assert needed - english.keys() == set()
    assert english.keys() - needed == set(), "nobody says these any more"


def test_translations_keep_their_placeholders() -> None:
    for source, english in catalogue("en").items():
        assert sorted(re.findall(r"%\(\w+\)s|\{\w+\}", source)) == sorted(
            re.findall(r"%\(\w+\)s|\{\w+\}", english)
        )


def test_chinese_needs_no_catalogue_but_has_one() -> None:
    assert catalogue("zh_CN") == {}


def test_the_browser_s_words_are_exactly_those_the_scripts_use() -> None:
    scripts = "".join(p.read_text("utf-8") for p in (WEB / "assets/src").rglob("*.js"))

    assert set(re.findall(r'\bt\("([^"]+)"', scripts)) == set(WORDS)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.relative_to(WEB).as_posix())
def test_no_template_shows_chinese_that_cannot_be_translated(path: Path) -> None:
    source = path.read_text("utf-8")
    source = re.sub(r"\{#.*?#\}", "", source, flags=re.DOTALL)
    source = re.sub(r"""_\(\s*(["'])(?:(?!\1).)*\1""", "", source)
    allowed = {"简体中文", "、"}

    chinese = set(re.findall(r"[\u3000-\u303f\u4e00-\u9fff]+", source))

    assert chinese <= allowed


def test_no_handler_shows_chinese_without_asking_for_the_readers_words() -> None:
    """In `present` every Chinese constant is an argument of `say`."""
    tree = ast.parse((WEB / "present.py").read_text("utf-8"))
    asked = {
        id(a) for n in ast.walk(tree) if isinstance(n, ast.Call) and _named(n.func) == "say" for a in n.args
    }
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    bare = [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in asked | docs
    ]

    assert [text for text in bare if re.search("[一-鿿]", text)] == []


def _named(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else ""
