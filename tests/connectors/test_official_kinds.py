"""What Official Account and mini-program can send beyond words, fetch back, and tell of failed notices."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from connectors import miniprogram, wechat_oa
from connectors.kit import api
from connectors.kit.errcodes import Action, meaning
from connectors.wechat_oa import fans
from scrm.contract import Card, Handle, Media, Push
from scrm.errors import NotSent, Rejected, TooLarge
from tests.connectors.support import APP_ID, MINI_ID, account, asked, context

TALK, OPENID = "message/custom/send", "oJ8Kx5mPq2Rt7Vw9Yz3Bc6Df1GhA"
PICTURE = Media(name="a.png", mime="image/png", content=b"\x89PNG")
CARD = Card(
    title="暑假班", description="限时报名", url="https://school.example/18", app_id=MINI_ID, page="p?id=1"
)
NOTICE = Card(
    title="", template_id="T1", values={"thing1": "数学课", "time2": "19:00"}, page="p", url="https://s.e"
)
MODULES: dict[str, ModuleType] = {"wechat_oa": wechat_oa, "miniprogram": miniprogram}
SCOPES = {"wechat_oa": APP_ID, "miniprogram": MINI_ID}


def push(channel: str, kind: str, **more: Any) -> Push:
    handle = Handle(kind="wechat_openid", scope=SCOPES[channel], value=OPENID)
    return Push(**{"push_id": "p0001", "handle": handle, "kind": kind, "text": "您好", **more})


async def sent(
    channel: str, what: Push, path: str = TALK, answer: dict[str, Any] | None = None, **own: str
) -> Any:
    """The body of the send, and the id it came back with."""
    answers = {
        path: answer or {"errcode": 0},
        "media/upload": {"media_id": "M1"},
        "media/uploadimg": {"url": "https://mmbiz.qpic.cn/p"},
    }
    ctx = context(account(channel, **own), answers)
    ident = await MODULES[channel].send(ctx, what)
    assert asked(ctx).paths()[-1] == path
    return asked(ctx).calls[-1][2], ident


OA_FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "voice": ({"media": PICTURE}, {"msgtype": "voice", "voice": {"media_id": "M1"}}),
    "video": (
        {"media": PICTURE, "text": "上课片段"},
        {
            "msgtype": "video",
            "video": {"media_id": "M1", "thumb_media_id": "M1", "title": "上课片段", "description": ""},
        },
    ),
    "link": (
        {"card": CARD, "media": PICTURE},
        {
            "msgtype": "news",
            "news": {
                "articles": [
                    {
                        "title": "暑假班",
                        "description": "限时报名",
                        "url": "https://school.example/18",
                        "picurl": "https://mmbiz.qpic.cn/p",
                    }
                ]
            },
        },
    ),
    "miniprogram": (
        {"card": CARD, "media": PICTURE},
        {
            "msgtype": "miniprogrampage",
            "miniprogrampage": {
                "title": "暑假班",
                "pagepath": "p?id=1",
                "thumb_media_id": "M1",
                "appid": MINI_ID,
            },
        },
    ),
}


@pytest.mark.parametrize("kind", OA_FORMS)
async def test_an_official_account_sends_each_kind_in_the_platform_s_form(kind: str) -> None:
    given, form = OA_FORMS[kind]

    body, ident = await sent("wechat_oa", push("wechat_oa", kind, **given))

    assert body == {"touser": OPENID, **form}
    assert ident == "p0001"


async def test_a_mini_program_sends_links_and_pages_of_its_own() -> None:
    link, _ = await sent("miniprogram", push("miniprogram", "link", card=CARD))
    page, _ = await sent("miniprogram", push("miniprogram", "miniprogram", card=CARD, media=PICTURE))

    assert link["link"]["url"] == "https://school.example/18"
    assert page["miniprogrampage"] == {"title": "暑假班", "pagepath": "p?id=1", "thumb_media_id": "M1"}


@pytest.mark.parametrize("channel", MODULES)
@pytest.mark.parametrize("kind", ["file", "welcome", "template", "link", "miniprogram", "image"])
async def test_what_is_missing_or_impossible_is_rejected_without_a_call(channel: str, kind: str) -> None:
    ctx = context(account(channel))

    with pytest.raises(Rejected):
        await MODULES[channel].send(ctx, push(channel, kind))


@pytest.mark.parametrize("channel", MODULES)
async def test_every_kind_a_channel_claims_it_can_send_it_does_send(channel: str) -> None:
    paths = {"wechat_oa": "message/template/send", "miniprogram": "message/subscribe/send"}
    for kind in MODULES[channel].KINDS:
        card = NOTICE if kind == "template" else CARD
        what = push(channel, kind, card=card, media=PICTURE)
        await sent(channel, what, paths[channel] if kind == "template" else TALK)


async def test_a_page_of_another_mini_program_is_rejected() -> None:
    other = Card(title="x", app_id="wx0000000000000000", page="p")

    with pytest.raises(Rejected):
        await sent("miniprogram", push("miniprogram", "miniprogram", card=other, media=PICTURE))


async def test_a_template_message_carries_an_id_of_ours_and_comes_back_with_the_platform_s() -> None:
    body, ident = await sent(
        "wechat_oa",
        push("wechat_oa", "template", card=NOTICE),
        "message/template/send",
        {"errcode": 0, "msgid": 200163836},
    )

    assert body == {
        "touser": OPENID,
        "template_id": "T1",
        "data": {"thing1": {"value": "数学课"}, "time2": {"value": "19:00"}},
        "url": "https://s.e",
        "client_msg_id": "p0001",
    }
    assert ident == "200163836"


async def test_a_subscription_message_goes_by_its_own_api() -> None:
    account_s, _ = await sent(
        "wechat_oa",
        push("wechat_oa", "template", card=NOTICE),
        "message/subscribe/bizsend",
        notices="subscribe",
    )
    mini_s, _ = await sent(
        "miniprogram", push("miniprogram", "template", card=NOTICE), "message/subscribe/send", state="trial"
    )

    assert account_s["page"] == "https://s.e"
    assert (mini_s["page"], mini_s["miniprogram_state"], mini_s["lang"]) == ("p", "trial", "zh_CN")


@pytest.mark.parametrize("code", [40037, 41030, 43101, 43107, 45065, 47003])
def test_the_codes_of_notices_are_final(code: int) -> None:
    assert meaning(code).action in (Action.DENIED, Action.DEAD)
    assert str(code) not in meaning(code).sentence


# ---------------------------------------------------------------- files


def word(**fields: Any) -> Media:
    return Media(name="", mime="text/plain", content=json.dumps(fields).encode())


async def test_a_file_comes_back_by_its_media_id() -> None:
    ctx = context(account("wechat_oa"), {"media/get": PICTURE})

    assert await wechat_oa.media(ctx, "M9") == PICTURE
    assert asked(ctx).calls[-1][:2] == ("media/get", {"media_id": "M9", "access_token": "T"})


async def test_a_film_is_fetched_from_the_address_in_its_place() -> None:
    film = Media(name="f.mp4", mime="video/mp4", content=b"film")
    answers = {"media/get": word(video_url="http://mp.example/f"), "/f": film}
    ctx = context(account("miniprogram"), answers)

    assert await miniprogram.media(ctx, "M9") == film


@pytest.mark.parametrize(("code", "error"), [(40007, Rejected), (45009, NotSent), (-1, NotSent)])
async def test_a_refusal_in_place_of_a_file_is_no_file(code: int, error: type[Exception]) -> None:
    ctx = context(account("wechat_oa"), {"media/get": word(errcode=code, errmsg="no")})

    with pytest.raises(error):
        await wechat_oa.media(ctx, "M9")


async def test_a_file_that_is_too_large_or_away_says_so() -> None:
    for failed in (TooLarge("大"), NotSent("稍后"), Rejected("没有")):
        with pytest.raises(type(failed)):
            await wechat_oa.media(context(account("wechat_oa"), {"media/get": failed}), "M9")


async def test_an_outdated_token_is_renewed_once_for_a_file() -> None:
    ctx = context(account("wechat_oa"), {"media/get": word(errcode=42001)})

    with pytest.raises(NotSent):
        await wechat_oa.media(ctx, "M9")

    assert asked(ctx).paths() == ["media/get", "media/get"]


def test_a_picture_that_looks_like_words_is_still_a_picture() -> None:
    assert api.answered(Media(name="", mime="image/png", content=b'{"errcode":40007}')) == {}
    assert api.answered(Media(name="", mime="text/plain", content=b"[1]")) == {}
    assert api.answered(Media(name="", mime="text/plain", content=b"\xff{")) == {}


# ---------------------------------------------------------------- followers


class Followers:
    """`contract.Http` of an account with so many followers."""

    def __init__(self, count: int) -> None:
        self.openids = [f"o{n:06d}" for n in range(count)]
        self.calls: list[str] = []

    async def json(self, method: str, url: str, **asked: Any) -> dict[str, Any]:
        assert method in ("GET", "POST")
        path = url.rpartition("/cgi-bin/")[2]
        self.calls.append(path)
        if path == "stable_token":
            return {"access_token": "T", "expires_in": 7200}
        if path == "user/get":
            after = asked["params"].get("next_openid", "")
            start = self.openids.index(after) + 1 if after else 0
            page = self.openids[start : start + fans.MOST]
            return {"errcode": 0, "total": len(self.openids), "count": len(page), "data": {"openid": page}}
        assert len(asked["body"]["user_list"]) <= fans.BATCH
        return {
            "errcode": 0,
            "user_info_list": [{"subscribe": 1, **one} for one in asked["body"]["user_list"]],
        }


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 12_345])
async def test_all_followers_are_taken_over_once_page_by_page(count: int) -> None:
    http: Any = Followers(count)
    ctx = replace(context(account("wechat_oa"), {}), http=http)
    keys: list[str] = []
    cursor, more = "", True
    while more:
        page = await wechat_oa.poll(ctx, "fans", cursor, "")
        assert page.cursor != cursor or not page.raws
        cursor, more = page.cursor, page.more
        keys += [raw.source_key for raw in page.raws]
        assert page.total == count

    assert len(keys) == len(set(keys)) == count
    assert http.calls.count("user/get") <= count // fans.PAGE + 2


async def test_an_unknown_list_is_rejected() -> None:
    with pytest.raises(Rejected):
        await wechat_oa.poll(context(account("wechat_oa")), "strangers", "", "")
