"""``vast compare``: evaluations compared with a first one."""

from __future__ import annotations

from pathlib import Path

import click

from vast_core.cli import Session


@click.command("compare", short_help="Compare evaluations, clip by clip.")
@click.argument(
    "folders",
    metavar="DIR DIR...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option("--measures", metavar="NAME,NAME,...", help="Compare only these measures.  [all]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("compare"),
    show_default=True,
    help="Output folder.",
)
@click.pass_obj
def compare(session: Session, folders: tuple[Path, ...], measures: str | None, out: Path) -> None:
    """Compare evaluations with the first: each DIR is the output of `vast eval`, or a run that it measured.

    Differences are paired by clip, with bootstrap intervals and sign-flip tests. Evaluations with different protocols
    are refused. The unit is the clip, so results apply to these outputs; to find out whether one method is better than
    another, several trainings of each are needed, see `vast ablate`.

    \b
    Example:
      vast compare eval/ours eval/theirs
      vast compare runs/first runs/second --measures lip_vertex_error,psnr --out compare/lips
    """
    from vast_core.console import Terminal
    from vast_core.errors import InputError

    from .compare import FILE
    from .compare import compare as compare_evaluations
    from .compare_page import print_comparison, write_csv, write_page

    session.tell_troubles()
    if out.exists() and not (out / FILE).is_file() and any(out.iterdir()):
        raise InputError(f"{out}: contains files that are not from a comparison; choose another --out")
    only = [name.strip() for name in measures.split(",")] if measures else []
    found = compare_evaluations(folders, only)
    files = [write_page(out, found), found.write(out), write_csv(out, found)]
    console = Terminal()
    console.print(print_comparison(found))
    console.print("written: " + ", ".join(map(str, files)))
