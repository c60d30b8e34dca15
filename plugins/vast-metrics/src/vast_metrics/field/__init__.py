"""Measures of the field: THEval's as published, the same mended, their composites, and published scores."""
