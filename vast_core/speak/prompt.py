"""Style prompts: from video clips, weighted and mixed, or from the prior."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import attrs
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from ..errors import InputError
from ..interfaces import SILENCE_RMS, FaceTrack, listen
from ..media.reading import VideoFile
from ..pipeline import Pipeline
from .style_model import StyleModel

SAMPLE = "sample"
"""The prompt that is no clip but a draw from the prior p(z) = N(0, I)."""

LEAST_SECONDS = 1.0
"""A shorter prompt does not show a manner."""


@attrs.frozen
class Prompt:
    """A clip, or ``sample``, and its share in the mix."""

    source: str
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """``a.mp4``, ``a.mp4:0.7`` or ``sample``. Raises :class:`InputError` where the weight is not above 0."""
        source, colon, weight = text.rpartition(":")
        if not colon or Path(text).exists():
            return cls(text)
        try:
            share = float(weight)
        except ValueError:
            return cls(text)  # a colon in a file name, or in a drive's
        if not (source and 0 < share < float("inf")):
            raise InputError(f"--style {text}: write FILE or FILE:WEIGHT, with a weight above 0")
        return cls(source, share)


def style_code(
    prompts: Sequence[Prompt],
    pipeline: Pipeline,
    model: StyleModel,
    *,
    strength: float,
    seed: int,
    device: torch.device,
    console: Console,
) -> Tensor:
    """The code (1, Z) of weighted prompts, times ``strength``; 0 is the decoder's own neutral manner.

    Raises :class:`InputError` where a prompt shows no face, or less than a second of one.
    """
    total = sum(prompt.weight for prompt in prompts)
    code = torch.zeros(1, pipeline.sizes.style, device=device)
    for number, prompt in enumerate(prompts):
        if prompt.source == SAMPLE:
            generator = torch.Generator().manual_seed(seed * 1_009 + number)
            own = torch.randn(1, pipeline.sizes.style, generator=generator).to(device)
        else:
            own = read_prompt(Path(prompt.source), pipeline, model, device, console)
        code = code + prompt.weight / total * own
    return strength * code


@torch.no_grad()
def read_prompt(path: Path, pipeline: Pipeline, model: StyleModel, device: torch.device, console: Console) -> Tensor:
    """The code (1, Z) of one video: its longest shot with a face, with its sound where it has one."""
    face, fps = pipeline.face, pipeline.sizes.fps
    footage = VideoFile(path, fps)
    try:
        tracks = face.track(footage.frames(), fps)
    except InputError as error:
        message = str(error)
        raise type(error)(message if str(path) in message else f"{path}: {message}") from error
    track: FaceTrack = max(tracks, key=len)
    seen = int(track.valid.sum())
    if seen < LEAST_SECONDS * fps:
        raise InputError(
            f"{path}: as a style prompt it shows a face for {seen / fps:.2f} s; at least {LEAST_SECONDS:g} s are needed"
        )
    for note in track.notes:
        console.print(f"[dim]{path}: {note}[/dim]")
    expression = torch.from_numpy(face.encode(track, face.identity([track])))[None].to(device)
    wave = footage.wave()
    heard = wave is not None and len(wave) > 0 and float(np.sqrt(np.mean(np.square(wave)))) >= SILENCE_RMS
    audio = torch.zeros(1, len(track), pipeline.sizes.audio, device=device)
    if wave is not None and heard:
        rows = listen(pipeline.audio, wave, track.start + len(track), device)
        audio = rows[None, track.start :].to(device)
    mask = torch.from_numpy(track.valid)[None].to(device)
    return model.code(expression, audio, mask, torch.tensor([heard], device=device))
