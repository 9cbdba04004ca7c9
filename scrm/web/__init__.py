"""The doors for people and platforms: pages, fragments, the live stream, callbacks and the API."""
