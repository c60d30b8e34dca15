"""Whether a file lacks bytes or samples that its own header announces.

Only an announcement shows that a file was cut short. FFmpeg's duration does not: for many formats it is an estimate,
and a header may state the length of a longer recording. Programs that write to a pipe cannot go back to the header, and
leave a placeholder there, which announces nothing.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LEAST, ROUND, HEADER = 1 << 30, 1 << 24, 1 << 16
"""Placeholders are 0, and numbers from ``LEAST`` bytes on within ``HEADER`` bytes of a multiple of ``ROUND``, such as
2^31 - 1 or 0x7FFFF000: round numbers, of which programs subtract their header."""

_BOXES = (b"moov", b"mdat", b"moof")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_SIGNATURES = ((b"FORM", 8, 16), (b"caff", 0, 16), (b"TTA1", 0, 12), (b"FLV\1", 0, 9), (W64[:12], 0, 16))
"""How a form begins, and the first and last of those bytes that every recording of a program begins with."""


def missing_bytes(path: Path) -> str:
    """Which part of a file lies beyond its end, in words; empty if none does, or if no header announces any."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        kind, form = head[:4], head[8:12]
        if kind in (b"RIFF", b"RF64", b"BW64"):
            parts = _wave(file, size) if form == b"WAVE" else _avi(file, size)
        elif kind == b"FORM" and form in (b"AIFF", b"AIFC"):
            parts = _chunks(file, 12, size, ">", b"SSND")
        elif kind == b".snd":
            parts = iter([("sound", struct.unpack(">I", head[4:8])[0], struct.unpack(">I", head[8:12])[0])])
        elif kind == b"caff":
            parts = _caf(file, size)
        elif kind == _EBML:
            parts = _matroska(file)
        elif head == _ASF:
            parts = _asf(file, size)
        elif head == W64:
            parts = _w64(file, size)
        elif kind[:3] == b"ID3" or (kind[:1] == b"\xff" and kind[1:2] >= b"\xe0"):
            parts = _mp3(file, head)
        elif head[4:8] in (b"ftyp", b"wide", *_BOXES):
            parts = _boxes(file, size)
        else:
            parts = iter(())
        for name, start, length in parts:
            if start + length > size and not is_placeholder(length):
                return f"its header announces {length:,} bytes of {name}, of which {max(0, size - start):,} are there"
    return ""


def second_recording(path: Path) -> bool:
    """Whether a file of a form that holds one recording has another one behind it, which no player plays."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            behind = 8 + struct.unpack("<I", head[4:8])[0]
            file.seek(behind + behind % 2)
            other = file.read(12)
            return other[:4] == b"RIFF" and other[8:] == head[8:] == b"WAVE"  # that of a second AVI file is read
        for begins, first, last in _SIGNATURES:
            if head.startswith(begins):
                file.seek(0)
                signature = file.read(last)[first:]
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    return content.find(signature, last) >= 0
        return head[4:8] == b"ftyp" and sum(name == b"ftyp" for name, _, _ in _every_box(file, size)) > 1


def is_placeholder(length: int) -> bool:
    """Whether a length announces nothing."""
    return length == 0 or (LEAST - HEADER <= length <= 2**32 and (length + HEADER) % ROUND <= 2 * HEADER)


Part = tuple[str, int, int]
"""Name of a part of a file, its first byte, and its length."""


def _chunks(file: BinaryIO, at: int, size: int, order: str, wanted: bytes) -> Iterator[Part]:
    if found := chunk_after(file, at, size, order, wanted):
        yield ("sound", *found)


def chunk_after(file: BinaryIO, at: int, size: int, order: str, wanted: bytes) -> tuple[int, int] | None:
    """First byte and length of the chunk of this name from ``at`` on, if chunks have a name of four letters."""
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        if name == wanted:
            return at + 8, length
        at += 8 + length + length % 2
    return None


def _wave(file: BinaryIO, size: int) -> Iterator[Part]:
    file.seek(12)
    name, _, _, long = struct.unpack("<4sIQQ", file.read(24).ljust(24, b"\0"))
    for what, start, length in _chunks(file, 12, size, "<", b"data"):
        announced = long if name == b"ds64" and length == 0xFFFFFFFF else length
        if announced < 2**63:
            yield what, start, announced


def _avi(file: BinaryIO, size: int) -> Iterator[Part]:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or is_placeholder(length):
            return
        yield "video and sound", at + 8, length
        at += 8 + length


def _caf(file: BinaryIO, size: int) -> Iterator[Part]:
    at = 8
    while at + 12 <= size:
        file.seek(at)
        name, length = struct.unpack(">4sq", file.read(12))
        if length < 0:
            return
        if name == b"data":
            yield "sound", at + 12, length
        at += 12 + length


def _w64(file: BinaryIO, size: int) -> Iterator[Part]:
    for name, start, length in w64_chunks(file, size):
        if name == b"data" and length < 2**63 - ROUND:
            yield "sound", start, length


def w64_chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """First four letters, first byte and length, both with its header, of the chunks of a W64 file."""
    at = 40
    while at + 24 <= size:
        file.seek(at)
        name, length = struct.unpack("<16sQ", file.read(24))
        if length < 24:
            return
        yield name[:4], at, length
        at += -(-length // 8) * 8


def _asf(file: BinaryIO, size: int) -> Iterator[Part]:
    at = 0
    while at + 24 <= size:
        file.seek(at)
        name, length = struct.unpack("<16sQ", file.read(24))
        if (length < 50 and name == _ASF_DATA) or length < 24:  # a broadcast, which has no end
            return
        yield "video and sound", at, length
        at += length


def _boxes(file: BinaryIO, size: int) -> Iterator[Part]:
    for name, at, length in _every_box(file, size):
        if name in _BOXES:
            yield f"video and sound (box {name.decode()})", at, length


def _every_box(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name, long = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
        length = long if length == 1 else length
        if length < 8:  # 0: to the end of the file
            return
        yield name, at, length
        at += length


def _mp3(file: BinaryIO, head: bytes) -> Iterator[Part]:
    """By the header of Xing or VBRI in the first frame, which only an encoder writes that has seen the end."""
    at = 0
    if head[:3] == b"ID3":
        at = 10 + sum((byte & 0x7F) << 7 * (3 - number) for number, byte in enumerate(head[6:10]))
    file.seek(at)
    first = file.read(200)
    for name in (b"Xing", b"Info", b"VBRI"):
        found = first.find(name)
        if found < 0 or first[:1] != b"\xff":
            continue
        if name == b"VBRI":
            yield "sound", at, struct.unpack(">I", first[found + 10 : found + 14])[0]
        elif (flags := first[found + 7]) & 2:
            place = found + 8 + 4 * (flags & 1)
            yield "sound", at, struct.unpack(">I", first[place : place + 4])[0]
        return


def _matroska(file: BinaryIO) -> Iterator[Part]:
    at = 0
    for wanted in (_EBML, _SEGMENT):
        file.seek(at)
        head = file.read(12)
        if head[:4] != wanted or len(head) < 12 or not head[4]:
            return
        width = 9 - head[4].bit_length()
        length = int.from_bytes(head[4 : 4 + width], "big") & ((1 << 7 * width) - 1)
        if length == (1 << 7 * width) - 1:  # unknown: a live stream
            return
        at += 4 + width
        if wanted == _SEGMENT:
            yield "video and sound", at, length
        at += length
