"""Tenants, their accounts on channels with sealed secrets, and the connector each account is plugged into."""
