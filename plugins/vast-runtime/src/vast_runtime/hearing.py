"""Sound and a style to the expression of the face, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .packed import Packed
from .sound import RATE, Floats, Sound


@dataclass(frozen=True, eq=False)
class Expression:
    """What the face does in one frame."""

    coefficients: Floats
    """(1, E)."""
    audio: Floats
    """(A,): the features of the sound in this frame."""
    motion: Floats | None
    """(3, 4): how the head moves from its rest, if the decoder says so."""


def hear(packed: Packed, sound: Sound) -> Iterator[Floats]:
    """Audio features (A,) of each frame, as soon as the sound that they depend on has come."""
    graph, about, fps = packed.graph("audio"), packed.facts["audio"], packed.facts["fps"]
    first, count = 0, about["frames"]
    while True:
        low = round((first - about["lead"]) / fps * RATE)
        sound.wait_for(low + about["samples"])
        rows = graph.run({"wave": sound.window(low, about["samples"])[None]})["rows"][0]
        if sound.ended and sound.frames(fps) <= first + count:
            yield from rows[: max(0, sound.frames(fps) - first)]
            return
        yield from rows
        first += count


def express(packed: Packed, sound: Sound, code: NDArray[np.float32]) -> Iterator[Expression]:
    """The expression of each frame in the style ``code`` (Z,)."""
    graph, ahead = packed.graph("decoder"), packed.facts["lookahead"]
    state, rows, heard = graph.start(), hear(packed, sound), list[Floats]()
    while True:
        while len(heard) <= ahead and (row := next(rows, None)) is not None:
            heard.append(row)
        if not heard:
            return
        audio = np.zeros((1, 1 + ahead, len(heard[0])), np.float32)
        audio[0, : len(heard)] = heard
        given = {"audio": audio, "code": code[None], "known": np.arange(1, 1 + ahead)[None] < len(heard)}
        found = graph.run({name: given[name] for name in graph.inputs}, state)
        motion = found["pose"][0, 0] if "pose" in found else None
        yield Expression(found["expression"][0], heard.pop(0), motion)
