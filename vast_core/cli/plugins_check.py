"""``vast plugins check``: checks the components of a package against the rules of their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..cli import Session

if TYPE_CHECKING:
    from rich.console import Console

    from ..registry.declarations import Component
    from ..testing.kit import Outcome

STYLES = {"sound": "green", "broken": "bold red", "in part": "yellow", "not checked": "yellow"}
"""States of a component; one that cannot be made because its weights are missing is checked in part."""
RULE_STYLES = {"kept": "green", "broken": "bold red", "not applicable": "dim"}


@click.command()
@click.argument("wanted", metavar="DISTRIBUTION|KIND/NAME")
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option("--rule", "only", multiple=True, help="Check only the rule of this name; may be given several times.")
@click.option("--all", "everything", is_flag=True, help="Also list the rules that are kept.")
@click.pass_context
def check(
    context: click.Context, wanted: str, options: tuple[str, ...], only: tuple[str, ...], everything: bool
) -> None:
    """Check the components of a package, or one component, against the rules of their kinds.

    DISTRIBUTION is the name of an installed package. Each component is made with small sizes and with its default
    options, or with OPTION=VALUE as in a recipe's section. Rules that are broken or do not apply are listed with the
    reason; rules that are kept are counted. The exit code is 1 if a rule is broken. A rule is not applicable if there
    is nothing to check, such as the inverse of a flow that has none, or weights that are not on this machine.

    \b
    Example:
      vast plugins check vast-avatar
      vast plugins check flow/planar steps=3 --all
    """
    from ..console import plain_console

    console, registry = plain_console(), context.ensure_object(Session).registry
    from ..testing.suite import components

    found = components(wanted, registry)
    if options and len(found) > 1:
        raise click.UsageError(f"options need a single component; {wanted} has {len(found)}")
    _check_names(only, found)
    verdicts = [_check(console, component, options, only, everything) for component in found]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in STYLES if verdict in verdicts]
    broken = "broken" in verdicts
    console.print(f"{len(found)} component{'s' * (len(found) > 1)}: {', '.join(counts)}", style="bold")
    context.exit(1 if broken else 0)


def _check_names(only: Sequence[str], found: Sequence[Component]) -> None:
    from ..testing.kit import rules

    known = list(dict.fromkeys(rule.name for component in found for rule in rules(component.kind)))
    for name in only:
        if name not in known:
            raise click.UsageError(f"no rule is called {name!r} (the rules: {', '.join(known)})")


def _check(
    console: Console, component: Component, options: Sequence[str], only: Sequence[str], everything: bool
) -> str:
    """Check one component, print the outcome, and return its state, a key of :data:`STYLES`."""
    from ..testing.kit import Nonconforming, NotApplicable, Subject, check
    from ..testing.suite import title

    name = title(component)
    try:
        subject = Subject.of(component, _config(component, options) if options else None)
    except NotApplicable as error:
        way = f"vast plugins check {name} OPTION=VALUE"
        return _heading(console, component, "not checked", f"{error}, for example: {way}")
    except Nonconforming as error:
        return _heading(console, component, "broken", str(error))
    with console.status(f"{name} ..."):
        outcomes = check(subject, only or None)
    states = [outcome.state for outcome in outcomes]
    made = any(outcome.rule.name == "made" and outcome.state == "kept" for outcome in outcomes) or only
    state = "broken" if "broken" in states else "sound" if made else "in part"
    seconds = sum(outcome.seconds for outcome in outcomes)
    _heading(console, component, state, f"{states.count('kept')} of {len(states)} rules kept, {seconds:.1f} s")
    _print(console, [outcome for outcome in outcomes if everything or outcome.state != "kept"])
    return state


def _config(component: Component, options: Sequence[str]) -> Any:
    """The config of options such as ``steps=3``; raises :class:`RecipeError` if they are invalid."""
    from ..recipe.document import Problem, read_overrides, recipe_error
    from ..recipe.reader import INVALID, Reader

    problems: list[Problem] = []
    node, reader = read_overrides(options, problems), Reader()
    config = reader.instance(node, component.config, ())
    if problems or config is INVALID:
        raise recipe_error(f"options of {component.title}", [*problems, *reader.problems])
    return config


def _heading(console: Console, component: Component, state: str, detail: str) -> str:
    from rich.text import Text

    from ..testing.suite import title

    console.print(Text.assemble((f"{title(component):<28} ", "bold"), (f"{state:<12}", STYLES[state]), detail))
    return state


def _print(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print rules, state, seconds and detail; rules with the same detail share a row."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.state, outcome.detail or outcome.rule.summary), []).append(outcome)
    table = Table(box=box.SIMPLE, show_header=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(width=0)
    table.add_column(max_width=34)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for (state, detail), same in rows.items():
        names = ", ".join(outcome.rule.name for outcome in same)
        seconds = sum(outcome.seconds for outcome in same)
        table.add_row("", names, Text(state, RULE_STYLES[state]), f"{seconds:.1f} s", detail)
    if rows:
        console.print(table)
