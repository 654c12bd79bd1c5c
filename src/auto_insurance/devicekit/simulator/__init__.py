"""A synthetic fleet that drives: for demonstrations and load tests. Everything that comes out of it is simulated."""
