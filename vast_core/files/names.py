"""Names from data, such as those of speakers and clips, as names of files."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONGEST = 160
"""Most bytes of a safe name; file systems allow 255 with all that is put around it."""

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


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
