"""Driver-facing reads that need several domains."""
