"""SQL of ownership: claims, deals, rulings with their ledger, appeals, versions of the policy."""
