"""Decoders from audio and style to expression: hybrid."""
