"""Sound and a style code to a video of the avatar, in blocks of frames, so that memory does not grow with the sound.

Head pose, background and blinks come from the avatar's base clip, played in a circle; expression comes from audio
and style, and so does the head's pose if the decoder gives one. The face is drawn into the footage at the footage's
size.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..interfaces import Face, Renderer, State, place
from ..media.writing import VideoWriter
from ..mesh.scene import Image
from ..pipeline import Pipeline
from .base_clip import BaseClip
from .drawing import Prepared, WantedFaces, paint, prepare
from .expressing import Chunk, Expressing
from .marks import Marks
from .moving import Moving
from .overlap import ahead
from .sound import Sound
from .style import Style
from .style_model import StyleModel

__all__ = ["CHUNK", "Cast", "perform", "write_video"]

CHUNK = 32
"""Default number of frames per block."""
PAINTED = 8
"""Frames that are painted together: few, because all that they need is in memory twice."""


def express(
    pipeline: Pipeline, model: StyleModel, sound: Sound, code: Tensor, at_once: int = CHUNK, seed: int = 0
) -> Iterator[Chunk]:
    """Expression of the face for a sound and a style code (1, Z), in blocks of ``at_once`` frames.

    A block is computed as soon as the sound that it depends on has arrived; the result does not depend on the chunks.
    ``seed`` fixes the noise of a stochastic decoder.
    """
    expressing = Expressing(pipeline, model, sound, seed)
    while (chunk := expressing.next(at_once, code)) is not None:
        yield chunk


@attrs.frozen(kw_only=True, eq=False)
class Cast:
    """The trained parts of one avatar."""

    pipeline: Pipeline
    model: StyleModel
    renderer: Renderer
    base: BaseClip
    video: Path
    """The base clip's pictures."""
    digest: str
    """Digest of the style weights."""
    unpacked: object = None
    """Keeps the temporary folder of a packed avatar while it speaks."""

    def code(self, style: Style) -> Tensor:
        """The code (1, Z) of a style. Raises :class:`vast_core.errors.WeightsError` if it belongs to others."""
        style.require(self.digest)
        return style.code[None].to(self.pipeline.device)

    def play(self) -> Iterator[tuple[int, Image]]:
        """Number and picture of each frame of the base clip, endlessly."""
        return self.base.play(self.video)


class Appearing:
    """An avatar before its base clip, block by block: the renderer goes on where it stopped."""

    def __init__(self, face: Face, renderer: Renderer, base: BaseClip, shown: Iterator[tuple[int, Image]]) -> None:
        """``shown`` yields the frames of the base clip that are played, each with its number in ``base``."""
        self._face, self._renderer, self._base, self._shown = face, renderer, base, shown
        self._moving = Moving(face, base)
        self._state: State | None = None

    def next(self, chunk: Chunk) -> list[Image]:
        """The next frames (Y, X, 3), with these faces, at the size of the footage; raises what :meth:`prepare` does."""
        return self.paint(self.prepare(chunk))

    def prepare(self, chunk: Chunk) -> Prepared:
        """What the renderer needs for the next frames; the frames before need not be painted yet.

        Raises :class:`vast_core.errors.InputError` if the base clip ends before.
        """
        base, count = self._base, len(chunk.expression)
        shots = list(islice(self._shown, count))
        if len(shots) < count:
            raise InputError(f"{base.source}: its pictures end before the sound; has the file changed?")
        played, originals = [number for number, _ in shots], [picture for _, picture in shots]
        shape, pose = self._moving.next(chunk, played)
        vertices = place(shape, pose).numpy()
        wanted = WantedFaces(vertices, pose, chunk.expression, chunk.audio)
        return prepare(self._face, self._renderer, base, originals, played, wanted)

    def paint(self, prepared: Prepared) -> list[Image]:
        """The frames that were prepared, in the same order."""
        images, self._state = paint(self._renderer, prepared, self._state)
        return images

    def close(self) -> None:
        """Close the video of the base clip."""
        if isinstance(self._shown, Generator):
            self._shown.close()

    def skip(self, count: int = 1) -> None:
        """Leave ``count`` frames out, because there is no time to draw them."""
        for _ in islice(self._shown, count):
            pass


def perform(
    pipeline: Pipeline,
    model: StyleModel,
    renderer: Renderer,
    base: BaseClip,
    shown: Iterator[tuple[int, Image]],
    sound: Sound,
    code: Tensor,
    at_once: int = CHUNK,
    seed: int = 0,
) -> Iterator[Image]:
    """Frames (Y, X, 3) of the avatar speaking ``sound`` in the style ``code`` (1, Z), at the size of its footage.

    ``shown`` yields the frames of the base clip that are played, each with its number in ``base``. ``seed`` fixes the
    noise of a stochastic decoder. Hearing, expression and warps of the frames that follow are made in a second thread
    while the renderer paints. Raises :class:`vast_core.errors.InputError` if these frames end before the sound.
    """
    appearing = Appearing(pipeline.face, renderer, base, shown)
    chunks = (part for chunk in express(pipeline, model, sound, code, at_once, seed) for part in chunk.split(PAINTED))
    with closing(ahead((appearing.prepare(chunk) for chunk in chunks), 1)) as prepared:
        for block in prepared:
            yield from appearing.paint(block)


def write_video(frames: Iterable[Image], fps: float, wave: NDArray[np.float32], out: Path, marks: Marks) -> None:
    """Write ``frames`` with their sound and ``marks`` to ``out``; a full disk leaves no half-written video."""
    with VideoWriter(out, fps, wave, metadata=marks.metadata(), finish=marks.finish) as writer:
        for frame in frames:
            writer.write(marks.frame(frame))
