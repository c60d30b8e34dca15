"""The base clip, which an avatar plays while it speaks: it ends as it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import attrs
import cattrs
from torch import Tensor

from ..errors import MediaError, WeightsError
from ..media.opening import content_digest
from ..media.playing import endlessly
from ..media.writing import VideoWriter
from ..mesh.close_up import Mouths
from ..mesh.scene import Crop, Image
from ..runs.weights import load_weights, save_weights

__all__ = ["BaseClip", "Video"]

BASE_VIDEO = "base.mp4"
"""Video of the base clip in a run's folder."""

BASE_CRF = 6
"""Visually lossless (our choice)."""

_MOUTHS = "mouths/"
_TENSORS = ("identity", "pose", "displacement", "texture", "reference", "reference_vertices")


@attrs.frozen(kw_only=True)
class Video:
    """Digest and size of the video of a base clip."""

    digest: str
    """SHA-256 of the file."""
    size: tuple[int, int]
    """(Y, X)."""

    @classmethod
    def write(cls, path: Path, fps: float, frames: Iterable[Image], length: int, source: str) -> Self:
        """Write ``length`` frames (Y, X, 3), without sound.

        Raises :class:`MediaError` with the clip ``source`` if there are fewer frames.
        """
        size, written = (0, 0), 0
        with VideoWriter(path, fps, crf=BASE_CRF, full_colour=True) as writer:
            for frame in frames:
                size = (frame.shape[0], frame.shape[1])
                writer.write(frame)
                written += 1
            if written < length:
                raise MediaError(
                    f"{source}: only {written} of {length} frames could be read; the file has changed: prepare again"
                )
        return cls(digest=content_digest(path), size=size)

    def check(self, path: Path) -> None:
        """Raise :class:`MediaError` if ``path`` is missing or is not the video that was written."""
        again = "copy it from the run again, or make it with `vast run RECIPE --stages synthesize`"
        if not path.is_file():
            raise MediaError(f"{path}: the avatar's own video is missing; {again}")
        if content_digest(path) != self.digest:
            raise MediaError(f"{path}: is not the video that this avatar was made with (its SHA-256 differs); {again}")


@attrs.frozen(kw_only=True, eq=False)
class BaseClip:
    """Data from an avatar's footage that synthesis needs; the frames themselves are in a separate video."""

    avatar: str
    source: str
    """Name of the clip of the corpus."""
    start: int
    """First frame that is played."""
    crop: Crop
    video: Video
    identity: Tensor
    """Neutral face (V, 3), canonical."""
    pose: Tensor
    """(T, 3, 4)."""
    displacement: Tensor
    """(T, V, 3), canonical: the tracked face minus the neutral face."""
    texture: Tensor
    """(U, U, 3), uint8."""
    reference: Tensor
    """(3, Y, X), uint8: the clip's most neutral frame, cut."""
    reference_vertices: Tensor
    """(V, 3): the face in it, in its pixels."""
    mouths: Mouths | None = None
    """The mouths that the avatar remembers, if its renderer draws close-ups."""

    def save(self, path: Path, header: dict[str, Any]) -> None:
        """Write the clip to ``path``, next to the weights."""
        facts = {
            "avatar": self.avatar,
            "source": self.source,
            "start": self.start,
            "crop": attrs.asdict(self.crop),
            "video": attrs.asdict(self.video),
        }
        tensors: dict[str, Tensor] = {name: getattr(self, name) for name in _TENSORS}
        if self.mouths is not None:
            tensors |= {_MOUTHS + name: tensor for name, tensor in self.mouths.tensors.items()}
        save_weights(path, tensors, {"what": "avatar", **facts, **header})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote. Raises :class:`WeightsError` if the file is not an avatar."""
        tensors, header = load_weights(path)
        if header.get("what") != "avatar" or "video" not in header or not tensors.keys() >= set(_TENSORS):
            raise WeightsError(f"{path}: is not an avatar of this version; make it with `vast run RECIPE`")
        mouths = {name.removeprefix(_MOUTHS): value for name, value in tensors.items() if name.startswith(_MOUTHS)}
        try:
            return cls(
                avatar=str(header["avatar"]),
                source=str(header["source"]),
                start=int(header["start"]),
                crop=cattrs.structure(header["crop"], Crop),
                video=cattrs.structure(header["video"], Video),
                **{name: tensors[name] for name in _TENSORS},
                mouths=Mouths.of_tensors(mouths) if mouths else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, cattrs.BaseValidationError) as error:
            raise WeightsError(f"{path}: its header is not one of an avatar ({error!r})") from error

    def play(self, path: Path) -> Iterator[tuple[int, Image]]:
        """Number and picture of each frame of the video at ``path``, played endlessly."""
        y, x = self.video.size
        for number, picture in endlessly(path, len(self)):
            yield number, picture[:y, :x]  # an encoder without full colour duplicates an odd last row or column

    def __len__(self) -> int:
        return len(self.pose)
