"""Writes new plugin packages: ``vast plugins new``."""
