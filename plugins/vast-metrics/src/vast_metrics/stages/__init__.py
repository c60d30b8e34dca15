"""The stages of this package, which measure while a recipe runs."""
