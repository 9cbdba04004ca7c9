"""Before the doors open: plans are on, rules of one's own hold, scripts are reviewed and compared."""

from __future__ import annotations

from typing import Any

from scrm.demo.office import Colleague, Crew

#: Written anew by the office, and compared with what the folder says.
_COMPARED = "edu.schedule"
_ANEW = (
    "{{ child.name|default('孩子') }}平时哪几天有空？您说两个时间，我对着课表给您挑一个班，不合适随时能换。"
)
_PROOF = {
    "given": {"child": {"name": "小宇"}},
    "expect": "小宇平时哪几天有空？您说两个时间，我对着课表给您挑一个班，不合适随时能换。",
}
#: What a leader is asked to look at: a company's script that somebody of the office handed in.
_WAITING = {
    "code": "own.rainy-day",
    "trade": "education",
    "note": "上周下雨，三个家长都在问",
    "content": {
        "title": "下雨天接送",
        "stage": "objection",
        "role": "any",
        "delivery": "confirm",
        "triggers": ["下雨", "接送", "雨太大", "堵车"],
        "says": ["下雨天怎么过来", "雨太大不想出门"],
        "text": "{{ child.name|default('孩子') }}今天不方便过来的话，这节课可以换成线上，"
        "也可以调到这周别的时间，不算缺课。",
        "examples": [
            {
                "given": {"child": {"name": "小宇"}},
                "expect": "小宇今天不方便过来的话，这节课可以换成线上，也可以调到这周别的时间，不算缺课。",
            }
        ],
    },
}
_RULE = {
    "id": "own.other-schools",
    "level": "warn",
    "title": "拿别家说事",
    "why": "只讲自己的课好在哪里，不议论同行的价格和老师。",
    "words": "比别家便宜、比隔壁便宜、别家都是",
    "rewrite": "比别家便宜=每一笔费用都给您列清楚",
    "hits": "我们比别家便宜不少",
    "misses": "每一笔费用都给您列清楚",
}
#: Still being tried on what was said.
_DRAFT = {
    "id": "own.last-seats",
    "level": "warn",
    "title": "拿名额催人",
    "why": "名额以系统为准，不用没有的紧迫感催家长。",
    "words": "最后三个名额、马上没名额了、今天不报就没了",
    "hits": "最后三个名额了您抓紧",
    "misses": "这个班还能插两位同学",
}


async def prepare(crew: Crew) -> None:
    """All of it, before the first customer writes."""
    await _plans(crew.admin)
    await _rules(crew.admin)
    await _scripts(crew)


async def _plans(admin: Colleague) -> None:
    """A new company's plans are off until somebody says otherwise."""
    for one in await admin.read("/sops"):
        if one["trade"] == "education":
            await admin.do("/sops/state", code=one["code"], on=True)


async def _rules(admin: Colleague) -> None:
    """One holds, one is still being tried."""
    for rule in (_RULE, _DRAFT):
        await admin.fill("/admin/rules", do="save", **rule)
    await admin.fill("/admin/rules", do="enable", code=_RULE["id"], version="1")


async def _scripts(crew: Crew) -> None:
    """The office writes a second version and has it compared with the first; another waits for a leader."""
    admin, lead = crew.admin, crew.lead
    known = await lead.see(f"/scripts/{_COMPARED}")
    content: dict[str, Any] = known.get("file_content") or {}
    before = int(known.get("current") or 0)
    anew = {**content, "text": _ANEW, "examples": [_PROOF]}
    note = "先问家长的空档，再说课表"
    made = await admin.do("/scripts", code=_COMPARED, content=anew, note=note, submit=True)
    if made:
        page = f"/admin/scripts/{_COMPARED}/versions/{made['version']}"
        await lead.fill(page, what="publish")
        versions = {"a": str(before), "b": str(made["version"])}
        await lead.fill("/admin/scripts/effect", script=_COMPARED, goal="reply", **versions)
    await admin.do("/scripts", submit=True, **_WAITING)
