"""Measurements of what the package promises about speed and size: `python benchmarks/budgets.py` runs them all."""
