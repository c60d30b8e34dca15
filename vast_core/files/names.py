"""Names from data, such as those of speakers and clips, as names of files."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import unicodedata
from pathlib import Path, PurePosixPath

import attrs

LONGEST = 160
"""Most bytes of a safe name; file systems allow 255 with all that is put around it."""

VIDEO_ENDINGS = (
    *(".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg", ".vob", ".wmv", ".asf"),
    *(".flv", ".f4v", ".3gp", ".3g2", ".ogv", ".mxf", ".qt", ".dv", ".mod", ".tod"),
)
"""Endings of the names of video files, in lower case."""

_UNSAFE = re.compile(r'[%<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]|^[ .~-]|[ .]$')


def safe_name(name: str) -> str:
    """One component of a path for any ``name``; two different names never give the same.

    ``%`` and the UTF-8 bytes in hexadecimal stand for what is unsafe: separators, control characters, a leading or
    trailing dot or space, and letters in a Unicode form that some file systems change. A long name is cut and ends in
    ``%-`` and a digest.
    """
    stable = unicodedata.is_normalized("NFC", name)
    safe = "".join(c if stable or c.isascii() else _escaped(c) for c in _UNSAFE.sub(lambda m: _escaped(m[0]), name))
    if len(safe.encode()) > LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"{safe.encode()[: LONGEST - 40].decode(errors='ignore')}%-{digest}"
    return safe or "%"


def safe_path(name: str) -> str:
    """:func:`safe_name` of each part of a name between slashes, which stay."""
    return "/".join(map(safe_name, name.split("/")))


def composed(name: str) -> str:
    """The name with composed accents (Unicode NFC), in which names are compared: file systems may change the form.

    ``%`` and two digits stand for a byte that is not UTF-8, so that the name is text.
    """
    text = re.sub("[\udc80-\udcff]", lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name)
    return unicodedata.normalize("NFC", text)


def find_file(folder: Path, name: str) -> Path | None:
    """The file of this name below a folder, whichever form its accents have there; None if there is none."""
    path = folder / name
    if is_file(path):
        return path
    found = folder
    for part in PurePosixPath(name).parts:
        same = [own for own in _listed(found) if composed(own) == composed(part)]
        if part not in ("..", ".", "/") and not same:
            return None
        found = found / (same[0] if same else part)
    return found if is_file(found) else None


def is_file(path: Path) -> bool:
    """Whether there is a file; False also for names that no file can have, because they are too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def temporary_name(name: str) -> str:
    """A hidden name for a file while it is written, as short as any and of the same ending."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    ending = Path(name).suffix
    writer = f"{_machine()}.{os.getpid()}"
    return f".{digest}.{writer}.part{ending if len(ending.encode('utf-8', 'surrogatepass')) <= 16 else ''}"


@attrs.frozen
class Writer:
    """The process that writes a temporary file."""

    machine: str
    process: int

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.machine == _machine()

    @property
    def lives(self) -> bool:
        """Whether the process may still write: True for one of another machine, of which nothing is known."""
        if not self.here:
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # another user's
            return True
        return True


def writer_of(name: str) -> Writer | None:
    """The writer of a file that has a :func:`temporary_name`; None for any other name."""
    found = re.fullmatch(r"\.[0-9a-f]{8}\.([0-9a-f]{8})\.(\d{1,9})\.part(\..*)?", name)
    return None if found is None else Writer(found[1], int(found[2]))


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
