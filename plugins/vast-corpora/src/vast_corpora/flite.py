"""Synthetic speech with the time of every phone by the program flite, whose voices are built from recordings.

A. W. Black and K. A. Lenzo, Flite: a small fast run-time synthesis engine, SSW4, 2001. The program is called, not
linked; it and its voices are packaged in most Linux distributions.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Phone
from vast_core.media import read_wave
from vast_core.phones import PHONE_INDEX, SILENCE

from .speech import Speech, append_phone, levelled

VOICES = ("slt", "rms", "awb", "kal16")
"""A woman and a man from the United States, a man from Scotland, and a man's diphone voice; all at 16 kHz."""

_PHONES = {"PAU": SILENCE, "AX": "AH", "AXR": "ER", "IX": "IH", "DX": "T"}
_LEAST = 0.0005
"""Shortest phone in seconds; shorter ones are rounding errors."""


@cache
def program_version() -> str:
    """The program's own version line.

    Raises :class:`vast_core.errors.InputError` if the program or one of :data:`VOICES` is missing.
    """
    known = _run(["-lv"]).partition(":")[2].split()
    if missing := [voice for voice in VOICES if voice not in known]:
        raise InputError(
            f"flite at {shutil.which('flite')} lacks the voices {', '.join(missing)} (it has {', '.join(known)}); "
            "install flite from your distribution's packages, or omit it: engines: [hibari]"
        )
    lines = [line.strip() for line in _run(["--version"], accepted=(0, 1)).splitlines()]
    return next((line for line in lines if line.startswith("version:")), "version: unknown")


def say(text: str, voice: str) -> Speech:
    """Speak English ``text``; the same text and voice give the same samples.

    Raises :class:`vast_core.errors.InputError` if the program is missing or fails, or ``text`` has no words.
    """
    if voice not in VOICES:  # flite itself would silently use its default
        raise InputError(f"voice {voice!r} of flite is not supported; use one of {', '.join(VOICES)}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "speech.wav")
        told = _run(["-voice", voice, "-psdur", "-t", text, "-o", str(file)])
        if not file.is_file():  # flite exits with 0 even then
            raise InputError(f"flite wrote no sound to {file} for {text!r}; check that the disk is not full")
        wave = read_wave(file)
    phones = _phones(told, len(wave) / SAMPLE_RATE, text)
    if all(phone.label == SILENCE for phone in phones):
        raise InputError(f"text to speak: {text!r} has no words; give an English sentence")
    return Speech(levelled(wave, phones), phones)


def _phones(told: str, seconds: float, text: str) -> tuple[Phone, ...]:
    """Phones parsed from ``name:end name:end ...``, from 0 to ``seconds`` without gaps."""
    phones: list[Phone] = []
    start = 0.0
    for word in told.split():
        name, _, end = word.upper().rpartition(":")
        label = _PHONES.get(name, name)
        if label not in PHONE_INDEX:
            raise InputError(f"text to speak: flite pronounces {text!r} with {name!r}, which is not an ARPAbet phone")
        stop = min(float(end), seconds)
        if stop - start > _LEAST:
            append_phone(phones, label, start, stop)
            start = stop
    if seconds > start:
        append_phone(phones, SILENCE, start, seconds)
    return tuple(phones)


def _run(arguments: Sequence[str], accepted: tuple[int, ...] = (0,)) -> str:
    """Output of the program; its exit status must be among ``accepted``."""
    program = shutil.which("flite")
    if program is None:
        raise InputError(
            "the program flite is not installed; install it (Debian, Ubuntu: apt install flite; Fedora: dnf install "
            "flite; macOS: brew install flite), or omit it: engines: [hibari]"
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode not in accepted:
        raise InputError(f"flite {' '.join(arguments)} failed with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
