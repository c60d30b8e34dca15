"""Messages show names as they are: square brackets are no markup."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.table import Table

from vast_core.console import Terminal, progress

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["a[b].mp4", "[/x]", "[red]take[/red] 1", "[link=x]", ":smile:", "back\\", "[", "\\[b]"]


def terminal() -> Terminal:
    return Terminal(file=io.StringIO(), width=200, force_terminal=True, color_system=None)


@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_print_a_name(name):
    console = terminal()
    console.print(f"speaks: {name}")
    console.print(f"left out {name}", style="yellow")
    table = Table("clip", title=name)
    table.add_row(name)
    console.print(table)
    with console.status(f"drawing {name}"):
        pass
    with progress(console) as shown:
        task = shown.add_task("speaking", total=1)
        shown.update(task, description=f"speaking {name}")
    text = console.file.getvalue()
    for what in ("speaks: ", "left out ", "drawing ", "speaking "):
        assert what + name in text
    assert text.count(name) >= 6


def test_a_long_path_is_not_broken():
    console = Terminal(file=io.StringIO(), width=40)
    console.print("written: " + "/folder" * 20)
    assert console.file.getvalue() == "written: " + "/folder" * 20 + "\n"


def test_no_module_has_a_way_of_its_own():
    """Rich's own console reads markup; only the one console may be made."""
    own = ROOT / "vast_core" / "console.py"
    files = [*ROOT.glob("vast_core/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
    made = [file for file in files if re.search(r"\bConsole\((?!quiet=True)", file.read_text()) and file != own]
    marked = [file for file in files if "rich.markup" in file.read_text()]
    assert (made, marked) == ([], [])
