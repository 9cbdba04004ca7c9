"""The local spool: what the database does not take now is kept on this host, acked, and forwarded later."""
