"""Adapters to the outside: settings, database, log, cache, HTTP, child processes. No domain knowledge."""
