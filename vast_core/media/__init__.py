"""Pictures and sound, in and out of files, and whether they belong together."""

from __future__ import annotations

from .labelled_names import NEUTRAL, ClipLabel, read_label
from .lip_regression import LipSync, pearson
from .playing import forward_and_back
from .reading import EXACT_COLOUR, SOUND_GAP, VideoFile, file_digest, read_wave
from .speech_manifest import NAME, Recording, format_phones, parse_phones, read_manifest, write_manifest
from .sync import LEAD_MS, LipOffset, Offset, estimate_offsets, shift_wave
from .writing import VideoWriter

__all__ = [
    "EXACT_COLOUR",
    "LEAD_MS",
    "NAME",
    "NEUTRAL",
    "SOUND_GAP",
    "ClipLabel",
    "LipOffset",
    "LipSync",
    "Offset",
    "Recording",
    "VideoFile",
    "VideoWriter",
    "estimate_offsets",
    "file_digest",
    "format_phones",
    "forward_and_back",
    "parse_phones",
    "pearson",
    "read_label",
    "read_manifest",
    "read_wave",
    "shift_wave",
    "write_manifest",
]
