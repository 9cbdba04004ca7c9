"""Where SOPs meet the house: what happened, whom it concerns, what a step does, how it would have been."""
