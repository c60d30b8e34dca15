"""The length of sound whose header has a placeholder for it that FFmpeg does not understand.

Programs that write to a pipe leave a placeholder (:mod:`vast_core.media.announced`). FFmpeg reads on to the end of a
WAV or AU file then, but opens no AIFF or W64, and finds nothing in RF64. So it is shown the length that the file has.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

from .announced import ROUND, W64, chunk_after, is_placeholder, w64_chunks


class _Mended(io.RawIOBase):
    """A file of which some bytes are shown as others."""

    def __init__(self, file: BinaryIO, shown: dict[int, bytes]) -> None:
        self._file, self._shown = file, shown

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes from where it is."""
        at = self._file.tell()
        data = bytearray(self._file.read(size))
        for start, other in self._shown.items():
            first, last = max(start, at), min(start + len(other), at + len(data))
            if first < last:
                data[first - at : last - at] = other[first - start : last - start]
        return bytes(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._file.tell()

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def mended(path: Path) -> BinaryIO | None:
    """The file with its length in the header, if there is a placeholder that FFmpeg does not understand."""
    file = path.open("rb")
    shown = _shown(file, path.stat().st_size)
    if not shown:
        file.close()
        return None
    file.seek(0)
    return _Mended(file, shown)  # type: ignore[return-value]


def _shown(file: BinaryIO, size: int) -> dict[int, bytes]:
    """Bytes to be shown instead of the file's own, by their place."""
    head = file.read(16)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        found = chunk_after(file, 12, size, ">", b"SSND")
        if found and is_placeholder(found[1]):
            return {4: struct.pack(">I", size - 8), found[0] - 4: struct.pack(">I", size - found[0])}
    elif head[:4] in (b"RF64", b"BW64") and head[8:12] == b"WAVE" and head[12:16] == b"ds64":
        found = chunk_after(file, 12, size, "<", b"data")
        file.seek(28)
        (long,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if found and found[1] == 0xFFFFFFFF and (is_placeholder(long) or long >= 2**63):
            return {28: struct.pack("<Q", size - found[0])}
    elif head[:4] == b".snd" and head[8:12] == bytes(4):
        return {8: b"\xff" * 4}
    elif head == W64:
        for name, start, length in w64_chunks(file, size):
            if name == b"data" and length >= 2**63 - ROUND:
                return {16: struct.pack("<Q", size), start + 16: struct.pack("<Q", size - start)}
    return {}
