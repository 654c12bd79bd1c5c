"""Benchmarks: one file per claim, each with a ratio against a limit measured in the same run."""

ALL = (
    "store",
    "ingest",
    "end_to_end",
    "scaling",
    "growth",
    "range_query",
    "memory",
    "servers",
    "reads",
    "scoring",
    "quotes",
    "rating",
    "cache",
    "vectors",
)
