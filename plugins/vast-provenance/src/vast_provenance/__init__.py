"""Marks of synthetic media: container metadata, C2PA manifest and watermark, and how they are read again."""
