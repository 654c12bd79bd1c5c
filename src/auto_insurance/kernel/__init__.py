"""The vocabulary that every domain shares. No I/O, no framework."""
