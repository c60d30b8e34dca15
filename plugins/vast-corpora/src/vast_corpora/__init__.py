"""Corpora: synthetic clips, folders of videos, and speech."""
