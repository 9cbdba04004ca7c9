"""A site's server that uses Segment's Python library as its manual says."""

import json
import sys

from segment.analytics import Client

given = json.loads(sys.argv[1])
errors: list[str] = []
client = Client(
    given["write_key"],
    host=given["host"],
    gzip=given["gzip"],
    upload_interval=0.2,
    on_error=lambda error, _items: errors.append(repr(error)),
)
for call in given["calls"]:
    getattr(client, call.pop("do"))(**call)
client.flush()
client.shutdown()
if errors:
    sys.exit("\n".join(errors))
