"""The work board: `/s/today` of a rep, `/lead/today` of a team, and what is done there."""
