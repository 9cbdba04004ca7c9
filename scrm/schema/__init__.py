"""Every table, on both engines; each key leads with tenant_id."""

from scrm.schema.identity import evidence, node, node_person, person
from scrm.schema.kinds import Instant, metadata
from scrm.schema.people import (
    api_token,
    audit_entry,
    idempotency_key,
    oauth_state,
    presence,
    session,
    staff,
    staff_handle,
    team,
)
from scrm.schema.talk import assignment, conversation, event, event_node, media, suggestion
from scrm.schema.traffic import (
    account,
    cursor,
    data_key,
    due,
    inbox,
    outbox,
    schema_info,
    seen,
    tenant,
    vendor_token,
)
from scrm.schema.walls import OPEN_TABLES, raise_walls, walls

__all__ = [
    "OPEN_TABLES",
    "Instant",
    "account",
    "api_token",
    "assignment",
    "audit_entry",
    "conversation",
    "cursor",
    "data_key",
    "due",
    "event",
    "event_node",
    "evidence",
    "idempotency_key",
    "inbox",
    "media",
    "metadata",
    "node",
    "node_person",
    "oauth_state",
    "outbox",
    "person",
    "presence",
    "schema_info",
    "seen",
    "session",
    "staff",
    "staff_handle",
    "suggestion",
    "team",
    "tenant",
    "vendor_token",
    "walls",
]

raise_walls(metadata)
