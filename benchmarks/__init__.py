"""Measurements. Nothing of the product imports this."""
