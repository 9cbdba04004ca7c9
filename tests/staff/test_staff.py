"""Our own people: passwords that lock, sessions that end, sign-in states used once, tokens, policies."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from scrm import schema
from scrm.db import Conn, Database
from scrm.errors import BadInput, NotFound, NotSignedIn
from scrm.seal import token_hash
from scrm.staff import rules, service, store
from scrm.staff.rules import ROLES, Actor, Policy, Scope
from tests.ground import NOW, later

PASSWORD = "correct horse battery"


async def hire(
    conn: Conn, login: str = "li", *, role: str = "rep", password: str = PASSWORD, team: str = "A"
) -> int:
    return await service.add(conn, login=login, name="李", role=role, team=team, password=password, now=NOW)


async def knock(conn: Conn, password: str = PASSWORD, *, after_s: float = 0, login: str = "li") -> int | None:
    hashed = await service.hash_of(conn, login)
    good = await service.fits(hashed, password)
    return await service.check_in(conn, login, good=good, hashed=hashed, now=later(after_s))


async def test_the_right_password_opens(database: Database) -> None:
    async with database.begin(1) as conn:
        ident = await hire(conn)

        assert await knock(conn) == ident
        assert await knock(conn, "wrong") is None
        assert await knock(conn, login="nobody") is None
        assert await knock(conn, "nobody", login="nobody") is None  # the dummy's own password


async def test_a_password_is_stored_as_an_argon2_hash_only(database: Database) -> None:
    async with database.begin(1) as conn:
        await hire(conn)
        stored = await conn.scalar(sa.select(schema.staff.c.password))

    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


async def test_one_without_a_password_cannot_sign_in_with_any(database: Database) -> None:
    async with database.begin(1) as conn:
        await hire(conn, password="")

        assert await knock(conn, "") is None
        assert await knock(conn, "nobody") is None  # the dummy's password


async def test_ten_failures_close_the_login_for_a_quarter_of_an_hour(database: Database) -> None:
    async with database.begin(1) as conn:
        ident = await hire(conn)
        for _ in range(9):
            await knock(conn, "wrong")
        assert await knock(conn) == ident  # the ninth was not yet too many, and it starts counting anew
        for _ in range(10):
            await knock(conn, "wrong")

        assert await knock(conn) is None
        assert await knock(conn, after_s=899) is None
        assert await knock(conn, after_s=901) == ident


async def test_a_locked_login_locks_nobody_else(database: Database) -> None:
    async with database.begin(1) as conn:
        await hire(conn)
        other = await hire(conn, "wang")
        for _ in range(10):
            await knock(conn, "wrong")

        assert await knock(conn, login="wang") == other


async def _dismiss(conn: Conn, ident: int) -> None:
    await conn.run(sa.update(schema.staff).where(schema.staff.c.staff_id == ident).values(state="left"))


async def test_who_left_is_out_everywhere_at_once(database: Database) -> None:
    async with database.begin(1) as conn:
        ident = await hire(conn)
        session = await service.open_session(conn, ident, now=NOW, hours=8)
        token = await service.new_token(conn, "rep", "li", now=NOW)
        await _dismiss(conn, ident)

        assert await knock(conn) is None
        assert await service.actor_of_session(conn, session, now=NOW) is None
        assert await service.actor_of_token(conn, token) is None


@pytest.mark.parametrize(("role", "password"), [("boss", PASSWORD), ("rep", "short")])
async def test_unknown_roles_and_short_passwords_are_refused(
    database: Database, role: str, password: str
) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(BadInput):
            await hire(conn, role=role, password=password)


async def test_hiring_again_changes_the_member_and_keeps_the_password_unless_given(
    database: Database,
) -> None:
    async with database.begin(1) as conn:
        ident = await hire(conn)
        assert await hire(conn, role="lead", password="", team="B") == ident
        member = (await store.members(conn, [ident]))[ident]

        assert (member.role, member.team_id) == ("lead", await store.team_id(conn, "B"))
        assert await knock(conn) == ident
        assert len(await store.all_members(conn)) == 1


# -- sessions ----------------------------------------------------------------------------------------------
async def test_a_session_names_its_member_until_it_expires(database: Database) -> None:
    async with database.begin(1) as conn:
        ident = await hire(conn, role="lead")
        token = await service.open_session(conn, ident, now=NOW, hours=8)
        actor = await service.actor_of_session(conn, token, now=later(8 * 3600 - 1))

        assert actor is not None
        assert (actor.staff_id, actor.role, actor.tenant_id, actor.by_token) == (ident, "lead", 1, False)
        assert await service.actor_of_session(conn, token, now=later(8 * 3600)) is None
        assert await service.actor_of_session(conn, token + "x", now=NOW) is None


async def test_sessions_end_one_or_all(database: Database) -> None:
    async with database.begin(1) as conn:
        ident, other = await hire(conn), await hire(conn, "wang")
        tokens = [await service.open_session(conn, i, now=NOW, hours=8) for i in (ident, ident, ident, other)]
        await store.end_session(conn, token_hash(tokens[0]), now=NOW)
        alive = [await service.actor_of_session(conn, t, now=NOW) is not None for t in tokens]
        await store.end_sessions(conn, ident, now=NOW)
        after = [await service.actor_of_session(conn, t, now=NOW) is not None for t in tokens]

    assert alive == [False, True, True, True]
    assert after == [False, False, False, True]


async def test_a_changed_password_or_role_ends_the_sessions_that_knew_the_old_one(database: Database) -> None:
    async with database.begin(1) as conn:
        ident = await service.add(conn, login="wang", name="王", role="rep", password="old password", now=NOW)
        before = await service.open_session(conn, ident, now=NOW, hours=8)

        again = await service.add(
            conn, login="wang", name="王", role="lead", password="new password", now=NOW
        )
        after = await service.open_session(conn, ident, now=NOW, hours=8)

        assert again == ident
        assert await service.actor_of_session(conn, before, now=NOW) is None
        assert await service.actor_of_session(conn, after, now=NOW) is not None


async def test_secrets_are_stored_as_hashes(database: Database) -> None:
    async with database.begin(1) as conn:
        session = await service.open_session(conn, await hire(conn), now=NOW, hours=8)
        token = await service.new_token(conn, "admin", "", now=NOW)
        state = await service.open_door(conn, 11, "/inbox", now=NOW)
        held = [
            await conn.scalar(sa.select(column))
            for column in (
                schema.session.c.token_hash,
                schema.api_token.c.token_hash,
                schema.oauth_state.c.state_hash,
            )
        ]

    assert held == [token_hash(session), token_hash(token), token_hash(state)]


# -- signing in at the vendor ------------------------------------------------------------------------------
async def test_a_sign_in_state_works_once(database: Database) -> None:
    async with database.begin(1) as conn:
        state = await service.open_door(conn, 11, "/inbox", now=NOW)

        assert await service.close_door(conn, 11, state, now=NOW) == "/inbox"
        with pytest.raises(NotSignedIn):
            await service.close_door(conn, 11, state, now=NOW)


@pytest.mark.parametrize(
    ("account_id", "after", "known"),
    [
        (11, timedelta(minutes=5), True),  # five minutes are over
        (12, timedelta(0), True),  # made for another account
        (11, timedelta(0), False),  # never made by us
    ],
)
async def test_a_sign_in_state_that_is_late_foreign_or_made_up_is_refused(
    database: Database, account_id: int, after: timedelta, known: bool
) -> None:
    async with database.begin(1) as conn:
        state = await service.open_door(conn, 11, "/inbox", now=NOW)

        with pytest.raises(NotSignedIn):
            await service.close_door(conn, account_id, state if known else "made-up", now=NOW + after)
    async with database.begin(1) as conn:
        kept = await service.open_door(conn, 11, "/inbox", now=NOW)
        assert await service.close_door(conn, 11, kept, now=NOW + timedelta(seconds=299)) == "/inbox"


async def test_a_state_is_letters_and_digits(database: Database) -> None:
    async with database.begin(1) as conn:
        states = [await service.open_door(conn, 11, "/", now=NOW) for _ in range(50)]

    assert all(s.isalnum() and s.isascii() and len(s) <= 128 for s in states)
    assert len(set(states)) == 50


async def test_a_vendor_user_is_bound_to_one_member(database: Database) -> None:
    async with database.begin(1) as conn:
        first, second = await hire(conn), await hire(conn, "wang")
        await store.bind(conn, "corp", "zhang", first)
        await store.bind(conn, "corp", "zhang", second)
        await store.bind(conn, "corp2", "zhang", first)

        pairs = [("corp", "zhang"), ("corp2", "zhang"), ("corp", "nobody")]
        assert await store.bound(conn, pairs) == {("corp", "zhang"): second, ("corp2", "zhang"): first}
        assert await store.bound(conn, []) == {}


# -- tokens ------------------------------------------------------------------------------------------------
async def test_a_members_token_has_the_members_role_whatever_was_asked(database: Database) -> None:
    async with database.begin(1) as conn:
        ident = await hire(conn)
        actor = await service.actor_of_token(conn, await service.new_token(conn, "admin", "li", now=NOW))

    assert actor is not None
    assert (actor.role, actor.staff_id, actor.by_token) == ("rep", ident, True)


async def test_a_machines_token_has_its_own_role_and_no_member(database: Database) -> None:
    async with database.begin(1) as conn:
        token = await service.new_token(conn, "compliance", "", now=NOW)
        actor = await service.actor_of_token(conn, token)

        assert actor is not None
        assert (actor.role, actor.staff_id, actor.label) == ("compliance", None, "token:compliance")
        assert await service.actor_of_token(conn, token[:-1]) is None


async def test_tokens_for_nobody_or_of_no_role_are_refused(database: Database) -> None:
    async with database.begin(1) as conn:
        with pytest.raises(NotFound):
            await service.new_token(conn, "rep", "nobody", now=NOW)
        with pytest.raises(BadInput):
            await service.new_token(conn, "root", "", now=NOW)


async def test_preferences_stay(database: Database) -> None:
    async with database.begin(1) as conn:
        ident = await hire(conn)
        await store.set_prefs(conn, ident, locale="en", theme="dark", shortcuts=False)
        token = await service.open_session(conn, ident, now=NOW, hours=1)
        actor = await service.actor_of_session(conn, token, now=NOW)

    assert actor is not None
    assert (actor.locale, actor.theme, actor.shortcuts) == ("en", "dark", False)


# -- rules -------------------------------------------------------------------------------------------------
def actor(role: str, staff_id: int | None = 1) -> Actor:
    return Actor(tenant_id=1, role=role, staff_id=staff_id, team_id=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "roles"),
    [
        (Policy.SIGNED_IN, set(ROLES)),
        (Policy.TALK, {"rep", "lead"}),
        (Policy.API_DATA, {"rep", "lead", "compliance", "admin"}),
        (Policy.API_JUDGE, {"lead", "compliance", "admin"}),
        (Policy.API_ADMIN, {"admin"}),
    ],
)
def test_policies_let_in_exactly_their_roles(policy: Policy, roles: set[str]) -> None:
    assert {role for role in ROLES if rules.allows(policy, actor(role))} == roles
    assert not rules.allows(policy, None)


def test_everybody_may_what_is_public_and_every_policy_is_decided() -> None:
    assert rules.allows(Policy.PUBLIC, None)
    assert all(isinstance(rules.allows(policy, actor("rep")), bool) for policy in Policy)


@pytest.mark.parametrize(
    ("who", "scope"),
    [
        (actor("rep"), Scope(rep_id=1, team_id=4)),
        (actor("lead"), Scope(rep_id=1, team_id=4, whole_team=True)),
        (actor("admin"), rules.NOTHING),  # a person: case by case only
        (actor("compliance"), rules.NOTHING),
        (actor("marketing"), rules.NOTHING),
        (actor("admin", None), Scope(everything=True)),
        (actor("compliance", None), Scope(everything=True)),
        (actor("rep", None), rules.NOTHING),
        (actor("marketing", None), rules.NOTHING),
    ],
)
def test_scopes(who: Actor, scope: Scope) -> None:
    assert rules.scope(who) == scope


@pytest.mark.parametrize(
    ("value", "shown"),
    [("13800001234", "138****1234"), ("12345678", "****"), ("", "****"), ("123456789", "123****6789")],
)
def test_identifiers_are_masked_for_everybody_but_an_admins_machine(value: str, shown: str) -> None:
    assert rules.masked(actor("rep"), value) == shown
    assert rules.masked(actor("admin"), value) == shown
    assert rules.masked(actor("admin", None), value) == value
