"""Fits claim frequency on tables of exposure and claim counts, proves it out of sample, and writes what it fitted."""
