"""Reads the zoo and holds what is read against what must be read."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vast_core.errors import MediaError, MediaWarning
from vast_core.media import VideoFile, read_wave

from .pictures import FRAMES, PATCHES, PictureForm, level
from .sounds import Floats, SoundForm

RATE = 16_000
EXACT = 0.003
"""Seconds to which the length and the place of a sound are read where a form allows nothing else."""


def check_sound(form: SoundForm, folder: Path) -> str:
    """Write a form, read it, and return what is wrong, or nothing."""
    path = folder / f"sound.{form.suffix}"
    path.write_bytes(form.content())
    wrong: list[str] = []
    with _told(form.refused, form.warned, wrong):
        wave = read_wave(path)
        apart = len(wave) / RATE - form.seconds
        if not -EXACT <= apart <= form.longer + EXACT:
            wrong.append(f"lasts {len(wave) / RATE:.4f} s, not {form.seconds:g} s")
        found = pauses(wave)
        if len(found) != len(form.pauses) or not all(
            -EXACT <= own - due <= form.late + EXACT for own, due in zip(found, form.pauses, strict=True)
        ):
            wrong.append(f"has pauses at {found}, not at {form.pauses}")
        # a codec may fade the ends or overshoot there, and fills up its last block
        room = round((form.late + form.longer) * RATE)
        parts = {"begins": wave[: 480 + room], "goes on": wave[4_000:8_000], "ends": wave[-480 - room :]}
        for what, part in parts.items():
            loudest = float(np.abs(part).max(initial=0))
            if not 0.85 * form.level <= loudest <= 2 * form.level:
                wrong.append(f"{what} with a level of {loudest:.2f}, not {form.level:g}")
    return "; ".join(wrong)


def check_pictures(form: PictureForm, folder: Path) -> str:
    """Write a form, read it at 25 frames a second, and return what is wrong, or nothing."""
    path = folder / f"pictures.{form.suffix}"
    path.write_bytes(form.content())
    wrong: list[str] = []
    with _told(form.refused, form.warned, wrong):
        video = VideoFile(path, 25)
        frames = [frame[::-1, ::-1] if form.turned else frame for frame in video.frames()]
        rows, columns = frames[0].shape[:2]
        if (rows, columns) != form.size or video.size != form.size:
            wrong.append(f"has {rows} x {columns} pixels, not {form.size[0]} x {form.size[1]}")
        numbers = [(float(frame[: rows * 5 // 12].mean()) - level(0)) / (level(1) - level(0)) for frame in frames]
        if form.frames >= 0 and not 0 <= len(frames) - form.frames <= form.twice:  # sound may end after the pictures
            wrong.append(f"has {len(frames)} frames, not {form.frames}")
        for what, number, due in (("begins", numbers[0], form.first), ("ends", numbers[-1], form.last)):
            if due >= 0 and abs(number - due) > 0.5:
                wrong.append(f"{what} with frame {number:.1f}, not {due}")
        if form.twice and np.abs(np.array([*numbers[:FRAMES], *numbers[-FRAMES:]]) - [*range(FRAMES)] * 2).max() > 0.5:
            wrong.append(f"shows the frames {np.round(numbers, 1)}")
        shown = [frames[-1][rows * 5 // 6, (2 * place + 1) * columns // 8] for place in range(len(PATCHES))]
        if (worst := float(np.abs(np.array(shown, float) - PATCHES).max())) > form.colour:
            wrong.append(f"shows colours that are {worst:.0f} of 255 off")
        if form.sound is not None:
            wave = video.wave()
            found = [] if wave is None else pauses(wave)
            if len(found) != 1 or abs(found[0] - form.sound) > 0.025:
                wrong.append(f"is heard with pauses at {found}, not at {form.sound}")
    return "; ".join(wrong)


def pauses(wave: Floats) -> list[float]:
    """Seconds at which the pauses of 0.1 s begin."""
    loud = np.flatnonzero(np.abs(wave) > 0.15 * np.abs(wave).max(initial=0))
    ends: NDArray[np.int64] = loud[1:]
    begins = loud[:-1] + 1
    return [round(float(at) / RATE, 4) for at in begins[ends - begins > 0.075 * RATE]]


@contextmanager
def _told(refused: str, warned: str, wrong: list[str]) -> Iterator[None]:
    """Catch the refusal and the warnings of a form, and note which are missing or too much."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
            if refused:
                wrong.append("is not refused")
        except MediaError as error:
            if not refused or not re.search(refused, str(error)):
                wrong.append(f"is refused: {error}")
    said = [str(own.message) for own in caught if issubclass(own.category, MediaWarning)]
    if bool(said) != bool(warned) or (warned and not any(warned in own for own in said)):
        wrong.append(f"warns {said or 'of nothing'}")
