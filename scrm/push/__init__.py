"""The one door out: may it go to this customer now, and if so, written in one transaction."""
