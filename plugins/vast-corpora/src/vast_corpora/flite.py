"""Synthetic speech with the time of every phone by the program flite, whose voices are built from recorded people.

A. W. Black and K. A. Lenzo, Flite: a small fast run-time synthesis engine, SSW4, 2001. The program is called, not
linked to; it and its voices come with most Linux distributions.
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
"""A woman and a man from the United States, a man from Scotland, and the man of diphones; all at 16 kHz."""

_PHONES = {"PAU": SILENCE, "AX": "AH", "AXR": "ER", "IX": "IH", "DX": "T"}
_LEAST = 0.0005
"""Seconds; shorter phones are roundings of nothing."""


@cache
def program_version() -> str:
    """The program's own line about its version.

    Raises :class:`vast_core.errors.InputError` where the program or one of :data:`VOICES` is missing.
    """
    known = _run(["-lv"]).partition(":")[2].split()
    if missing := [voice for voice in VOICES if voice not in known]:
        raise InputError(
            f"flite at {shutil.which('flite')} lacks the voices {', '.join(missing)} (it has {', '.join(known)}); "
            "install the one of your distribution, or leave flite out: engines: [hibari]"
        )
    lines = [line.strip() for line in _run(["--version"], accepted=(0, 1)).splitlines()]
    return next((line for line in lines if line.startswith("version:")), "version: unknown")


def say(text: str, voice: str) -> Speech:
    """Speak English ``text``; the same text and voice give the same samples.

    Raises :class:`vast_core.errors.InputError` where the program is missing or fails, or ``text`` has no word.
    """
    if voice not in VOICES:  # flite itself would take its default without a word
        raise InputError(f"flite has no voice {voice!r} here; use one of {', '.join(VOICES)}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "speech.wav")
        told = _run(["-voice", voice, "-psdur", "-t", text, "-o", str(file)])
        if not file.is_file():  # it exits with 0 all the same
            raise InputError(f"flite wrote no sound to {file} for {text!r}; is that disk full?")
        wave = read_wave(file)
    phones = _phones(told, len(wave) / SAMPLE_RATE, text)
    if all(phone.label == SILENCE for phone in phones):
        raise InputError(f"text to speak: {text!r} has no word in it; give an English sentence")
    return Speech(levelled(wave, phones), phones)


def _phones(told: str, seconds: float, text: str) -> tuple[Phone, ...]:
    """Phones of ``name:end name:end ...``, from 0 to ``seconds`` without a gap."""
    phones: list[Phone] = []
    start = 0.0
    for word in told.split():
        name, _, end = word.upper().rpartition(":")
        label = _PHONES.get(name, name)
        if label not in PHONE_INDEX:
            raise InputError(f"text to speak: flite pronounces {text!r} with {name!r}, which is no ARPAbet phone")
        stop = min(float(end), seconds)
        if stop - start > _LEAST:
            append_phone(phones, label, start, stop)
            start = stop
    if seconds > start:
        append_phone(phones, SILENCE, start, seconds)
    return tuple(phones)


def _run(arguments: Sequence[str], accepted: tuple[int, ...] = (0,)) -> str:
    """What the program prints; it must end with one of the statuses ``accepted``."""
    program = shutil.which("flite")
    if program is None:
        raise InputError(
            "the program flite is not installed; install it (Debian, Ubuntu: apt install flite; Fedora: dnf install "
            "flite; macOS: brew install flite), or leave it out: engines: [hibari]"
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode not in accepted:
        raise InputError(f"flite {' '.join(arguments)} failed with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout
