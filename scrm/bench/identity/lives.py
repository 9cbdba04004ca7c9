"""What people do: how a family finds us, asks, pays and learns, each event written by the pen."""

from __future__ import annotations

from scrm.bench.identity.people import Household, Person
from scrm.bench.identity.told import Pen
from scrm.bench.identity.values import Ident, Relation


class Life:
    """One household's time with us."""

    def __init__(self, pen: Pen, home: Household) -> None:
        self._pen, self._home = pen, home
        self._added: list[Person] = []
        self._registered = False

    def live(self) -> None:
        pen, home = self._pen, self._home
        if pen.chance(0.25):
            self._reported()
        for who in home.adults:
            main = who in (home.registrar, home.decider, *home.payers)
            self._follow(who, 0.5 if main else 0.15)
            self._add(who, 0.65 if main else 0.2)
        if pen.chance(0.85):
            self._register()
        self._look()
        self._talk()
        self._call()
        if home.children or pen.chance(0.5):
            self._pay()
        for child in home.children:
            self._learn(child)
        if pen.chance(0.25):
            self._sign()

    def _at(self, since: float = 0.0, until: float = 1.0) -> float:
        return self._home.start + self._home.days * self._pen.rng.uniform(since, until)

    def _many(self, low: int, high: int) -> range:
        return range(round(self._pen.rng.randint(low, high) * self._pen.shape.busy))

    # -- the account ------------------------------------------------------------------------------------
    def _account(self, share: float = 1.0) -> tuple[Ident | None, Relation | None]:
        """The family's account on an event: as an identifier, or as something the actor belongs to."""
        pen, home = self._pen, self._home
        if not self._registered or not pen.chance(share):
            return None, None
        if pen.shape.account == "id":
            return Ident("app_user", "app", home.account), None
        return None, Relation("same_household", Ident("app_user", "app", home.account))

    def _slot(self, who: Person) -> str:
        """Who of the account it was: nobody else than its registrar is its holder."""
        if who is self._home.registrar or (who.adult and self._pen.shape.loose):
            return self._pen.slot("holder")
        return "unknown" if who.adult else self._pen.slot("learner")

    # -- ways in ----------------------------------------------------------------------------------------
    def _reported(self) -> None:
        pen, home = self._pen, self._home
        who = pen.rng.choice(home.adults)
        ids = [pen.reported(who, home), Ident("broker", "", home.broker)]
        pen.note(self._at(0, 0.1), "broker_report", who, home, ids, slot="unknown", name=pen.name(who))

    def _register(self) -> None:
        pen, home = self._pen, self._home
        who, self._registered = home.registrar, True
        account, relation = self._account()
        ids = [pen.phone(who, home), account]
        if pen.chance(pen.shape.devices):
            ids.append(pen.device(who, home, at_home=0.25))
        if pen.chance(0.4):
            ids += [pen.openid(who, "mp"), pen.unionid(who, "mp")]
        friend = pen.friend(home, "referral") if pen.chance(0.3) else None
        name = pen.name(who)
        pen.note(
            self._at(0.02, 0.2), "register", who, home, ids,
            relations=[relation, friend], role="registrant", name=name,
        )  # fmt: skip
        if pen.chance(0.06):  # the other one, not knowing of it, with an account of their own
            others = [p for p in home.adults if p is not who]
            if others:
                other = pen.rng.choice(others)
                own = Ident("app_user", "app", home.account + "b")
                pen.note(self._at(0.3), "register", other, home, [pen.phone(other, home), own])

    def _follow(self, who: Person, share: float) -> None:
        pen, home = self._pen, self._home
        if pen.chance(share):
            ids = [pen.openid(who, "oa"), pen.unionid(who, "oa")]
            pen.note(self._at(0, 0.5), "oa_follow", who, home, ids, slot="holder")
        if pen.chance(share + 0.1):
            device = pen.device(who, home, at_home=0.1) if pen.chance(pen.shape.devices) else None
            for _ in self._many(1, 3):
                ids = [pen.openid(who, "mp"), pen.unionid(who, "mp"), device]
                if pen.chance(0.25):
                    ids.append(pen.phone(who, home))
                pen.note(self._at(), "mp_open", who, home, ids, slot="holder")

    def _add(self, who: Person, share: float) -> None:
        pen, home = self._pen, self._home
        if not pen.chance(share):
            return
        self._added.append(who)
        ids = [pen.external(who), pen.unionid(who, "wecom")]
        if pen.chance(0.35):
            ids.append(pen.phone(who, home))
        pen.note(self._at(0.05, 0.4), "wecom_add", who, home, ids, name=pen.name(who, nick=0.3))

    # -- days -------------------------------------------------------------------------------------------
    def _look(self) -> None:
        """Browsing: signed in or not, on one's own device or on the one at home."""
        pen, home = self._pen, self._home
        for who in home.members:
            if not pen.chance(0.6 if who in (home.registrar, home.decider) else 0.25):
                continue
            for _ in self._many(1, 4):
                account, relation = self._account(pen.shape.account_on_browse)
                ids = [account, pen.device(who, home, at_home=0.25 if who.adult else 0.5)]
                slot = self._slot(who)
                pen.note(self._at(0.1), "browse", who, home, ids, relations=[relation], slot=slot)

    def _talk(self) -> None:
        pen, home = self._pen, self._home
        for who in self._added:
            decides = who is home.decider
            for _ in self._many(2, 7) if decides else self._many(0, 3):
                role = "buyer" if decides else "member"
                name = pen.name(who, nick=0.3) if pen.chance(0.3) else ""
                pen.note(self._at(0.1), "chat", who, home, [pen.external(who)], role=role, name=name)
            others = [p for p in home.members if p is not who]
            if others and pen.chance(0.4):
                self._tell(who, pen.rng.choice(others), "statement")
            spouses = [p for p in home.adults if p is not who and p.external]
            if spouses and pen.chance(0.2):
                self._tell(who, spouses[0], "card_forward")
            if home.friend and pen.chance(0.3):
                relation = pen.friend(home, pen.rng.choice(("referral", "other", "co_parent")))
                kind = pen.rng.choice(("chat", "card_forward"))
                pen.note(self._at(0.3), kind, who, home, [pen.external(who)], relations=[relation])

    def _tell(self, who: Person, other: Person, kind: str) -> None:
        pen, home = self._pen, self._home
        relations = [pen.family(other, home)]
        pen.note(self._at(0.2), kind, who, home, [pen.external(who)], relations=relations)

    def _call(self) -> None:
        pen, home = self._pen, self._home
        for who in home.adults:
            if pen.chance(0.35 if who.part != "grandma" else 0.15):
                for _ in self._many(1, 2):
                    ids = [pen.caller(who, home)]
                    name = pen.name(who) if pen.chance(0.4) else ""
                    role = "buyer" if who is home.decider else "member"
                    pen.note(self._at(0.05), "call", who, home, ids, slot="unknown", role=role, name=name)

    # -- business ---------------------------------------------------------------------------------------
    def _pay(self) -> None:
        pen, home = self._pen, self._home
        for who in home.payers:
            for _ in self._many(1, 2):
                account, relation = self._bought_in(who)
                learner = None
                if home.children and pen.chance(0.4):
                    number = pen.rng.choice(home.children).learner
                    learner = Relation("same_household", Ident("learner", "school", number))
                way = pen.rng.random()
                ids = [account]
                if way < 0.7:
                    ids.append(pen.phone(who, home))
                if way > 0.45:
                    ids += [pen.openid(who, "mp"), pen.unionid(who, "mp")]
                if pen.chance(0.3):
                    ids.append(Ident("address", "", home.address))
                relations = [relation, learner]
                name = pen.name(who)
                pen.note(self._at(0.4), "order", who, home, ids, relations=relations, role="payer", name=name)

    def _bought_in(self, who: Person) -> tuple[Ident | None, Relation | None]:
        """The account an order is for: the payer's own, or that of their family."""
        pen, home = self._pen, self._home
        if not self._registered:
            return None, None
        own = who is home.registrar and pen.shape.account == "id" and pen.chance(0.5)
        if own or (pen.shape.loose and pen.chance(0.3)):
            return Ident("app_user", "app", home.account), None
        return None, Relation("same_household", Ident("app_user", "app", pen.typed_account(home)))

    def _learn(self, child: Person) -> None:
        pen, home = self._pen, self._home
        for _ in self._many(2, 6):
            numbered = not self._registered or pen.chance(pen.shape.learner_number)
            ids: list[Ident | None] = [Ident("learner", "school", child.learner) if numbered else None]
            account, relation = (None, None)
            if not numbered:
                account, relation = self._account()
            elif self._registered and pen.chance(0.5):
                relation = Relation("same_household", Ident("app_user", "app", home.account))
            ids.append(account)
            if pen.chance(pen.shape.devices) or not any(ids):
                ids.append(pen.device(child, home, at_home=0.5))
            relations, name = [relation], pen.name(child) if pen.chance(0.3) else ""
            at = self._at(0.5)
            pen.note(
                at, "class", child, home, ids, relations=relations, slot="learner", role="user", name=name
            )

    def _sign(self) -> None:
        pen, home = self._pen, self._home
        first = home.payers[0]
        others = [p for p in home.adults if p is not first and p.part != "grandma"]
        at = self._at(0.6)
        ids = [Ident("id_card", "", first.card), pen.phone(first, home)]
        learner = None
        if home.children and pen.chance(0.4):
            learner = Relation("same_household", Ident("learner", "school", home.children[0].learner))
        name = pen.name(first)
        pen.note(at, "contract", first, home, ids, relations=[learner], role="payer", name=name)
        if others and pen.chance(0.4):
            other = others[0]
            ids = [Ident("id_card", "", other.card), pen.phone(other, home)]
            relation = Relation("same_household", Ident("id_card", "", first.card))
            pen.note(at + 0.01, "cosign", other, home, ids, relations=[relation], name=pen.name(other))
