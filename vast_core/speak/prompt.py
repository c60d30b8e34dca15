"""Style prompts: video clips, saved styles, names of styles, or draws from the prior."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..files.names import is_file
from ..interfaces import FaceTrack, listen
from ..media.hearing import is_silent
from ..media.reading import VideoFile
from ..pipeline import Pipeline
from .named_styles import may_be_name, named_style
from .style import Style
from .style_model import StyleModel, folded

__all__ = ["code_of_track"]

SAMPLE = "sample"
"""Prompt that stands for a sample from the density of style codes, by default p(z) = N(0, I), instead of a clip."""

SAVED = ".safetensors"
"""Suffix of a prompt file that is a saved style."""

LABEL = "label:"
"""The beginning of a prompt that is a label or words, for style encoders that read these."""

LEAST_SECONDS = 1.0
"""Shortest prompt, in seconds; a shorter one does not show a style."""


@attrs.frozen
class Prompt:
    """A clip, a saved style, a name, a label or ``sample``, and its weight in the mix."""

    source: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """``a.mp4``, ``a.mp4:0.7``, ``happy``, ``label:happy`` or ``sample``.

        Raises :class:`InputError` where the weight is not above 0.
        """
        source, colon, weight = text.rpartition(":")
        if not colon or source + colon == LABEL or is_file(Path(text)):
            return cls(text)
        try:
            share = float(weight)
        except ValueError:
            return cls(text)  # a colon in a file name or after a drive letter
        if not (source and 0 < share < float("inf")):
            raise InputError(f"--style {text}: write PROMPT or PROMPT:WEIGHT, with a weight above 0")
        return cls(source, share)


@torch.no_grad()
def read_style(
    source: str | Path,
    pipeline: Pipeline,
    model: StyleModel,
    digest: str,
    named: Mapping[str, Path],
    *,
    seed: int = 0,
    number: int = 0,
) -> Style:
    """The style of one prompt: a video, a saved style, a name, a label, or ``sample``.

    Text without a dot or a separator is a name, one of ``named``; a :class:`Path` is always a file. ``seed`` and
    ``number`` fix the draw of ``sample``. ``digest`` is that of the model's weights.

    Raises :class:`InputError` where a video shows no face, or less than a second of one, a name is unknown, or the
    style encoder does not read such a prompt, and :class:`vast_core.errors.WeightsError` where a saved style belongs to
    other weights.
    """
    if str(source).startswith(LABEL):
        label = str(source).removeprefix(LABEL)
        return Style(code=model.code_of_label(label)[0].cpu(), model=digest, source=label)
    if str(source) == SAMPLE:
        generator = torch.Generator().manual_seed((folded(seed) * 1_009 + number) % 2**63)
        noise = torch.randn(pipeline.sizes.style, generator=generator).to(model.prior_mean)
        return Style(code=model.code_from(noise).cpu(), model=digest, source=SAMPLE)
    path = Path(source)
    by_name = isinstance(source, str) and may_be_name(source)
    if by_name or path.suffix == SAVED:
        style = named_style(str(source), named) if by_name else Style.load(path)
        style.require(digest)
        return style
    code, notes = read_prompt(path, pipeline, model)
    return Style(code=code[0].cpu(), model=digest, source=path.name, notes=notes, files=(path,))


@torch.no_grad()
def read_prompt(path: Path, pipeline: Pipeline, model: StyleModel) -> tuple[Tensor, tuple[str, ...]]:
    """The code (1, Z) of one video, from its longest shot with a face, and from its sound if it has one.

    Returns the notes of the tracker, too, one line each.
    """
    face, fps = pipeline.face, pipeline.sizes.fps
    footage = VideoFile(path, fps)
    _ = footage.size  # raises if the file cannot be read, before the tracker looks for its weights
    try:
        tracks = face.track(footage.frames(), fps)
    except InputError as error:
        message = str(error)
        raise type(error)(message if str(path) in message else f"{path}: {message}") from error
    track: FaceTrack = max(tracks, key=len)
    wave = footage.wave()
    code = code_of_track(track, wave, pipeline, model, str(path))
    silent = wave is not None and is_silent(wave)
    notes = (*track.notes, *(["its sound is silent, so the style is read from its pictures alone"] if silent else []))
    return code, tuple(f"{path}: {note}" for note in notes)


@torch.no_grad()
def code_of_track(
    track: FaceTrack, wave: NDArray[np.float32] | None, pipeline: Pipeline, model: StyleModel, name: str
) -> Tensor:
    """The code (1, Z) of a tracked shot, whose speaker is known from it alone, and of the clip's whole sound (S,).

    Raises :class:`InputError`, which begins with ``name``, if the shot shows less than a second of a face.
    """
    face, fps, device = pipeline.face, pipeline.sizes.fps, pipeline.device
    seen = int(track.valid.sum())
    if seen < LEAST_SECONDS * fps:
        raise InputError(
            f"{name}: shows a face for {seen / fps:.2f} s; a style prompt needs at least {LEAST_SECONDS:g} s"
        )
    expression = torch.from_numpy(face.encode(track, face.identity([track])))[None].to(device)
    heard = wave is not None and not is_silent(wave)
    audio = torch.zeros(1, len(track), pipeline.sizes.audio, device=device)
    if wave is not None and heard:
        rows = listen(pipeline.audio, wave, track.start + len(track), device)
        audio = rows[None, track.start :].to(device)
    mask = torch.from_numpy(track.valid)[None].to(device)
    return model.code(expression, audio, mask, torch.tensor([heard], device=device))
