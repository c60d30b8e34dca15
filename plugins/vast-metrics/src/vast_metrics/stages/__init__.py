"""The stages of this package: what is measured while a recipe runs."""
