"""``vast forget``: remove what was made of a person's footage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..runs.forgetting import Trace


@click.command()
@click.argument("speaker")
@click.option(
    "--runs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with runs below it; can be repeated. [default: runs]",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
def forget(speaker: str, runs: tuple[Path, ...], dry_run: bool, yes: bool) -> None:
    """Remove everything that was made of SPEAKER's footage, from the cache and from runs.

    SPEAKER is the name that the corpus gives the person. A run goes as a whole if it was trained with the footage,
    because its weights have learned from it. The footage itself is not touched, but copies of footage that a recipe
    named by URL go, and so does what is in a cache at a URL. What cannot be reached is listed.

    \b
    Example:
      vast forget ann --dry-run
      vast forget ann --runs runs --runs /data/ablations
    """
    from contextlib import ExitStack

    from ..console import plain_console
    from ..errors import InputError
    from ..places import cache_root
    from ..runs.directory import ENVIRONMENT
    from ..runs.forgetting import traces
    from ..runs.lock import held

    console = plain_console()
    folders = list(runs) or [folder for folder in (Path("runs"),) if folder.is_dir()]
    own = traces(speaker, cache_root(), folders)
    for trace in own.found:
        console.print(f"{trace.path}: {trace.what}", soft_wrap=True)
    if not own.found:
        console.print(f"Nothing of {speaker} was found in {cache_root()} and in {len(folders)} folders of runs.")
    elif dry_run:
        console.print(f"{len(own.found)} folders would be removed.")
    else:
        if not yes and not click.confirm(f"Remove these {len(own.found)} folders?"):
            raise InputError("nothing was removed")
        with ExitStack() as locks:
            for trace in own.found:  # before anything is removed: no run may be under the hands of a process
                if (trace.path / ENVIRONMENT).is_file():
                    locks.enter_context(held(trace.path))
            for trace in own.found:
                _remove(trace)
        console.print(f"{len(own.found)} folders were removed.")
    console.print("Not reached:", style="bold")
    for path, what in own.unclear:
        console.print(f"- {path}: {what}; remove it if it is of {speaker}", soft_wrap=True)
    for footage in own.footage:
        console.print(f"- the footage: {footage}", soft_wrap=True)
    for what in (
        "packed avatars (.vast), saved styles and videos outside these runs",
        "runs elsewhere, and runs that started from weights of these",
        "what was uploaded, sent or copied, and backups",
    ):
        console.print(f"- {what}")


def _remove(trace: Trace) -> None:
    """Remove a folder or file, and what it stands for at a URL; a folder of the cache once nobody works in it."""
    import shutil
    from contextlib import nullcontext

    from ..errors import StorageError
    from ..files.remote import removed_there
    from ..runs.directory import ENVIRONMENT
    from ..runs.lock import held

    path = trace.path
    own = trace.locked and not (path / ENVIRONMENT).is_file()  # runs are locked already
    try:
        with held(path) if own else nullcontext():
            if trace.there:
                removed_there(path)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed ({error.strerror}); run the command again") from error
