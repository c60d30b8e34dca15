"""``vast inspect``: what a weights file contains, and what a video tells of where it comes from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..cli import Session

if TYPE_CHECKING:
    from rich.console import Console

    from ..registry.registry import Registry


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def inspect(session: Session, file: Path) -> None:
    """Show what a weights file contains, or what marks a video or picture has.

    Of weights it shows the header of FILE, then every tensor with shape and type; only the header is read, however
    large the file is. Of any other file it shows, a line each, what plugins find: whether metadata, a C2PA manifest
    and a watermark say that it is synthetic.

    \b
    Example:
      vast inspect runs/vast_default/weights/style.safetensors
      vast inspect out.mp4
    """
    from ..console import plain_console

    console = plain_console()
    if not file.is_file() or _is_weights(file):
        _show_weights(file, console)
        return
    for label, finding in findings(file, session.registry):
        console.print(f"{label}: {finding}", soft_wrap=True)


def findings(file: Path, registry: Registry) -> Iterator[tuple[str, str]]:
    """What plugins find in a video or picture. Raises :class:`vast_core.errors.ComponentError` if none looks."""
    from ..errors import ComponentError

    hooks = list(registry.each("vast_inspect"))
    if not hooks:
        raise ComponentError(f"{file}: no loaded plugin reads the marks of videos; see `vast plugins doctor`")
    for _, hook in hooks:
        yield from hook(file=file)


def _is_weights(file: Path) -> bool:
    """Whether a file is meant as weights: by its name, or because it begins like a safetensors header."""
    with file.open("rb") as opened:
        return file.suffix == ".safetensors" or opened.read(9)[8:] == b"{"


def _show_weights(file: Path, console: Console) -> None:
    from rich import box
    from rich.table import Table

    header, tensors = read_contents(file)
    if header:
        table = Table(title="Header", title_justify="left", box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        for key, value in header.items():
            table.add_row(key, _indented(value))
        console.print(table)
    table = Table("tensor", "shape", "type", title="Tensors", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, (shape, kind) in tensors.items():
        table.add_row(name, " x ".join(map(str, shape)) or "()", kind)
    console.print(table)
    numbers = sum(math.prod(shape) for shape, _ in tensors.values())
    console.print(f"{len(tensors)} tensors, {numbers:,} numbers, {file.stat().st_size:,} bytes")


def read_contents(file: Path) -> tuple[dict[str, str], dict[str, tuple[list[int], str]]]:
    """The header of a safetensors file, and each tensor's shape and type by name.

    Raises :class:`vast_core.errors.WeightsError` if the file cannot be read or is not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    from ..errors import WeightsError

    if not file.is_file():
        raise WeightsError(f"{file}: {'is a folder; name a file in it' if file.is_dir() else 'there is no such file'}")
    try:
        with safe_open(file, framework="np") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - it is not a dict
            tensors = {name: (part.get_shape(), part.get_dtype()) for name, part in slices.items()}
            return opened.metadata() or {}, tensors
    except OSError as error:
        raise WeightsError(f"{file}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{file}: not a valid safetensors file: {error}") from error


def _indented(value: str) -> str:
    """JSON with one entry per line; other text unchanged."""
    try:
        data: Any = json.loads(value)
    except ValueError:
        return value
    return json.dumps(data, indent=1, ensure_ascii=False) if isinstance(data, (dict, list)) else value
