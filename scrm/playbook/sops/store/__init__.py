"""SQL of SOPs: versions, runs, and whom a date or a silence concerns today."""
