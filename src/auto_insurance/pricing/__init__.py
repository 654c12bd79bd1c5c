"""Pricing: a rating plan as data, premiums with their worksheets."""
