"""Tables of the timeline: events, conversations and whose they are, media, suggestions."""

from __future__ import annotations

import sqlalchemy as sa

from scrm.schema.kinds import ident, instant, integer, octets, table, text

event = table(
    "event",
    ident("event_id"),
    ident("account_id"),
    sa.Column("source_key", sa.Text, nullable=False),
    integer("version", 1),
    text("kind"),
    text("direction"),
    instant("at"),
    sa.Column("seq", sa.BigInteger, nullable=False),
    text("text"),
    octets("body"),
    #: the conversation partner's node: whose talk this is
    ident("node_id", nullable=True),
    ident("conversation_id", nullable=True),
    ident("staff_id", nullable=True),
    ident("inbox_id", nullable=True),
    sa.Column("recalls", sa.Text, nullable=True),
    #: source key of the message whose words it replaces
    sa.Column("edits", sa.Text, nullable=True),
    instant("edited_at", nullable=True),
    instant("recalled_at", nullable=True),
    ident("superseded_by", nullable=True),
    instant("stored_at"),
    sa.UniqueConstraint("tenant_id", "account_id", "source_key", "version"),
    sa.Index(
        "ix_event_recalls",
        "tenant_id",
        "account_id",
        "recalls",
        sqlite_where=sa.text("recalls IS NOT NULL"),
        postgresql_where=sa.text("recalls IS NOT NULL"),
    ),
    sa.Index(
        "ix_event_edits",
        "tenant_id",
        "account_id",
        "edits",
        sqlite_where=sa.text("edits IS NOT NULL"),
        postgresql_where=sa.text("edits IS NOT NULL"),
    ),
    sa.Index("ix_event_account_at", "tenant_id", "account_id", "at", "seq", "event_id"),
    sa.Index("ix_event_inbox", "tenant_id", "inbox_id"),
    key=["event_id"],
)
event_node = table(
    "event_node",
    ident("node_id"),
    instant("at"),
    sa.Column("seq", sa.BigInteger, nullable=False),
    ident("event_id"),
    ident("account_id"),
    #: actor | other | about
    text("part"),
    #: talk | file | call | order | event; "" = written by a release that did not say
    text("genre"),
    sa.Index("ix_event_node_genre", "tenant_id", "node_id", "genre", "at", "seq", "event_id"),
    key=["node_id", "at", "seq", "event_id"],
    rowid=False,
)
conversation = table(
    "conversation",
    ident("conversation_id"),
    ident("account_id"),
    ident("node_id"),
    #: the vendor's name of the conversation, given back on a push
    text("thread"),
    ident("rep_id", nullable=True),
    ident("team_id", nullable=True),
    #: api | human | ended: who may answer now
    text("session", default="api"),
    instant("waiting_since", nullable=True),
    instant("last_at"),
    instant("last_in_at", nullable=True),
    text("last_text"),
    text("last_kind"),
    text("last_direction"),
    instant("read_at", nullable=True),
    #: the customer had our words before their eyes; NULL where the channel does not say
    instant("seen_at", nullable=True),
    integer("version"),
    instant("created_at"),
    #: new | open | closed
    text("state", default="open"),
    instant("snooze_until", nullable=True),
    instant("closed_at", nullable=True),
    #: given to the rep automatically, and not answered since
    instant("offered_at", nullable=True),
    ident("last_rep_id", nullable=True),
    #: in the public pool since then: no colleague sees it before they take it, or the customer writes
    instant("pooled_at", nullable=True),
    sa.UniqueConstraint("tenant_id", "account_id", "node_id", "thread"),
    sa.Index(
        "ix_conversation_waiting",
        "tenant_id",
        "waiting_since",
        "conversation_id",
        sqlite_where=sa.text("waiting_since IS NOT NULL"),
        postgresql_where=sa.text("waiting_since IS NOT NULL"),
    ),
    sa.Index(
        "ix_conversation_snooze",
        "tenant_id",
        "snooze_until",
        sqlite_where=sa.text("snooze_until IS NOT NULL"),
        postgresql_where=sa.text("snooze_until IS NOT NULL"),
    ),
    sa.Index("ix_conversation_rep", "tenant_id", "rep_id", "last_at", "conversation_id"),
    sa.Index("ix_conversation_team", "tenant_id", "team_id", "last_at", "conversation_id"),
    sa.Index("ix_conversation_node", "tenant_id", "node_id"),
    key=["conversation_id"],
)
media = table(
    "media",
    ident("media_id"),
    text("name"),
    text("mime"),
    octets("content"),
    instant("created_at"),
    #: the customer it was exchanged with: whoever may see them may see it
    ident("node_id", nullable=True),
    key=["media_id"],
)
#: Files a vendor holds for us ahead of time, by our account there.
uploaded = table(
    "uploaded",
    ident("account_id"),
    ident("media_id"),
    #: the vendor's id; "" = it has not taken it yet
    text("name"),
    instant("until_at", nullable=True),
    instant("tried_at"),
    text("error"),
    key=["account_id", "media_id"],
)
assignment = table(
    "assignment",
    ident("assignment_id"),
    ident("conversation_id"),
    ident("from_id", nullable=True),
    ident("to_id", nullable=True),
    #: who decided; None = the rules
    ident("by_id", nullable=True),
    ident("team_id", nullable=True),
    text("rule"),
    #: the numbers the sentence names
    sa.Column("facts", sa.JSON, nullable=False),
    instant("at"),
    sa.Index("ix_assignment_conversation", "tenant_id", "conversation_id", "assignment_id"),
    key=["assignment_id"],
)
suggestion = table(
    "suggestion",
    ident("suggestion_id"),
    ident("conversation_id"),
    #: the message it answers; on opening a chat a mark of the conversation, the day and where it stood
    ident("event_id"),
    integer("rank"),
    sa.Column("script_id", sa.Text, nullable=False),
    integer("script_version"),
    sa.Column("score", sa.Float, nullable=False),
    text("reason"),
    #: shown | used (as it was) | edited | ignored | unfit (the rep said so)
    text("state", default="shown"),
    instant("created_at"),
    #: who was spoken to, and where the sale stood then
    text("stage"),
    text("role"),
    text("channel"),
    #: the arm of a trial: a | b | "" = none ran
    text("arm"),
    ident("node_id", nullable=True),
    ident("staff_id", nullable=True),
    instant("used_at", nullable=True),
    ident("used_event_id", nullable=True),
    #: how far the words sent are from those suggested: 0 (the same) to 1000
    sa.Column("distance", sa.Integer, nullable=True),
    sa.UniqueConstraint("tenant_id", "event_id", "script_id"),
    sa.Index("ix_suggestion_conversation", "tenant_id", "conversation_id", "event_id", "rank"),
    sa.Index("ix_suggestion_script", "tenant_id", "script_id", "created_at", "suggestion_id"),
    sa.Index("ix_suggestion_used", "tenant_id", "conversation_id", "used_at"),
    key=["suggestion_id"],
)
