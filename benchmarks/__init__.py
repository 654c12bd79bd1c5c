"""Benchmarks: one file per claim, each with a ratio against a limit measured in the same run."""
