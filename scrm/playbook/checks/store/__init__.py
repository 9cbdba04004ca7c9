"""SQL of checks: a tenant's own rules, what was found afterwards, what leaders let pass."""
