"""The work board: what is to be done today, for whom, why, and what did it."""
