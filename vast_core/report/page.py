"""Reports: one self-contained HTML file, for a phone, a desk or paper.

A report consists of sections of blocks. It fetches nothing and runs no script. All text is escaped, because names of
clips come from outside.
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import attrs
import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from ..errors import MediaError, StorageError
from ..files.atomic import write_text
from ..version import __version__
from .plots import readable

Cell = str | float | int | bool | None
"""Content of a table's cell; None is shown as a dash."""

VIDEO_LIMIT = 30 * 1024**2
"""Size in bytes above which a report links to a video instead of embedding it."""


@attrs.frozen
class Text:
    """Plain paragraphs, separated by blank lines."""

    kind: ClassVar[str] = "text"
    text: str

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template."""
        return {"paragraphs": [part.strip() for part in self.text.split("\n\n") if part.strip()]}


@attrs.frozen
class Verdict:
    """A value compared with its target; consecutive verdicts stand in a row."""

    kind: ClassVar[str] = "verdict"
    label: str
    value: float | str
    target: str
    """The target in words, such as ``at most 0.6``; a remark if there is no target."""
    passed: bool | None
    """None if there is no target, or nothing could be measured."""
    unit: str = ""

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template."""
        word = {True: "met", False: "missed", None: ""}[self.passed]
        return {"value": _written(self.value), "word": word, "mark": {"met": "✓", "missed": "✗"}.get(word, "")}


@attrs.frozen
class Table:
    """Rows of cells under named columns; numbers are right-aligned and rounded to significant digits."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    highlight: int | None = None
    """Index of the row to highlight."""

    def __attrs_post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.caption!r}: row {number} has {len(row)} cells for {len(self.columns)} columns"
                )

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template."""
        columns = [[row[index] for row in self.rows] for index in range(len(self.columns))]
        written = [_column(cells) for cells in columns]
        return {
            "numeric": [all(c is None or _is_number(c) for c in cells) and bool(cells) for cells in columns],
            "cells": [list(row) for row in zip(*written, strict=True)],
        }


@attrs.frozen
class Figure:
    """A picture, SVG or PNG; plots of :mod:`vast_core.report.plots` follow the page's colours."""

    kind: ClassVar[str] = "figure"
    caption: str
    image: bytes = attrs.field(repr=False)

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template; raises ValueError if the picture has another format."""
        head = self.image[:400].lstrip()
        if self.image.startswith(b"\x89PNG\r\n\x1a\n"):
            return {"source": _data("image/png", self.image), "themed": False}
        if head.startswith((b"<svg", b"<?xml")) and b"<svg" in self.image[:2000]:
            return {"source": _data("image/svg+xml", self.image), "themed": b"prefers-color-scheme" in self.image}
        raise ValueError(f"figure {self.caption!r}: neither SVG nor PNG, but starts with {bytes(head[:16])!r}")


@attrs.frozen
class FrameStrip:
    """Labelled rows of frames (Y, X, 3), uint8, to compare from top to bottom, such as real, ours, nearest frame."""

    kind: ClassVar[str] = "frames"
    caption: str
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]] = attrs.field(repr=False)

    gap: ClassVar[int] = 2
    """Pixels between two frames."""

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template; raises ValueError if a frame is not uint8 (Y, X, 3) of the first frame's size."""
        strips = [
            {"label": label, "source": _data("image/png", self._montage(label, frames)), "count": len(frames)}
            for label, frames in self.rows
        ]
        return {"strips": strips, "longest": max((len(frames) for _, frames in self.rows), default=0)}

    def _montage(self, label: str, frames: Sequence[NDArray[np.uint8]]) -> bytes:
        if len(frames) == 0:
            raise ValueError(f"frames {self.caption!r}, row {label!r}: no frame")
        shape = np.shape(frames[0])
        for number, frame in enumerate(frames):
            found = np.asarray(frame)
            if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or found.shape != shape:
                raise ValueError(
                    f"frames {self.caption!r}, row {label!r}: frame {number} is {found.dtype} {found.shape}, "
                    f"expected uint8 (Y, X, 3) like the first, {shape}"
                )
        height, width = shape[:2]
        step = width + self.gap
        montage = np.zeros((height, len(frames) * step - self.gap, 4), np.uint8)
        for number, frame in enumerate(frames):
            montage[:, number * step : number * step + width, :3] = frame[..., ::-1]
            montage[:, number * step : number * step + width, 3] = 255
        return bytes(cv2.imencode(".png", montage)[1])


@attrs.frozen
class Video:
    """A video played in the page; a video larger than ``limit`` is linked instead."""

    kind: ClassVar[str] = "video"
    caption: str
    path: Path
    limit: int = VIDEO_LIMIT
    """Bytes."""

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template; raises :class:`MediaError` if the file cannot be read."""
        types = {".mp4": "video/mp4", ".webm": "video/webm"}
        mime = types.get(self.path.suffix.lower())
        if mime is None:
            raise MediaError(f"{self.path}: a report shows {' or '.join(types)}, not {self.path.suffix or 'this'}")
        try:
            size = self.path.stat().st_size
            source = _data(mime, self.path.read_bytes()) if size <= self.limit else None
        except OSError as error:
            raise MediaError(f"{self.path}: cannot be read for the report ({error.strerror})") from error
        link = quote(Path(os.path.relpath(self.path.resolve(), folder.resolve())).as_posix())
        return {"source": source, "link": link, "name": self.path.name, "megabytes": readable(size / 1024**2)}


@attrs.frozen
class Rejected:
    """Clips that were left out, with the reason of each."""

    kind: ClassVar[str] = "rejected"
    clips: Sequence[tuple[str, str]]

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template."""
        return {}


