"""The command ``vast``: one module per command, imported when the command is called.

Exit codes: 0 done, 1 our fault, 2 the user's input is wrong, 130 interrupted, 143 and 129 stopped by SIGTERM and
SIGHUP. Neither ``vast --help`` nor
``vast plugins`` imports torch.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import attrs
import click

from ..errors import ComponentError, InputError, VastError
from ..processes import leads, several, speaks
from ..registry.isolation import SLOW
from ..registry.registry import Registry
from ..stopping import Stopped, exit_code, listen
from ..version import __version__
from .lazy import LazyGroup, Places

COMMANDS: Places = {
    "run": ("vast_core.cli.run:run", "Run the stages of a recipe."),
    "check": ("vast_core.cli.check:check", "Check and assemble a recipe without reading data."),
    "synth": ("vast_core.cli.synth:synth", "Make a talking video with the avatar of the finished run RUN."),
    "style": ("vast_core.cli.style:style", "Save styles of an avatar under names, and list them."),
    "pack": ("vast_core.cli.pack:pack", "Write the avatar of the finished run RUN to FILE."),
    "verify": ("vast_core.cli.verify:verify", "Check the files of RUN, and repeat its first logged training steps."),
    "licences": (
        "vast_core.cli.licences:licences",
        "Show the licences of everything that a run uses, and whether they allow commercial use.",
    ),
    "forget": (
        "vast_core.cli.forget:forget",
        "Remove everything that was made of SPEAKER's footage, from the cache and from runs.",
    ),
    "plugins": ("vast_core.cli.plugins:plugins", "List what is installed and in what state."),
    "schema": ("vast_core.cli.schema:schema", "Write the JSON Schema of recipes."),
    "inspect": (
        "vast_core.cli.inspect:inspect",
        "Show what a weights file contains, or what marks a video or picture has.",
    ),
}
"""Commands of vast itself."""

GROUPS: Mapping[str, Places] = {
    "style": {
        "save": ("vast_core.cli.style_save:save", "Save the style of PROMPT in a run under a name."),
        "list": (
            "vast_core.cli.style_list:list_",
            "List the styles that an avatar knows by name, and the factors that it can be told.",
        ),
    },
    "plugins": {
        "show": (
            "vast_core.cli.plugins_show:show",
            "Show everything about a component, a stage or a section of a recipe.",
        ),
        "doctor": ("vast_core.cli.plugins_doctor:doctor", "List problems of the installed plugins and their remedies."),
        "check": (
            "vast_core.cli.plugins_check:check",
            "Check the components of a package, or one component, against the rules of their kinds.",
        ),
    },
}
"""Commands that are groups; a plugin may add commands to them as to ``vast``."""


@attrs.define
class Session:
    """State shared by the commands of one call: ``click``'s ``context.obj``."""

    no_plugins: bool = False
    traceback: bool = False
    _registry: Registry | None = None
    claims: dict[str, list[tuple[str, click.Command]]] = attrs.field(init=False, factory=dict)
    """Plugins that add each command ("ablate", "plugins new"); filled on first access of :attr:`added`."""
    _added: Mapping[str, click.Command] | None = None

    @property
    def registry(self) -> Registry:
        """The plugins, discovered on first access."""
        if self._registry is None:
            self._registry = Registry.discover(plugins=not self.no_plugins)
        return self._registry

    @property
    def added(self) -> Mapping[str, click.Command]:
        """Commands that plugins add, by the words after ``vast``: "ablate", "plugins new".

        A plugin is broken if its hook fails or if it adds a command of vast. If two plugins add one name, neither wins.
        """
        if self._added is None:
            for plugin, hook in self.registry.each("vast_commands"):
                staged = click.Group()
                try:
                    with redirect_stdout(sys.stderr):
                        hook(cli=staged)
                    commands = dict(_typed(staged))
                    if taken := sorted(commands.keys() & _OURS):
                        raise ValueError(f"vast_commands adds {taken[0]!r}, which is a command of vast")
                except (Exception, SystemExit) as error:  # noqa: BLE001 - it may fail in any way; it is listed as broken
                    self.registry.reject(plugin, error)
                    continue
                for name, command in commands.items():
                    self.claims.setdefault(name, []).append((plugin, command))
            self._added = {
                name: claimed[0][1] if len(claimed) == 1 else _undecided(name, [plugin for plugin, _ in claimed])
                for name, claimed in sorted(self.claims.items())
            }
        return self._added

    def added_to(self, group: str) -> Mapping[str, click.Command]:
        """Commands that plugins add to one of :data:`GROUPS`, or to ``vast`` itself if ``group`` is empty."""
        split = {name.rpartition(" ")[::2]: command for name, command in self.added.items()}
        return {name: command for (above, name), command in split.items() if above == group}

    def tell_troubles(self) -> None:
        """Print to standard error, one line each, plugins that are left out or slow to import."""
        for plugin in self.registry.plugins:
            if plugin.state in ("broken", "foreign", "shadowed"):
                click.echo(f"plugin {plugin} is {plugin.state}; `vast plugins doctor` shows the remedy", err=True)
            elif plugin.seconds >= SLOW:
                click.echo(f"plugin {plugin} took {plugin.seconds:.1f} s to import", err=True)


