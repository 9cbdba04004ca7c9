"""What connectors share: the callback codec, the guarded client, tokens and the vendors' error codes."""
