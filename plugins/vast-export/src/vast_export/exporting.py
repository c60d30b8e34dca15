"""All parts of an avatar into one folder, each checked against the avatar itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.api import Avatar
from vast_core.errors import VastError
from vast_core.files import write_text
from vast_core.interfaces import SAMPLE_RATE

from .formats import Format, Written, write
from .graphs import STATE, AudioGraph, Graph
from .parts import Part, parts_of

TOLERANCE = 1e-3
"""Largest difference between a graph and the avatar's own part: of features, expression, code, pixels of the footage
for vertices, and full scale for pictures."""

HERE = Path(__file__).parent

FACTS = "avatar.json"
"""File that says how the graphs are used."""


@attrs.frozen(kw_only=True)
class Checked:
    """A graph in its file, and how far it is from the avatar's own part."""

    name: str
    component: str
    file: str
    bytes: int
    error: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.error <= TOLERANCE


def export(
    avatar: Avatar,
    wave: NDArray[np.float32],
    form: Format,
    folder: Path,
    *,
    without: tuple[str, ...] = (),
    begun: Callable[[str], None] = lambda part: None,
) -> Iterator[Checked]:
    """Write the parts of an avatar, but those ``without``, to ``folder``, and say of each how exact it is.

    ``wave`` (S,) is the sound to check with. ``begun`` is told of each part before it is written. After the last part,
    ``avatar.json`` is written. Raises :class:`VastError` that names the component if a part cannot be exported, and
    :class:`InputError` if a package is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[tuple[Part, Written]] = []
    for part in parts_of(avatar, wave):
        if part.graph.name in without:
            continue
        begun(part.graph.component)
        made = write(part.graph, form, folder)
        written.append((part, made))
        yield Checked(
            name=part.graph.name,
            component=part.graph.component,
            file=made.path.name,
            bytes=made.bytes,
            error=part.error(made.run),
        )
    facts = facts_of(avatar, {made.path.name: part.graph for part, made in written})
    write_text(folder / FACTS, json.dumps(facts, indent=1) + "\n")
    if form == "onnx":
        copy_examples(folder)


def copy_examples(folder: Path) -> None:
    """Put the programs that use the graphs of a folder into it: one for Python, one for browsers."""
    for example in (HERE / "example.py", *sorted((HERE / "browser").iterdir())):
        shutil.copy(example, folder / example.name)


def require_passed(checks: list[Checked]) -> None:
    """Raise :class:`VastError` if a graph differs from the avatar's own part by more than the tolerance."""
    if failed := [check for check in checks if not check.passed]:
        told = ", ".join(f"{check.component} by {check.error:.2g}" for check in failed)
        raise VastError(
            f"exported, but not the same: {told}, where {TOLERANCE:g} is allowed. Does a component depend on values "
            "that it computes outside of its tensors, or begin with a state other than 0?"
        )


def facts_of(avatar: Avatar, graphs: dict[str, Graph]) -> dict[str, Any]:
    """What a program must know to use the graphs, by their files."""
    cast = avatar.cast
    audio = next(graph.module for graph in graphs.values() if graph.name == "audio")
    if not isinstance(audio, AudioGraph):
        raise TypeError(f"the graph of the audio features is a {type(audio).__name__}")
    sliders = avatar.sliders
    return {
        "what": "vast avatar",
        "name": avatar.name,
        "fps": avatar.fps,
        "sample_rate": SAMPLE_RATE,
        "audio": {"frames": audio.frames, "lead": audio.lead, "samples": audio.samples},
        "lookahead": cast.model.decoder.lookahead,
        "style_size": cast.pipeline.sizes.style,
        "model": cast.digest,
        "styles": {name: {"code": style.code.tolist(), "from": style.source} for name, style in avatar.styles.items()},
        "factors": {name: sliders.directions[list(sliders.learned).index(name)].tolist() for name in avatar.factors}
        if sliders
        else {},
        "middle": sliders.origin.tolist() if sliders else None,
        "triangles": cast.pipeline.face.triangles.tolist(),
        "graphs": {
            graph.name: {
                "file": file,
                "component": graph.component,
                "inputs": {
                    name: {"shape": list(tensor.shape), "type": str(tensor.dtype).removeprefix("torch.")}
                    for name, tensor in graph.inputs.items()
                },
                "outputs": list(graph.outputs),
                "states": [name.removeprefix(STATE) for name in graph.states],
            }
            for file, graph in graphs.items()
        },
    }
