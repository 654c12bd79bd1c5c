"""The operators' view: read-only SQL over all domains; actions call the domains' services."""
