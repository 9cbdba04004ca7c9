"""The pure parts of a household's screens: words for relatives, the picture, what an address carries."""

from __future__ import annotations

from scrm.web.family import rules
from scrm.web.family.graph import generation, picture
from scrm.web.family.rules import Tie
from scrm.web.undone import read, with_done


def test_words_for_relatives_follow_from_what_was_said() -> None:
    parent, grand = Tie(a=1, b=3, type="parent"), Tie(a=4, b=3, type="grandparent")
    assert rules.word(1, [parent, grand], "f") == "妈妈"
    assert rules.word(1, [parent, grand], "") == "家长"
    assert rules.word(4, [parent, grand], "f") == "祖辈"
    assert rules.word(3, [parent, grand], "") == ""
    assert rules.word(2, [Tie(a=1, b=2, type="spouse")], "m") == "配偶"


def test_generations_stand_below_each_other_and_everybody_fits() -> None:
    ties = [Tie(a=1, b=3, type="parent"), Tie(a=4, b=3, type="grandparent")]
    assert [generation(p, ties) for p in (4, 1, 2, 3)] == [0, 1, 1, 2]
    names = {n: f"很长很长的名字{n}" for n in range(1, 9)}

    drawn = picture(names, dict.fromkeys(names, "购买人"), [(t, "父母") for t in ties], loose="同户", told=[])

    assert len(drawn.boxes) == 8
    assert all(0 <= b.x and b.x + 88 <= drawn.width and b.y + 46 <= drawn.height for b in drawn.boxes)
    assert len({(b.x, b.y) for b in drawn.boxes}) == 8
    assert all(b.name.endswith("…") for b in drawn.boxes)


def test_the_address_carries_what_was_done_once_and_nothing_else() -> None:
    where = with_done("/s/c/x?tab=timeline&done=later", "family", "abc-_123")

    assert where == "/s/c/x?tab=timeline&done=family.abc-_123"
    assert read("family.abc-_123") == ("已归到同一个家庭。", "match", "abc-_123")
    assert read("family./evil") == ("已归到同一个家庭。", "", "")
    assert read("nonsense") is None


def test_whom_nobody_spoke_of_hangs_on_whom_somebody_did() -> None:
    drawn = picture(
        {1: "父亲", 2: "母亲", 3: "孩子"},
        {1: "", 2: "", 3: ""},
        [(Tie(a=2, b=3, type="parent"), "妈妈")],
        loose="同户",
        told=[],
    )

    assert [(line.label, line.loose) for line in drawn.lines] == [("妈妈", False), ("同户", True)]
    alone = picture({1: "父亲"}, {1: ""}, [], loose="同户", told=[])
    assert (len(alone.boxes), alone.lines) == (1, ())
