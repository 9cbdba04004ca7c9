"""Who is who, measured: generated households with their truth, baselines, an oracle and our engine."""
