"""Versioned domain events and topic names: what processes and other systems may rely on."""
