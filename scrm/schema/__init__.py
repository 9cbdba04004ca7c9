"""Every table, on both engines; each key leads with tenant_id."""

from scrm.schema.admin import pulse
from scrm.schema.channels import deed, event_media, fact, job, tally
from scrm.schema.identity import evidence, node, node_person, person
from scrm.schema.kinds import Instant, metadata
from scrm.schema.people import (
    api_token,
    audit_entry,
    calendar_day,
    consent_entry,
    idempotency_key,
    oauth_state,
    presence,
    reach,
    session,
    staff,
    staff_handle,
    team,
)
from scrm.schema.sales import order, order_line, price, product, refund
from scrm.schema.search import search_doc
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
    "calendar_day",
    "consent_entry",
    "conversation",
    "cursor",
    "data_key",
    "deed",
    "due",
    "event",
    "event_media",
    "event_node",
    "evidence",
    "fact",
    "idempotency_key",
    "inbox",
    "job",
    "media",
    "metadata",
    "node",
    "node_person",
    "oauth_state",
    "order",
    "order_line",
    "outbox",
    "person",
    "presence",
    "price",
    "product",
    "pulse",
    "reach",
    "refund",
    "schema_info",
    "search_doc",
    "seen",
    "session",
    "staff",
    "staff_handle",
    "suggestion",
    "tally",
    "team",
    "tenant",
    "vendor_token",
    "walls",
]

raise_walls(metadata)
