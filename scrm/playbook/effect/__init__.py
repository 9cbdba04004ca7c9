"""Effect: what was offered, what was taken, what came of it, and which of two versions does better."""
