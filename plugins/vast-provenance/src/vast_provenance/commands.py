"""``vast robustness``: what the watermark survives, measured on any videos."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Measure what the watermark survives.")
@click.argument("videos", metavar="VIDEO...", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1)
@click.option(
    "--pieces", type=click.IntRange(1), default=4, show_default=True, help="Most pieces of each, of 50 frames."
)
@click.option(
    "--keys", type=click.IntRange(0), default=20, show_default=True, help="Other patterns looked for, for false alarms."
)
def robustness(videos: tuple[Path, ...], pieces: int, keys: int) -> None:
    """Mark the videos VIDEO, change them as the web does, and look for the watermark.

    False alarms are counted with other patterns in the same pictures without a mark: none of these is there, whatever
    the pictures show.

    \b
    Example:
      vast robustness me.mp4 you.mp4
    """
    from vast_core.console import Terminal
    from vast_core.errors import InputError

    from .robustness import ATTACKS, measure

    if not videos:
        raise InputError("name the videos to measure on; none is changed")
    console = Terminal()
    with console.status("measuring") as status:
        found = list(measure(videos, most=pieces, keys=keys, told=status.update))
    console.print("| after | found | weakest z | false alarms | strongest z without |")
    console.print("|---|---|---|---|---|")
    for attack in ATTACKS:
        hits = [one.marked[attack] >= one.threshold for one in found]
        wrong = [z for one in found for z in one.other[attack]]
        alarms = sum(z >= one.threshold for one in found for z in one.other[attack])
        strongest = f"{max(wrong):.1f}" if wrong else ""
        weakest = min(one.marked[attack] for one in found)
        console.print(
            f"| {attack} | {sum(hits)} of {len(hits)} | {weakest:.1f} | {alarms} of {len(wrong)} | {strongest} |"
        )
    for size in sorted({one.size for one in found}):
        own = [one for one in found if one.size == size]
        console.print(
            f"{size[1]} x {size[0]}: {len(own)} pieces; PSNR at least {min(one.psnr for one in own):.1f} dB; "
            f"{min(one.milliseconds for one in own):.1f} ms a frame; found from z = {own[0].threshold:.1f}; "
            f"strongest z of the unmarked pieces {max(one.unmarked for one in own):.1f}"
        )
