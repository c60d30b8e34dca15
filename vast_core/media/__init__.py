"""Pictures and sound, in and out of files, and whether they belong together."""

from __future__ import annotations

from .colour import EXACT_COLOUR
from .hearing import SoundReader, is_silent, read_wave
from .labelled_names import NEUTRAL, ClipLabel, read_label
from .lip_regression import LipSync, pearson
from .opening import file_digest, is_pointer, opened
from .playing import endlessly
from .reading import SPOKEN, VideoFile, is_spoken
from .speech_manifest import NAME, Recording, format_phones, parse_phones, read_manifest, write_manifest
from .sync import LEAD_MS, LipOffset, Offset, estimate_offsets, shift_wave
from .writing import VideoWriter, h264_encoder

__all__ = [
    "EXACT_COLOUR",
    "LEAD_MS",
    "NAME",
    "NEUTRAL",
    "SPOKEN",
    "ClipLabel",
    "LipOffset",
    "LipSync",
    "Offset",
    "Recording",
    "SoundReader",
    "VideoFile",
    "VideoWriter",
    "endlessly",
    "estimate_offsets",
    "file_digest",
    "format_phones",
    "h264_encoder",
    "is_pointer",
    "is_silent",
    "is_spoken",
    "opened",
    "parse_phones",
    "pearson",
    "read_label",
    "read_manifest",
    "read_wave",
    "shift_wave",
    "write_manifest",
]
