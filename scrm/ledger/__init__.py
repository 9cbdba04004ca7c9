"""What must be provable later: the audit trail."""
