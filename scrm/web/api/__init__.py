"""`/api/v1`: JSON for machines and for tests; the same policies and scopes as the pages."""
