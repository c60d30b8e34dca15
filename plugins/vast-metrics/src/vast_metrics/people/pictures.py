"""Pictures: one avatar, the same words, a row for each emotion, beside a frame of its prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import InputError
from vast_core.files import safe_name, write_picture
from vast_core.interfaces import SAMPLE_RATE, Renderer, unposed
from vast_core.media import NEUTRAL
from vast_core.mesh import Crop, Image
from vast_core.report import FrameStrip
from vast_core.speak.base_clip import BaseClip
from vast_core.speak.perform import perform
from vast_core.speak.sound import Sound

from .acting import Act, Actor
from .prompts import Prompt

SIZE = 192
"""Height and width of a picture in pixels."""
MOMENTS = 5
"""Pictures of the avatar in a row."""
SECONDS = 3.0
"""The first seconds of the words, of which pictures are made."""
MARGIN = 1.3
"""Side of a picture divided by the extent of the face."""


class Stage:
    """How the avatar is shown: its mesh, or its footage if it has a renderer and a base clip."""

    def __init__(self, actor: Actor, base: BaseClip | None, renderer: Renderer | None, video: Path) -> None:
        self._actor, self._base, self._renderer, self._video = actor, base, renderer, video

    def moments(self, code: Tensor) -> list[int]:
        """Frames at which pictures are made: the widest opening in each part of the words, in the style ``code``."""
        actor = self._actor
        opening = actor.pipeline.face.lip_opening(actor.speak(code)).numpy()
        part = opening[: round(SECONDS * actor.pipeline.sizes.fps)]
        places = [place for place in np.array_split(np.arange(len(part)), MOMENTS) if len(place)]
        return [int(place[part[place].argmax()]) for place in places]

    def show(self, code: Tensor, moments: list[int]) -> list[Image]:
        """The avatar at ``moments`` in the style ``code`` (1, Z)."""
        if self._base is None or self._renderer is None:
            return self._meshes(self._actor.speak(code)[moments])
        frames = islice(self._frames(code, self._base, self._renderer), max(moments) + 1)
        return [_square(frame, self._base.crop) for number, frame in enumerate(frames) if number in moments]

    def _frames(self, code: Tensor, base: BaseClip, renderer: Renderer) -> Iterator[Image]:
        actor = self._actor
        sound = Sound.of(actor.wave[: round(SECONDS * SAMPLE_RATE)])
        return perform(actor.pipeline, actor.model, renderer, base, base.play(self._video), sound, code)

    def _meshes(self, vertices: Tensor) -> list[Image]:
        face, neutral = self._actor.pipeline.face, self._actor.identity.numpy()
        low, high = neutral.min(0), neutral.max(0)
        scale = SIZE / MARGIN / float((high - low)[:2].max())
        upright = np.array([1, -1, -1], np.float32) * scale
        placed = (vertices.numpy() - (low + high) / 2) * upright + np.array([SIZE / 2, SIZE / 2, 0], np.float32)
        return list(face.draw(placed.astype(np.float32), SIZE).mesh.transpose(0, 2, 3, 1))


def write_pictures(folder: Path, stage: Stage, act: Act) -> list[Path]:
    """Write a picture for each emotion of one person into ``folder``: the prompt, then the avatar.

    Raises :class:`InputError` if a prompt can no longer be read.
    """
    moments = stage.moments(act.codes[NEUTRAL])
    written = []
    for emotion, code in act.codes.items():
        row = [prompt_frame(act.person.prompts[emotion][0]), *stage.show(code, moments)]
        written.append(folder / f"{safe_name(f'{act.person.name} {emotion}')}.png")
        write_picture(written[-1], np.hstack(row))
    return written


def prompt_frame(prompt: Prompt) -> Image:
    """The prompt's frame whose face is nearest to its mean face, cut around the face."""
    track = prompt.track
    shape = unposed(track).numpy()
    distance = np.square(shape - shape[track.valid].mean(0)).sum((1, 2))
    number = int(np.where(track.valid, distance, np.inf).argmin())
    frame = next(islice(prompt.clip.footage.frames(), track.start + number, None), None)
    if frame is None:
        raise InputError(f"{prompt.clip.name}: its pictures end before frame {number}; has the file changed?")
    return Crop.around(track.vertices[number : number + 1], MARGIN, SIZE).cut(frame)


def strips(folder: Path, clips: Mapping[str, Mapping[str, object]]) -> Iterator[FrameStrip]:
    """The pictures in ``folder``, a block for each speaker of ``clips``, which has the emotions by speaker."""
    for speaker, emotions in clips.items():
        paths = {emotion: folder / f"{safe_name(f'{speaker} {emotion}')}.png" for emotion in emotions}
        rows = [(emotion, _frames(path)) for emotion, path in paths.items() if path.is_file()]
        if rows:
            caption = f"{speaker}: a frame of each prompt, then the avatar with the same words at the same times."
            yield FrameStrip(caption, rows)


def _frames(path: Path) -> list[Image]:
    """The square frames of a picture."""
    image = cv2.imread(str(path))
    if image is None:
        raise InputError(f"{path}: cannot be read as a picture; run the stage again")
    side = image.shape[0]
    return [np.ascontiguousarray(image[:, x : x + side, ::-1], np.uint8) for x in range(0, image.shape[1], side)]


def _square(frame: NDArray[np.uint8], crop: Crop) -> Image:
    return Crop(crop.x, crop.y, crop.side, SIZE).cut(frame)
