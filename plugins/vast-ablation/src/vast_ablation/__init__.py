"""Runs a recipe in many variants with several seeds, and compares the results."""
