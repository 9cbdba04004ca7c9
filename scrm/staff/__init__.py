"""Our own people: reps, leads and admins, their teams, sessions, tokens, and what each role may do."""
