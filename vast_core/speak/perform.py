"""Sound and a style code to a video of the avatar, in blocks of frames, so that memory does not grow with the sound.

Head pose, background and blinks come from the avatar's base clip, played forward and back; expression comes from audio
and style, and so does the head's pose if the decoder gives one. The face is drawn into the footage at the footage's
size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..interfaces import Face, Renderer, State, place, sound_around
from ..media.writing import VideoWriter
from ..mesh.motion import rest_pose, with_motion
from ..mesh.scene import Image
from ..pipeline import Pipeline
from .base_clip import BaseClip
from .drawing import WantedFaces, draw
from .sound import Sound, frames_of
from .style_model import StyleModel

__all__ = ["CHUNK", "perform", "write_video"]

CHUNK = 32
"""Default number of frames per block."""


@attrs.frozen(eq=False)
class Chunk:
    """Consecutive frames from the decoder, with their audio features."""

    expression: Tensor
    """(T, E)."""
    audio: Tensor
    """(T, A)."""
    pose: Tensor | None
    """(T, 3, 4): see :attr:`vast_core.interfaces.DecoderOutput.pose`."""


def express(
    pipeline: Pipeline, model: StyleModel, sound: Sound, code: Tensor, at_once: int = CHUNK, seed: int = 0
) -> Iterator[Chunk]:
    """Expression of the face for a sound and a style code (1, Z), in blocks of ``at_once`` frames.

    A block is computed as soon as the sound that it depends on has arrived; the result does not depend on the chunks.
    ``seed`` fixes the noise of a stochastic decoder.
    """
    fps, device = pipeline.sizes.fps, code.device
    state: State | None = None
    start = 0
    while True:
        # rows of the block and of the decoder's look-ahead, with the sound on which they depend
        stop, last = start + at_once, start + at_once + model.decoder.lookahead
        sound.wait_for(sound_around(pipeline.audio, start, last, fps)[2])
        frames = frames_of(sound.samples, fps) if sound.ended else last
        if start >= frames:
            return
        stop, last = min(stop, frames), min(last, frames)
        first, low, high = sound_around(pipeline.audio, start, last, fps)
        wave = torch.from_numpy(sound.between(low, high)).to(device)[None]
        rows = pipeline.audio(wave, last - first)[:, start - first :]
        own, future = rows[:, : stop - start], rows[:, stop - start :]
        mask = torch.ones(1, stop - start, dtype=torch.bool, device=device)
        out = model.speak(own, code, mask, state, future if future.shape[1] else None, start=start, seed=seed)
        state = out.state
        yield Chunk(out.expression[0].float(), own[0].float(), None if out.pose is None else out.pose[0].float())
        start = stop


@torch.no_grad()
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
    noise of a stochastic decoder. Raises :class:`vast_core.errors.InputError` if these frames end before the sound.
    """
    state: State | None = None
    for chunk in express(pipeline, model, sound, code, at_once, seed):
        shots = list(islice(shown, len(chunk.expression)))
        if len(shots) < len(chunk.expression):
            raise InputError(f"{base.source}: its pictures end before the sound; has the file changed?")
        played, originals = [number for number, _ in shots], [picture for _, picture in shots]
        pose = _pose(base, chunk, played)
        vertices = _posed(pipeline.face, base, chunk.expression.cpu(), pose, played)
        wanted = WantedFaces(vertices, pose, chunk.expression, chunk.audio)
        images, state = draw(pipeline.face, renderer, base, originals, played, wanted, state)
        yield from images


def write_video(frames: Iterable[Image], fps: float, wave: NDArray[np.float32], out: Path) -> None:
    """Write ``frames`` with their sound to ``out``, marked as spoken; a full disk leaves no half-written video."""
    with VideoWriter(out, fps, wave, spoken=True) as writer:
        for frame in frames:
            writer.write(frame)


def _pose(base: BaseClip, chunk: Chunk, played: Sequence[int]) -> Tensor:
    """The head's pose (T, 3, 4): the decoder's if it moves the head, else that of the base clip."""
    if chunk.pose is None:
        return base.pose[list(played)]
    return with_motion(rest_pose(base.pose), chunk.pose.cpu())


def _posed(face: Face, base: BaseClip, expression: Tensor, pose: Tensor, played: Sequence[int]) -> NDArray[np.float32]:
    """The speaking face (T, V, 3) in the footage's pixels, with the base clip's blinks."""
    shape = face.decode(expression, base.identity)
    lids = base.displacement[:, face.eyes].float()
    shape[:, face.eyes] += lids[list(played)] - lids.median(0).values
    return place(shape, pose).numpy()