@attrs.frozen
class Listing:
    """Text whose line breaks and indentation matter, such as a recipe; folded until opened."""

    kind: ClassVar[str] = "listing"
    caption: str
    text: str

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template."""
        return {}


@attrs.frozen
class Folded:
    """Blocks folded under a caption until opened."""

    kind: ClassVar[str] = "folded"
    caption: str
    blocks: Sequence[Block]

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template; raises what the blocks raise."""
        return {"groups": _groups(self.blocks, folder)}


@attrs.frozen
class Order:
    """One way to order the parts of a :class:`Ranked`."""

    name: str
    ranking: Sequence[int]
    """Indices of the parts, in the order in which they are shown."""
    remarks: Sequence[str]
    """For each part, by index: the value by which this order sorts."""


@attrs.frozen
class Ranked:
    """Folded parts in an order that the reader chooses; browsers that cannot reorder show the first order."""

    kind: ClassVar[str] = "ranked"
    label: str
    """Text before the choice, such as ``Worst first by``."""
    parts: Sequence[Folded]
    orders: Sequence[Order] = attrs.field()

    @orders.validator
    def _check(self, _: attrs.Attribute[Sequence[Order]], orders: Sequence[Order]) -> None:
        numbers = list(range(len(self.parts)))
        for order in orders:
            if sorted(order.ranking) != numbers or len(order.remarks) != len(numbers):
                raise ValueError(f"order {order.name!r}: give every number below {len(numbers)} once, and its remark")

    def view(self, folder: Path) -> Mapping[str, Any]:
        """Data for the template; raises what the parts raise."""
        places = [{part: place for place, part in enumerate(order.ranking)} for order in self.orders]
        first = self.orders[0].ranking if self.orders else range(len(self.parts))
        return {
            "parts": [
                {
                    "caption": self.parts[part].caption,
                    "places": [place[part] for place in places],
                    "remarks": [order.remarks[part] for order in self.orders],
                    **self.parts[part].view(folder),
                }
                for part in first
            ]
        }


Block = Text | Verdict | Table | Figure | FrameStrip | Video | Rejected | Listing | Folded | Ranked


@attrs.frozen
class Section:
    """A heading and the blocks under it."""

    title: str
    blocks: Sequence[Block]
    glance: Sequence[Verdict] = ()
    """Of a stage's section: what the report of the run shows at its top."""
    first: bool = False
    """Of a stage's section: whether the report of the run has it before the others, as something to be seen."""


def write_report(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> None:
    """Write the report to ``path``, whole or not at all.

    Raises :class:`StorageError` if it cannot be written, :class:`MediaError` if a video cannot be read, and
    :class:`ValueError` if a block's picture is neither SVG nor PNG.
    """
    views = [{"title": section.title, "groups": _groups(section.blocks, path.parent)} for section in sections]
    try:
        whole = _template().render(
            title=title, subtitle=subtitle, sections=views, orders=_most_orders(sections), version=__version__
        )
        write_text(path, whole)
    except OSError as error:
        raise StorageError(f"{path}: the report cannot be written ({error.strerror or error})") from error


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _groups(blocks: Sequence[Block], folder: Path) -> list[dict[str, Any]]:
    """Group consecutive blocks of one kind: verdicts and figures stand side by side if there is room."""
    return [
        {"kind": kind, "blocks": [{"block": block, **block.view(folder)} for block in run]}
        for kind, run in groupby(blocks, key=lambda block: block.kind)
    ]


def _most_orders(sections: Sequence[Section]) -> int:
    """Largest number of orders of any :class:`Ranked` block, for the style sheet."""
    blocks = [block for section in sections for block in section.blocks]
    return max((len(block.orders) for block in blocks if isinstance(block, Ranked)), default=0)


def _data(mime: str, content: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float | np.number) and not isinstance(cell, bool | np.bool_)


def _written(cell: Cell) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool | np.bool_):
        return "yes" if cell else "no"
    if isinstance(cell, int | np.integer):
        return f"{cell:,}".replace("-", "−")
    return readable(float(cell)) if _is_number(cell) else str(cell)


def _column(cells: Sequence[Cell]) -> list[str]:
    """Cells as text; numbers within a factor of 100 of each other get the same number of decimals."""
    sizes = [abs(float(cell)) for cell in cells if isinstance(cell, float | np.floating)]
    sizes = [size for size in sizes if math.isfinite(size) and size > 0]
    if not sizes or max(sizes) > 100 * min(sizes) or not 1e-4 <= max(sizes) < 1e6:
        return [_written(cell) for cell in cells]
    decimals = max(0, 2 - math.floor(math.log10(max(sizes))))
    return [
        f"{cell:,.{decimals}f}".replace("-", "−")
        if isinstance(cell, float | np.floating) and math.isfinite(cell)
        else _written(cell)
        for cell in cells
    ]