_OURS = {*COMMANDS, *(f"{group} {name}" for group, places in GROUPS.items() for name in places)}


def _typed(staged: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Commands of a plugin by the words typed; a group with the name of one of ours adds to ours."""
    for name, command in staged.commands.items():
        if name in GROUPS and isinstance(command, click.Group):
            yield from ((f"{name} {below}", added) for below, added in command.commands.items())
        else:
            yield name, command


def _undecided(name: str, plugins: Sequence[str]) -> click.Command:
    """Replaces a command that several plugins add."""
    reason = f"Added by the plugins {' and '.join(plugins)}: select one of them with VAST_PLUGINS, or uninstall one."

    def refuse() -> NoReturn:
        raise ComponentError(f"vast {name}: {reason}")

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=reason, context_settings=settings)


def _session(context: click.Context) -> Session:
    return context.ensure_object(Session)


class Commands(LazyGroup):
    """Commands of vast and of plugins, for ``vast`` itself or for one of :data:`GROUPS`."""

    def __init__(self, *arguments: Any, group: str = "", **settings: Any) -> None:
        super().__init__(*arguments, places=GROUPS[group] if group else COMMANDS, **settings)
        self.group_name = group

    def list_commands(self, context: click.Context) -> list[str]:
        return [*super().list_commands(context), *_session(context).added_to(self.group_name)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, name) or _session(context).added_to(self.group_name).get(name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        added = _session(context).added_to(self.group_name)
        super().format_commands(context, formatter)
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, command.get_short_help_str()) for name, command in added.items()])


def _set(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and parameter.name is not None:
        setattr(_session(context), parameter.name, True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--no-plugins", is_flag=True, is_eager=True, expose_value=False, callback=_set, help="Load no plugins.")
@click.option(
    "--traceback",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_set,
    help="Show the traceback of an error.",
)
@click.version_option(__version__, prog_name="vast")
@click.pass_context
def cli(context: click.Context) -> None:
    """Expressive talking avatars from exchangeable parts.

    \b
    Example:
      vast run vast_default
      vast run recipes/vast_default.yaml flow.use=planar --out runs/planar
    """
    if several() and context.invoked_subcommand != "run":
        raise InputError(
            f"torchrun starts several processes, but only `vast run` shares its work; start `vast "
            f"{context.invoked_subcommand}` by itself"
        )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``vast`` and exit with its exit code."""
    session = Session()
    warnings.formatwarning = _warning_line
    for stream in (sys.stdout, sys.stderr):
        _tolerate(stream)
    listen()
    try:
        code = cli.main(args=arguments, prog_name="vast", standalone_mode=False, obj=session)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        asked = error.__cause__ if isinstance(error.__cause__, Stopped) else error  # click makes an Abort of it
        if leads():
            click.echo(f"stopped by {asked}" if isinstance(asked, Stopped) else "interrupted", err=True)
        sys.exit(exit_code(asked))
    except VastError as error:
        if session.traceback:
            traceback.print_exc()
        if speaks():
            click.echo(str(error) if error.exit_code >= 128 else f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `vast plugins | head` has closed the pipe
        sys.exit(0)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            click.echo(_explain_fault(error, session.traceback), err=True)
            sys.exit(1)
        click.echo(f"Error: {error.filename}: this name is too long; choose a shorter one", err=True)
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - unexpected: a short message, and the details in a log
        click.echo(_explain_fault(error, session.traceback), err=True)
        sys.exit(1)
    sys.exit(code if type(code) is int else 0)


def _tolerate(stream: Any) -> None:
    """Let a terminal without UTF-8 show ``?`` for what it lacks, and any show file names as they are on disk.

    Otherwise a character that cannot be shown ends the program, after hours of training.
    """
    if isinstance(stream, io.TextIOWrapper):
        unicode = codecs.lookup(stream.encoding).name.startswith("utf")
        stream.reconfigure(errors="surrogateescape" if unicode else "replace")


def _warning_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning for the user, without the place in the program where it arose."""
    return f"Warning: {message}\n"


def _explain_fault(error: Exception, in_full: bool) -> str:
    from ..registry.discovery import fault_line

    details = "".join(traceback.format_exception(error))
    what = f"{type(error).__name__}: {error} (at {fault_line(error)})"
    summary = f"Error: a fault in vast or in one of its plugins: {what}"
    if in_full:
        return f"{details}{summary}"
    try:
        return f"{summary}\nThe details are in {_write_log(details)}"
    except OSError as unwritten:
        return f"{details}{summary}\nNo log could be written: {unwritten}"


def _write_log(details: str) -> Path:
    from ..places import log_folder

    folder = log_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    command = " ".join(sys.argv)
    path.write_text(f"vast {__version__}, Python {sys.version}\n{command}\n\n{details}", encoding="utf-8")
    return path


__all__ = ["COMMANDS", "GROUPS", "Commands", "Session", "cli", "main"]
