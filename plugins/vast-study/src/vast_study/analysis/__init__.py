"""From raw votes to results: screening, mean scores, models, agreement, the report.

Axis letters of this package: ``Q`` questions, ``J`` judges, ``K`` systems, ``N`` clips. A missing vote is NaN.
"""
