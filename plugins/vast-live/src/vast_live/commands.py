"""``vast serve``: an avatar on a web page; ``vast latency``: how late it answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from vast_core.cli.numbers import threads_option

LOOK_AHEAD = click.option(
    "--look-ahead",
    metavar="SECONDS",
    type=click.FloatRange(0, 10, min_open=True),
    default=0.12,
    show_default=True,
    help="How much later sound the audio features may hear. Features without this option keep their own.",
)


@contextmanager
def serve_extra() -> Iterator[None]:
    """Convert missing packages of the extra ``serve`` into an error with the install command.

    Raises :class:`vast_core.errors.InputError`.
    """
    from vast_core.errors import InputError

    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("starlette", "uvicorn", "websockets", "python_multipart"):
            raise
        raise InputError(f'this needs {package}, which is not installed: pip install "vast-avatar[serve]"') from error


@click.command(short_help="Let an avatar speak on a web page.")
@click.argument("run", metavar="[RUN|FILE.vast]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--studio", is_flag=True, help="Make avatars on the page, from clips that are uploaded or recorded there."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --studio: folder of everything that it keeps.  [studio]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 chooses a free one."
)
@click.option(
    "--clients", type=click.IntRange(1), default=4, show_default=True, help="Most clients at a time; others must wait."
)
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, help="Longest visit."
)
@click.option(
    "--megabytes", type=click.IntRange(1), help="Largest file that is accepted.  [64; for clips of the studio 500]"
)
@LOOK_AHEAD
@threads_option
@click.pass_obj
def serve(
    session: Any,
    run: Path | None,
    studio: bool,
    folder: Path | None,
    host: str,
    port: int,
    clients: int,
    minutes: float,
    megabytes: int | None,
    look_ahead: float,
    threads: int | None,
) -> None:
    """Serve the avatar of the finished run RUN, or of a file that `vast pack` wrote; or with --studio make avatars.

    The page shows the avatar, which repeats at once what you say into the microphone, or speaks a file or a text. The
    same is there for programs: POST /speak answers with a video, and the WebSocket /live with a live one; /docs has the
    details.

    \b
    Example:
      vast serve runs/vast_default
      vast serve alma.vast --port 9000
      vast serve --studio
    """
    from vast_core.console import Terminal
    from vast_core.device import use_threads
    from vast_core.errors import InputError

    if studio == (run is not None):
        raise InputError("name a run, or a file of `vast pack`, to serve it; or give --studio alone, to make an avatar")
    if folder is not None and not studio:
        raise InputError("--folder is for --studio")
    with serve_extra():
        from .limits import Limits
        from .serving import load_avatar, serve_avatar
        from .studio.opening import serve_studio
        from .studio.receiving import StudioLimits
    console, limits = Terminal(), Limits(clients=clients, minutes=minutes, megabytes=megabytes or 64)
    console.print(use_threads(threads))
    if run is None:
        serve_studio(
            folder or Path("studio"),
            limits,
            StudioLimits(megabytes=megabytes or 500),
            console,
            host=host,
            port=port,
            look_ahead=look_ahead,
            registry=session.registry,
        )
        return
    with console.status("loading the avatar"):
        avatar = load_avatar(run, look_ahead, session.registry)
    serve_avatar(avatar, limits, console, host=host, port=port)


@click.command(short_help="Measure how late a served avatar answers.")
@click.argument("target", metavar="URL|RUN|FILE.vast")
@click.option(
    "--marks", type=click.IntRange(3, 1000), default=12, show_default=True, help="Number of sounds to wait for."
)
@click.option("--json", "out", type=click.Path(path_type=Path, dir_okay=False), help="File for the figures, as JSON.")
@LOOK_AHEAD
@threads_option
@click.pass_obj
def latency(session: Any, target: str, marks: int, out: Path | None, look_ahead: float, threads: int | None) -> None:
    """Measure the avatar at URL, which `vast serve` serves; a run or a packed file is served for the time.

    Marked sounds are sent as a microphone would send them. When the answer has them, in its sound and in its pictures,
    is found in the answer alone.

    \b
    Example:
      vast latency http://127.0.0.1:8000
      vast latency runs/vast_default --json latency.json
    """
    from vast_core.console import Terminal
    from vast_core.device import use_threads

    with serve_extra():
        from .measuring import measure
        from .serving import load_avatar, served
    console = Terminal()
    if "://" in target:
        with console.status("measuring"):
            found = measure(target, marks)
    else:
        console.print(use_threads(threads))
        with console.status("loading the avatar"):
            avatar = load_avatar(Path(target), look_ahead, session.registry)
        with served(avatar) as url, console.status("measuring"):
            found = measure(url, marks)
    for line in found.lines():
        console.print(line)
    if out is not None:
        found.save(out)
        console.print(f"figures: {out}")
