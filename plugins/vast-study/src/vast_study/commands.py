"""``vast study``: a test with human judges, of ratings or preferences, from the study file to the results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click


@click.group(short_help="Ask people in the browser: scores, or preferences.")
def study() -> None:
    """Let judges rate videos, or choose between two, in a web application."""


STUDY = click.argument("file", metavar="STUDY.YAML", type=click.Path(path_type=Path, dir_okay=False))
"""The argument of every command but ``new``."""


@contextmanager
def study_extra() -> Iterator[None]:
    """Convert missing packages of the extra ``study`` into an error with the install command.

    Raises :class:`vast_core.errors.InputError`.
    """
    from vast_core.errors import InputError

    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("sqlalchemy", "starlette", "uvicorn"):
            raise
        raise InputError(
            f'`vast study` needs {package}, which is not installed: pip install "vast-avatar[study]"'
        ) from error


@study.command(short_help="Write a commented study.yaml.")
@click.argument("file", metavar="STUDY.YAML", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--system",
    "systems",
    metavar="NAME=FOLDER",
    multiple=True,
    required=True,
    help="Name and folder of videos of a system; repeatable.",
)
@click.option("--reference", metavar="NAME", help="Name of the system that is a recording, if any.")
@click.option(
    "--template",
    metavar="NAME|FILE",
    help="Questions: vast, acr, preference, or a file of yours.  [vast; with --preference: preference]",
)
@click.option("--preference", is_flag=True, help="Two videos side by side and a forced choice, instead of scores.")
@click.option("--title", default="How good are these talking faces?", show_default=True, help="Title shown to judges.")
@click.option("--contact", metavar="TEXT", help="Contact for questions of judges.  [to be filled in]")
@click.option(
    "--judges", type=click.IntRange(1, 9999), default=15, show_default=True, help="Number of judges the study needs."
)
def new(
    file: Path,
    systems: tuple[str, ...],
    reference: str | None,
    template: str | None,
    preference: bool,
    title: str,
    contact: str | None,
    judges: int,
) -> None:
    """Write STUDY.YAML with all options and a comment on each.

    Videos with the same name in the folders show the same words. Nothing is prepared yet, and existing files are never
    overwritten.

    \b
    Example:
      vast study new mos.yaml --system ours=out/ours --system baseline=out/baseline
      vast study new mos.yaml --system ours=a --system recorded=b --reference recorded --template acr
      vast study new ab.yaml --preference --system ours=a --system theirs=b --system older=c
    """
    from .new import write_study
    from .study import TestKind

    questions = template or ("preference" if preference else "vast")
    test: TestKind = "preference" if preference else "ratings"
    click.echo(write_study(file, systems, reference, questions, title, contact, judges, test))


@study.command(short_help="Compute the results.")
@STUDY
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Output folder.  [STUDY.study/report]")
@click.option("--keep-all", is_flag=True, help="Leave no judge out, whatever the screening finds.")
def report(file: Path, out: Path | None, keep_all: bool) -> None:
    """Print mean scores, intervals and tests, and which judges were left out and why; write a page, a table and JSON.

    STUDY.YAML is the file of the study. Can be run at any time, even while judges are at work. Scores of judges who
    withdrew are excluded.
    """
    with study_extra():
        from vast_core.console import Terminal

        from .analysis.commands import report as report_study
        from .reading import read_study

        report_study(read_study(file, sources=False), Terminal(), out=out, keep_all=keep_all)


@study.command(short_help="Write every score as a table.")
@STUDY
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="CSV file.  [STUDY.study/votes.csv]")
def export(file: Path, out: Path | None) -> None:
    """Write every score of judges who did not withdraw to a CSV file, one per line, including training, gold and traps.

    STUDY.YAML is the file of the study.

    \b
    Columns:
      judge           number of the judge
      kind            rated, training, gold or trap
      system, clip    what was shown; known clips have no system
      question        name of the question
      score           1 to 5; in a preference test 1 for left, 2 for right
      left            in a preference test, the system on the left
      block           0 is the training
      position        place in the judge's order, from 0
      seconds         length of the video
      latency         seconds from the end of the first playback to the first score
      changes         number of times the score was changed
      expected_low    lowest correct score, for known clips
      expected_high   highest correct score

    Text that a spreadsheet would run as a formula is preceded by an apostrophe.
    """
    with study_extra():
        from vast_core.console import Terminal

        from .analysis.commands import export as export_study
        from .reading import read_study

        export_study(read_study(file, sources=False), Terminal(), out=out)


@study.command(short_help="Compare measures with the votes.")
@STUDY
@click.option(
    "--eval",
    "evaluations",
    metavar="NAME=FOLDER",
    multiple=True,
    help="Results of `vast eval` for a system; repeatable.  [measured now]",
)
@click.option(
    "--protocol", "protocol", default="v2", show_default=True, help="Protocol with which other systems are measured."
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Output folder.  [STUDY.study/correlation]"
)
@click.pass_context
def correlate(
    context: click.Context, file: Path, evaluations: tuple[str, ...], protocol: str, out: Path | None
) -> None:
    """Print how far each measure of `vast eval` agrees with the judges, and write a table and JSON.

    STUDY.YAML is the file of the study. Systems without --eval are first measured against the study's reference; these
    results are kept. For each question and measure: Spearman's rank correlation of the systems' means, and of single
    videos, with an interval.
    """
    with study_extra():
        from vast_core.console import Terminal
        from vast_core.errors import InputError

        from .analysis.correlate_command import correlate_study
        from .reading import read_study

        command = context.find_root().command
        evaluate = command.get_command(context, "eval") if isinstance(command, click.Group) else None

        def measure(generated: Path, reference: Path, folder: Path) -> None:
            if evaluate is None:
                raise InputError("`vast eval` is not installed: pip install vast-metrics, or give --eval NAME=FOLDER")
            context.invoke(evaluate, generated=generated, reference=reference, protocol_name=protocol, out=folder)

        given = {}
        for text in evaluations:
            name, equals, folder = text.partition("=")
            if not (name and equals and folder):
                raise InputError(f"--eval {text}: give NAME=FOLDER")
            given[name] = Path(folder)
        correlate_study(read_study(file, sources=False), Terminal(), measure, given=given, out=out)


@study.command(short_help="Open a study to judges.")
@STUDY
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all addresses.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 chooses a free one."
)
@click.option("--root-path", metavar="/PREFIX", default="", help="URL prefix that a proxy removes.")
@click.option("--https", is_flag=True, help="Judges connect to a proxy by https.")
@click.option(
    "--allow-host", "hosts", metavar="NAME", multiple=True, help="Only answer requests for this host name; repeatable."
)
@click.option("--new-token", is_flag=True, help="Replace the experimenter's token.")
def serve(
    file: Path, host: str, port: int, root_path: str, https: bool, hosts: tuple[str, ...], new_token: bool
) -> None:
    """Prepare the videos and serve the study until Ctrl-C.

    STUDY.YAML is the file of the study. Prints the address for judges and, the first time, the experimenter's token.
    After an interruption, the same command continues: no score that was shown to a judge as saved is lost.
    """
    with study_extra():
        from vast_core.console import Terminal

        from .reading import read_study
        from .server.serve import serve as serve_study

        serve_study(
            read_study(file),
            Terminal(),
            host=host,
            port=port,
            root_path=root_path,
            https=https,
            hosts=hosts,
            new_token=new_token,
        )
