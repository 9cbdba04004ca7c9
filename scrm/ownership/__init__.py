"""Whose a customer is and who earns on a deal: claims, rulings, a ledger that is only added to."""
