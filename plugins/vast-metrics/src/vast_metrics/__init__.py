"""Metrics, and their evaluation on runs and videos."""
