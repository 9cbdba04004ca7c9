"""The binding and its child process against a C library with the same interface: also when it dies."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from connectors import wecom_archive
from connectors.wecom_archive import remote as remotes
from connectors.wecom_archive.native import Code, Proxy, Sdk
from connectors.wecom_archive.remote import remote
from scrm.contract import Account, Envelope, Polled, Pull, Raw, Severity
from scrm.errors import NotSent, Rejected, TooLarge, Untranslatable
from tests.connectors.support import NOW, context
from tests.native.cloud import SECRET, Cloud, compiled, words


@pytest.fixture(scope="session")
def library() -> Iterator[Path]:
    with compiled() as made:
        yield made


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Cloud(tmp_path)


@pytest.fixture
async def account(library: Path, cloud: Cloud) -> AsyncIterator[Account]:
    made = cloud.account(library, 1)
    yield made
    await remote(made).close()


async def pulled(account: Account, cursor: str = "") -> Polled:
    return await wecom_archive.poll(context(account), "archive", cursor, "")


async def everything(account: Account) -> list[Raw]:
    """Page after page from the start, as the worker asks; what is busy or dead is asked again."""
    raws: list[Raw] = []
    cursor, more, tries = "", True, 0
    while more:
        try:
            page = await pulled(account, cursor)
        except NotSent as later:
            tries += 1
            assert tries < 20, later  # noqa: PT017 - a limit, not a check of the error
            await asyncio.sleep(later.retry_after_s or 0)
            continue
        raws += page.raws
        cursor, more = page.cursor, page.more
    return raws


def texts(account: Account, raws: list[Raw] | tuple[Raw, ...]) -> list[str]:
    made = [one for raw in raws for one in wecom_archive.translate(context(account), raw)]
    return [one.text for one in made if isinstance(one, Envelope)]


# -- it works ----------------------------------------------------------------------------------------------
async def test_messages_come_in_order_of_seq_and_from_after_the_cursor(
    cloud: Cloud, account: Account
) -> None:
    for number in range(1, 6):
        cloud.say(words(number))

    first, rest = await pulled(account), await pulled(account, "3")

    assert texts(account, first.raws) == [f"第 {n} 句" for n in range(1, 6)]
    assert (first.cursor, first.more) == ("5", True)
    assert [raw.source_key for raw in rest.raws] == [f"msg:{n}_1772414985_external" for n in (4, 5)]
    last = await pulled(account, "5")
    assert (last.raws, last.cursor, last.more) == ((), "5", False)


async def test_more_than_a_page_comes_page_by_page(cloud: Cloud, account: Account) -> None:
    for number in range(1, 1201):
        cloud.say(words(number))

    raws = await everything(account)

    assert len(raws) == len({raw.source_key for raw in raws}) == 1200


async def test_each_message_is_opened_by_the_key_of_its_version(library: Path, cloud: Cloud) -> None:
    cloud.say(words(1), version=1)
    cloud.say(words(2), version=2)
    account = cloud.account(library, 1, 2)

    assert texts(account, (await pulled(account)).raws) == ["第 1 句", "第 2 句"]
    await remote(account).close()


async def test_control_characters_of_the_library_are_taken_out(cloud: Cloud, account: Account) -> None:
    plain = json.dumps(words(1, "你好")).replace(": ", ":\x07 ").encode() + b"\x00\x1f"
    cloud.say({"msgid": "odd"}, raw=plain)

    assert texts(account, (await pulled(account)).raws) == ["你好"]


async def test_the_parent_gives_no_secret_to_the_child_but_through_the_pipe(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRM_MASTER_KEY", "not for children")
    await pulled(account)

    pid = remote(account).pid
    assert pid is not None
    child = psutil.Process(pid)
    seen = json.dumps([child.cmdline(), child.environ()])
    assert "archive-secret" not in seen
    assert "not for children" not in seen


def test_the_login_is_renewed_before_its_two_hours_are_over(
    library: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.misbehave("Init", "10009", nth=2)
    sdk = Sdk(str(library), cloud.corp_id, SECRET, Proxy())
    sdk.pull(0, 1, 5)

    monkeypatch.setattr("connectors.wecom_archive.native._LIFETIME_S", 0.0)

    with pytest.raises(Code) as renewed:
        sdk.pull(0, 1, 5)
    assert renewed.value.code == 10009


# -- it fails ----------------------------------------------------------------------------------------------
async def test_a_crash_in_the_library_ends_the_child_alone_and_nothing_is_lost(
    cloud: Cloud, account: Account
) -> None:
    for number in range(1, 8):
        cloud.say(words(number))
    cloud.misbehave("GetChatData", "crash", nth=1, once=True)
    cloud.misbehave("DecryptData", "crash", nth=4, once=True)

    raws = await everything(account)

    assert texts(account, raws) == [f"第 {n} 句" for n in range(1, 8)]
    assert not cloud.pending()  # both did happen


async def test_a_hanging_library_is_killed_in_time(
    cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.say(words(1))
    await pulled(account, "9")
    before = remote(account).pid
    assert before is not None
    cloud.misbehave("GetChatData", "hang", once=True)
    monkeypatch.setattr(remotes, "PATIENCE_S", 0.5)

    with pytest.raises(NotSent, match="没有及时答复"):
        await pulled(account)

    assert not psutil.pid_exists(before)
    assert texts(account, await everything(account)) == ["第 1 句"]


async def test_a_child_killed_from_outside_is_replaced(cloud: Cloud, account: Account) -> None:
    cloud.say(words(1))
    await pulled(account)
    pid = remote(account).pid
    assert pid is not None
    os.kill(pid, 9)

    assert texts(account, await everything(account)) == ["第 1 句"]


async def test_one_that_dies_at_once_is_restarted_with_growing_pauses(cloud: Cloud, account: Account) -> None:
    cloud.misbehave("Init", "crash")

    pauses = []
    for _ in range(3):
        with pytest.raises(NotSent) as caught:
            await pulled(account)
        pauses.append(caught.value.retry_after_s or 0)

    assert pauses[0] == 0
    assert pauses[1] == 1
    assert 0 < pauses[2] <= 1  # not even started: the pause is still on


async def test_a_message_on_which_it_always_dies_does_not_stop_the_rest(
    cloud: Cloud, account: Account
) -> None:
    cloud.say(words(1))
    cloud.poison("bad")
    cloud.say(words(3))

    raws = await everything(account)

    assert [raw.source_key for raw in raws] == [
        "msg:1_1772414985_external",
        "sealed:bad",
        "msg:3_1772414985_external",
    ]
    with pytest.raises(Untranslatable, match="无法解密"):
        wecom_archive.translate(context(account), raws[1])


@pytest.mark.parametrize("code", [10001, 10002, 10003])
async def test_passing_trouble_is_tried_again(cloud: Cloud, account: Account, code: int) -> None:
    cloud.misbehave("GetChatData", str(code))

    with pytest.raises(NotSent) as caught:
        await pulled(account)
    assert caught.value.code == str(code)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (10000, "参数"), (10004, "密钥"), (10005, "文件"), (10006, "解密"), (10007, "版本"), (10008, "私钥"),
        (10009, "IP"), (10010, "过期"), (10011, "证书"), (10099, "10099"),
    ],
)  # fmt: skip
async def test_lasting_trouble_says_what_to_do(cloud: Cloud, account: Account, code: int, says: str) -> None:
    cloud.misbehave("GetChatData", str(code))

    with pytest.raises(Rejected, match=says):
        await pulled(account)


@pytest.mark.parametrize("what", ["garbage", "negative"])
async def test_nonsense_from_the_library_is_no_page(cloud: Cloud, account: Account, what: str) -> None:
    cloud.misbehave("GetChatData", what)

    with pytest.raises(NotSent):
        await pulled(account)


async def test_the_child_ends_with_its_parent_even_while_the_library_hangs(
    cloud: Cloud, account: Account
) -> None:
    cloud.misbehave("GetChatData", "hang", once=True)
    asking = asyncio.create_task(pulled(account))
    running = remote(account)
    while cloud.pending():  # noqa: ASYNC110 - another process takes the file away
        await asyncio.sleep(0.02)
    assert running.pid is not None
    child = psutil.Process(running.pid)
    process = running._process  # noqa: SLF001 - only the parent's end of the pipe goes, as when it is killed
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()

    await asyncio.to_thread(psutil.wait_procs, [child], timeout=10)

    assert not child.is_running()
    with pytest.raises(NotSent):
        await asking


# -- keys --------------------------------------------------------------------------------------------------
async def test_a_message_without_its_key_waits_sealed_and_opens_when_the_key_is_there(
    library: Path, cloud: Cloud
) -> None:
    cloud.say(words(1), version=1)
    cloud.say(words(2), version=2)
    before, after = cloud.account(library, 1), cloud.account(library, 1, 2)
    raws = (await pulled(before)).raws
    sealed = raws[1]
    assert sealed.source_key == "sealed:2_1772414985_external"
    assert "第 2 句".encode() not in sealed.payload
    with pytest.raises(Untranslatable, match="缺少版本 2 的私钥"):
        wecom_archive.translate(context(before), sealed)

    (pull,) = wecom_archive.translate(context(after), sealed)
    assert isinstance(pull, Pull)
    page = await wecom_archive.poll(context(after), pull.stream, "", pull.hint)

    assert texts(after, page.raws) == ["第 2 句"]
    assert page.raws[0].source_key == "msg:2_1772414985_external"
    assert page.over
    await remote(before).close()
    await remote(after).close()


async def test_one_that_still_does_not_open_waits_again_and_asks_no_more(library: Path, cloud: Cloud) -> None:
    cloud.seq = 1
    cloud.put("odd", "zz", version=2)
    before, after = cloud.account(library, 1), cloud.account(library, 1, 2)
    (sealed,) = (await pulled(before)).raws
    (pull,) = wecom_archive.translate(context(after), sealed)
    assert isinstance(pull, Pull)

    page = await wecom_archive.poll(context(after), pull.stream, "", pull.hint)

    assert page.raws[0].source_key.startswith("sealed:odd:")
    with pytest.raises(Untranslatable, match="无法解密"):
        wecom_archive.translate(context(after), page.raws[0])
    # Somebody replays it another day: one more try, for the library may have been at fault.
    (again,) = wecom_archive.translate(context(after, now=NOW + timedelta(days=1)), page.raws[0])
    assert isinstance(again, Pull)
    await remote(before).close()
    await remote(after).close()


# -- files -------------------------------------------------------------------------------------------------
def ref(file_id: str, md5: str = "", size: int = 0) -> str:
    return json.dumps([file_id, "照片.jpg", "image/jpeg", size, md5])


async def test_a_file_comes_in_pieces_with_its_nuls(cloud: Cloud, account: Account) -> None:
    content = bytes(range(256)) * 700
    md5 = cloud.file("photo", content, chunk=50_000)

    found = await wecom_archive.media(context(account), ref("photo", md5, len(content)))

    assert (found.content, found.name, found.mime) == (content, "照片.jpg", "image/jpeg")


async def test_a_file_goes_on_from_its_last_piece_after_a_crash(cloud: Cloud, account: Account) -> None:
    content = os.urandom(100_000)
    md5 = cloud.file("film", content, chunk=10_000)
    # Every process may fetch five pieces: from the start, the ten pieces would never come together.
    cloud.misbehave("GetMediaData", "crash", nth=6)

    found = await wecom_archive.media(context(account), ref("film", md5))

    assert found.content == content


async def test_a_file_that_arrives_damaged_is_fetched_again_later(cloud: Cloud, account: Account) -> None:
    cloud.file("photo", b"one thing")

    with pytest.raises(NotSent, match="校验和"):
        await wecom_archive.media(context(account), ref("photo", "0" * 32))


async def test_a_file_that_is_gone_is_given_up(account: Account) -> None:
    with pytest.raises(Rejected, match="文件编号无效"):
        await wecom_archive.media(context(account), ref("nowhere"))


@pytest.mark.parametrize("bad", ["", "[]", "{}", '["a","b","c","d","e"]', "null"])
async def test_a_reference_that_is_none_of_ours_is_refused(account: Account, bad: str) -> None:
    with pytest.raises(Rejected):
        await wecom_archive.media(context(account), bad)


async def test_a_file_above_the_limit_is_not_fetched(
    cloud: Cloud, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.wecom_archive.files.LIMIT", 1000)
    cloud.file("film", bytes(5000), chunk=300)

    for size in (5000, 0):  # said beforehand, or noticed on the way
        with pytest.raises(TooLarge):
            await wecom_archive.media(context(account), ref("film", size=size))


# -- the self-test -----------------------------------------------------------------------------------------
async def probed(account: Account) -> tuple[Severity, str]:
    found = await wecom_archive.probe(context(account))
    worst = next((one for one in found if one.severity is Severity.ERROR), found[-1])
    return worst.severity, worst.sentence


async def test_a_good_set_up_is_called_good(account: Account) -> None:
    assert (await probed(account))[0] is Severity.OK


async def test_the_self_test_says_in_a_sentence_what_is_wrong(
    library: Path, cloud: Cloud, account: Account, tmp_path: Path
) -> None:
    stranger, broken, for_arm = (tmp_path / name for name in ("stranger.so", "broken.so", "arm.so"))
    stranger.symlink_to(next(Path(m.path) for m in psutil.Process().memory_maps() if "libc.so" in m.path))
    broken.write_bytes(b"\x7fELF")
    for_arm.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little") + bytes(100))
    cases = {
        "不存在": cloud.account("/nowhere/lib.so"),
        "不是会话存档 SDK": cloud.account(stranger),
        "没有下载完整": cloud.account(broken),
        "架构": cloud.account(for_arm),
        "version": Account(
            tenant_id=1, account_id=7, slug="a", channel="wecom_archive", name="a",
            options={"corp_id": "ww", "library": str(library)}, secrets={"private_keys": "nonsense"},
        ),
    }  # fmt: skip
    for says, tried in cases.items():
        severity, sentence = await probed(tried)
        assert (severity, says in sentence) == (Severity.ERROR, True), (says, sentence)
        await remote(tried).close()
    cloud.say(words(1), version=2)
    assert "版本 2 的公钥" in (await probed(account))[1]
    cloud.misbehave("GetChatData", "10009")
    assert "IP" in (await probed(account))[1]


async def test_a_return_code_comes_through_the_pipe_as_it_is(account: Account) -> None:
    running = remote(account)
    with pytest.raises(Code) as caught:
        await running.decrypt(b"", b"00")
    assert caught.value.code == 10008
