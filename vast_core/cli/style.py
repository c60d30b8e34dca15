"""``vast style``: the styles that an avatar knows by name."""

from __future__ import annotations

import click

from ..cli import Commands


@click.group(cls=Commands, group="style")
def style() -> None:
    """Save styles of an avatar under names, and list them.

    \b
    Example:
      vast style save happy.mp4 --run runs/mine --name happy
      vast style list --run runs/mine
      vast synth runs/mine --audio hello.wav --style happy
    """
