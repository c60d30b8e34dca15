"""``vast study``: a mean opinion score test from its first file to its table."""

from __future__ import annotations

import click


@click.group()
def study() -> None:
    """Let people judge videos: a mean opinion score test as a web application."""
