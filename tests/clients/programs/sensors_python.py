"""A site's server that uses the Sensors Analytics Python SDK, with or without batches."""

import json
import sys

import sensorsanalytics

given = json.loads(sys.argv[1])
make = sensorsanalytics.BatchConsumer if given["batch"] else sensorsanalytics.DefaultConsumer
consumer = make(given["url"])
sdk = sensorsanalytics.SensorsAnalytics(consumer, given.get("project", "default"))
for call in given["calls"]:
    getattr(sdk, call.pop("do"))(**call)
for _ in range(3):
    try:
        sdk.flush()  # what was not confirmed is still in its buffer
    except OSError:
        continue
    break
else:
    sys.exit("nobody confirms")
sdk.close()
