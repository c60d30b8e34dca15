"""An avatar that speaks."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from .crops import Image
from .drawing import Artist
from .errors import AvatarError
from .hearing import express
from .packed import Packed, damaged
from .sound import RATE, Floats, Sound, Speech
from .writing import write_video

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Style:
    """A speaking style."""

    code: Floats
    """(Z,); zeros are neutral."""
    source: str
    """Where it comes from."""


class Avatar:
    """An avatar of `vast pack --format onnx`. :func:`load` makes one."""

    def __init__(self, packed: Packed) -> None:
        """Raises :class:`AvatarError` if the speaker's consent has ended, or a table is missing or wrong."""
        packed.require_consent()
        try:
            self._packed, self._artist = packed, Artist(packed)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise damaged(packed.path, error) from error

    @property
    def name(self) -> str:
        """Name of the speaker."""
        return str(self._packed.facts["name"])

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(self._packed.facts["fps"])

    @property
    def size(self) -> tuple[int, int]:
        """(Y, X) of its frames."""
        y, x = self._packed.facts["size"]
        return y, x

    @property
    def styles(self) -> list[str]:
        """Names of the styles that it knows."""
        return list(self._packed.facts["styles"])

    @property
    def factors(self) -> list[str]:
        """Names of the factors of a style that it can be told."""
        return list(self._packed.facts["factors"])

    @property
    def latency(self) -> float:
        """Seconds of sound after the beginning of a frame that must have come before it is drawn."""
        audio = self._packed.facts["audio"]
        heard = audio["samples"] / RATE - audio["lead"] / self.fps
        return float(heard + self._packed.facts["lookahead"] / self.fps)

    def style(
        self,
        named: str | Path | None = None,
        *,
        strength: float = 1.0,
        factors: Mapping[str, float] | None = None,
    ) -> Style:
        """A style: one of :attr:`styles`, a ``.safetensors`` file of ``vast style save``, or None for neutral.

        The code is multiplied by ``strength``: 0 is neutral, above 1 exaggerates. ``factors`` are then added, each of
        :attr:`factors` by a value from -1 to +1; without a name, they start from the middle of all styles.

        Raises :class:`AvatarError` if the style or a factor is unknown, or a number is out of range. A clip is no style
        here: the face in it can be read by vast alone, whose ``vast style save`` gives it a name.
        """
        facts = self._packed.facts
        if not math.isfinite(strength):
            raise AvatarError(f"the strength {strength:g} of a style: give a finite number, such as 0.5 or 1.5")
        if unknown := [factor for factor in factors or {} if factor not in facts["factors"]]:
            raise AvatarError(
                f"the factor {unknown[0]!r} is unknown; this avatar has {', '.join(self.factors) or 'none'}"
            )
        if named is None:
            code, source = np.array(facts["middle"] if factors else [0.0] * facts["style_size"]), "neutral"
        else:
            code, source = self._code(str(named)), str(named)
        code = strength * code
        for factor, amount in (factors or {}).items():
            if not -1 <= amount <= 1:
                raise AvatarError(f"the factor {factor} = {amount:g}: give a value from -1 to +1")
            code = code + amount * np.array(facts["factors"][factor])
        return Style(code.astype(np.float32), source)

    def _code(self, named: str) -> Floats:
        known = self._packed.facts["styles"]
        if named in known:
            return np.array(known[named]["code"], np.float32)
        path = Path(named)
        if path.suffix != ".safetensors":
            told = f"it has {', '.join(known)}" if known else "it has none"
            what = "a clip is read by vast alone; keep its style" if path.is_file() else f"{told}; keep one"
            raise AvatarError(
                f"this avatar has no style {named!r}: {what} with `vast style save` in its run, and pack the run again"
            )
        return _saved_code(path, self._packed.facts["model"])

    def speak(self, speech: Speech, style: Style) -> Iterator[Image]:
        """Frames (Y, X, 3), uint8, RGB, of the avatar speaking, each as soon as its sound has come.

        ``speech`` is a sound or video file, a wave (S,) of floats in [-1, 1] at 16 kHz, or an iterable of chunks of
        one. Chunks of any size give the same frames as the whole. Raises :class:`AvatarError` if the sound cannot be
        read, the style is of another avatar, or the speaker's consent has ended.
        """
        return self._artist.drawn(self._artist.prepared(express(self._packed, Sound(speech), self._fitting(style))))

    def marked(self, frame: Image) -> Image:
        """A frame (Y, X, 3) with the watermark that vast gives this avatar's videos, by which it is known as synthetic.

        :meth:`write` does it; do it where frames leave as a video in another way.
        """
        tables = self._packed.tables
        return np.asarray(cv2.subtract(cv2.add(frame, tables["watermark_more"]), tables["watermark_less"]), np.uint8)

    def write(self, out: str | Path, speech: Speech, style: Style, *, force: bool = False) -> Path:
        """Write a video of the avatar speaking, with the sound and marked as synthetic, to ``out``; returns its path.

        Sound in chunks is read to its end first. Raises :class:`AvatarError` if ``out`` exists and ``force`` is False,
        or cannot be written, and as :meth:`speak`.
        """
        out, sound, code = Path(out), Sound(speech), self._fitting(style)
        if out.exists() and (not force or out.samefile(self._packed.path)):
            raise AvatarError(f"{out}: exists already; choose another name, or overwrite it (--force, force=True)")
        sound.wait_for(2**62)
        wave = sound.window(0, sound.samples)
        prepared = ahead(self._artist.prepared(express(self._packed, Sound(wave), code)))
        with closing(prepared), closing(ahead(self._artist.drawn(prepared))) as frames:
            write_video(map(self.marked, frames), self.fps, wave, out, self._packed.facts["metadata"])
        return out

    def _fitting(self, style: Style) -> Floats:
        """The code of a style with which the avatar may speak now."""
        self._packed.require_consent()  # it may have ended since the avatar was loaded
        if style.code.shape != (self._packed.facts["style_size"],):
            raise AvatarError(f"the style {style.source} is of another avatar: its code has another length")
        return style.code


def load(path: str | Path, *, threads: int = 1) -> Avatar:
    """The avatar in a file of ``vast pack --format onnx``, whose networks compute in ``threads`` threads each.

    Raises :class:`AvatarError` if the file is no such avatar, is damaged, or the speaker's consent has ended.
    """
    return Avatar(Packed(Path(path), threads))


def ahead(items: Iterator[Item]) -> Generator[Item]:
    """The ``items``, of which one is made in another thread before it is asked for."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]


def _saved_code(path: Path, model: str) -> Floats:
    """The code (Z,) in a file of `vast style save`, which is safetensors: a header as JSON, then the numbers."""
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        about = json.loads(header["__metadata__"]["vast"])
        if header["code"]["dtype"] != "F32":
            raise ValueError("the code is of another type")
        first, last = header["code"]["data_offsets"]
        code = np.frombuffer(content[8 + length + first : 8 + length + last], np.float32)
        belongs = about.get("model") == model
    except OSError as error:
        raise AvatarError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AvatarError(f"{path}: is not a style of `vast style save`, or is damaged; save it again") from error
    if not belongs:
        raise AvatarError(f"{path}: belongs to another avatar's weights; save the style again with this avatar's run")
    return code
