"""SOPs: what to do with a customer over days, step by step, until the goal is met or somebody says stop."""
