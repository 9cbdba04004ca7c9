"""Tables of what to say: scripts with their versions, enclosures and effect, promises, checks, findings."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

# -- the script library ------------------------------------------------------------------------------------
pack = table(
    "pack",
    #: a folder of scripts_library: education, housing ...
    sa.Column("trade", sa.Text, nullable=False),
    instant("since"),
    key=["trade"],
)
script = table(
    "script",
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("trade", sa.Text, nullable=False),
    #: company | team | personal
    text("folder", default="company"),
    ident("team_id", nullable=True),
    ident("owner_id", nullable=True),
    #: the version in force; 0 = none, -1 = taken out
    integer("live_version"),
    instant("changed_at"),
    sa.Index("ix_script_changed", "tenant_id", "changed_at", "code"),
    key=["code"],
)
script_version = table(
    "script_version",
    sa.Column("code", sa.Text, nullable=False),
    integer("version"),
    #: draft | review | live | retired | refused
    text("state", default="draft"),
    #: title, stage, role, delivery, triggers, says, text, examples, channels, fallback, files
    sa.Column("content", sa.JSON, nullable=False),
    text("digest"),
    #: file | page | import | api
    text("source", default="page"),
    #: the file's version it was written over; 0 = no file has this script
    integer("base"),
    ident("author_id", nullable=True),
    ident("reviewer_id", nullable=True),
    text("note"),
    instant("created_at"),
    instant("decided_at", nullable=True),
    instant("starts_at", nullable=True),
    instant("expires_at", nullable=True),
    sa.Index("ix_script_version_state", "tenant_id", "state", "code", "version"),
    key=["code", "version"],
)
#: What goes out with scripts; a version names it by its digest.
enclosure = table(
    "enclosure",
    #: of its name and content
    sa.Column("digest", sa.Text, nullable=False),
    #: where its content is
    ident("media_id"),
    text("name"),
    text("mime"),
    integer("size"),
    ident("author_id", nullable=True),
    instant("created_at"),
    sa.Index("ix_enclosure_media", "tenant_id", "media_id"),
    key=["digest"],
)
#: Two versions of a script side by side; which one a customer gets follows from their address.
trial = table(
    "trial",
    ident("trial_id"),
    sa.Column("code", sa.Text, nullable=False),
    integer("version_a"),
    integer("version_b"),
    #: reply | stage | deal
    text("goal", default="reply"),
    #: running | stopped
    text("state", default="running"),
    #: a | b | "" = nobody can say
    text("verdict"),
    ident("by_id", nullable=True),
    instant("started_at"),
    instant("stopped_at", nullable=True),
    sa.Index("ix_trial_code", "tenant_id", "code", "trial_id"),
    key=["trial_id"],
)

#: What an account may answer by itself, where somebody decided it here: over the setting `auto_answers`.
answer_leave = table(
    "answer_leave",
    ident("account_id"),
    #: first | night | faq
    sa.Column("kind", sa.Text, nullable=False),
    #: on | off
    text("state"),
    ident("by_id", nullable=True),
    instant("changed_at"),
    key=["account_id", "kind"],
)

# -- effect ------------------------------------------------------------------------------------------------
#: What came of a suggestion that was used, once per goal.
outcome = table(
    "outcome",
    ident("suggestion_id"),
    #: reply | stage | deal
    sa.Column("goal", sa.Text, nullable=False),
    instant("at"),
    ident("event_id", nullable=True),
    key=["suggestion_id", "goal"],
)
#: Decayed counts per script, stage and role, each as it was at `at`; rebuilt from suggestions and outcomes.
prior = table(
    "prior",
    sa.Column("script_id", sa.Text, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("shown", sa.Float, nullable=False, server_default="0"),
    sa.Column("used", sa.Float, nullable=False, server_default="0"),
    sa.Column("edited", sa.Float, nullable=False, server_default="0"),
    sa.Column("ignored", sa.Float, nullable=False, server_default="0"),
    sa.Column("replied", sa.Float, nullable=False, server_default="0"),
    sa.Column("moved", sa.Float, nullable=False, server_default="0"),
    sa.Column("dealt", sa.Float, nullable=False, server_default="0"),
    #: plain counts of the last 30 days, for the sentence on a card
    integer("lately_used"),
    integer("lately_replied"),
    instant("at"),
    key=["script_id", "stage", "role"],
)

# -- promises ----------------------------------------------------------------------------------------------
promise = table(
    "promise",
    ident("promise_id"),
    #: message | call | coupon | manual
    text("source", default="message"),
    #: the message that says it, and its place among the promises of that message
    ident("event_id", nullable=True),
    integer("n"),
    ident("account_id", nullable=True),
    ident("conversation_id", nullable=True),
    #: the customer's address it was said to
    ident("node_id"),
    ident("staff_id", nullable=True),
    #: discount | price | off | gift | until | guarantee
    text("kind"),
    #: of the price, in ten-thousandths: 8.5 折 = 8500
    sa.Column("share", sa.Integer, nullable=True),
    sa.Column("fen", sa.BigInteger, nullable=True),
    sa.Column("min_fen", sa.BigInteger, nullable=True),
    #: the thing given, the result promised
    text("text"),
    #: the words that say it
    text("quote"),
    text("product_code"),
    text("product"),
    instant("made_at"),
    #: through the end of that day; NULL = nobody said
    instant("until_at", nullable=True),
    #: live | kept | withdrawn | replaced | expired | void (the message was recalled)
    text("state", default="live"),
    instant("closed_at", nullable=True),
    ident("closed_by", nullable=True),
    text("why"),
    #: a new id at each change: the newest of a household's is its promise version
    ident("changed"),
    sa.UniqueConstraint("tenant_id", "event_id", "n"),
    sa.Index("ix_promise_node", "tenant_id", "node_id", "promise_id"),
    sa.Index("ix_promise_changed", "tenant_id", "node_id", "changed"),
    sa.Index("ix_promise_until", "tenant_id", "state", "until_at", "promise_id"),
    key=["promise_id"],
)

# -- checks ------------------------------------------------------------------------------------------------
#: A tenant's own rule on words, or its own version of a shipped one.
check_rule = table(
    "check_rule",
    sa.Column("code", sa.Text, nullable=False),
    integer("version"),
    #: draft | live | retired
    text("state", default="draft"),
    sa.Column("content", sa.JSON, nullable=False),
    ident("author_id", nullable=True),
    instant("created_at"),
    sa.Index("ix_check_rule_state", "tenant_id", "state", "code", "version"),
    key=["code", "version"],
)
#: What a rep may not send by themselves, and what the leader said to it.
clearance = table(
    "clearance",
    ident("clearance_id"),
    ident("conversation_id"),
    ident("node_id"),
    ident("staff_id"),
    ident("team_id", nullable=True),
    #: keyed hash of the draft: it clears these words and no others
    octets("digest"),
    text("text"),
    #: what the check said: rule ids and sentences
    sa.Column("hits", sa.JSON, nullable=False),
    text("why"),
    #: asked | granted | refused | used
    text("state", default="asked"),
    ident("by_id", nullable=True),
    text("answer"),
    instant("asked_at"),
    instant("decided_at", nullable=True),
    instant("until_at", nullable=True),
    sa.Index("ix_clearance_state", "tenant_id", "state", "asked_at", "clearance_id"),
    sa.Index("ix_clearance_talk", "tenant_id", "conversation_id", "clearance_id"),
    key=["clearance_id"],
)
#: What was said and should not have been; once per key.
finding = table(
    "finding",
    ident("finding_id"),
    sa.Column("key", sa.Text, nullable=False),
    #: promise | words
    text("kind"),
    text("rule"),
    #: block | warn | note
    text("level"),
    ident("event_id", nullable=True),
    ident("conversation_id", nullable=True),
    ident("node_id", nullable=True),
    ident("staff_id", nullable=True),
    ident("team_id", nullable=True),
    ident("promise_id", nullable=True),
    #: the numbers its sentence names
    sa.Column("facts", sa.JSON, nullable=False),
    #: open | handed (compliance decides) | closed
    text("state", default="open"),
    instant("at"),
    instant("closed_at", nullable=True),
    ident("closed_by", nullable=True),
    text("note"),
    sa.UniqueConstraint("tenant_id", "key"),
    sa.Index("ix_finding_state", "tenant_id", "state", "finding_id"),
    sa.Index("ix_finding_node", "tenant_id", "node_id", "finding_id"),
    sa.Index("ix_finding_staff", "tenant_id", "staff_id", "finding_id"),
    key=["finding_id"],
)
