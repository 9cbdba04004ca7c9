"""Deciding whose a deal is, what that earns, and what looks wrong about it. Pure: `as_of` is an argument."""
