"""Search for ``face_landmarker.task``: a given path, ``VAST_WEIGHTS``, the cache, or the official address."""

from __future__ import annotations

import hashlib
import http
import math
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from vast_core.console import Terminal, progress
from vast_core.errors import StorageError, WeightsError
from vast_core.files import fetched, is_file, replacing
from vast_core.media import is_pointer
from vast_core.places import downloads, expanded, weights_folder

NAME = "face_landmarker.task"
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
ADDRESS = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)
VARIABLE = "VAST_WEIGHTS"
TIMEOUT = 15.0
"""Seconds without an answer after which the network is given up."""
LIMIT = 300.0
"""Seconds after which a download is given up however it goes; a repeated command goes on with what came."""
REMEMBERED = 300.0
"""Seconds for which a failure is remembered, so that a network that hangs is waited for once and not for each clip."""
LARGEST = 16 * 2**20
"""Maximum size of a download in bytes; the real file has 3.8 million."""
BLOCK = 2**16
"""Bytes that are read at a time."""

_failures: dict[str, tuple[float, str]] = {}
"""When and why an address could not be reached."""


def landmarker_bytes(path: Path | None = None) -> bytes:
    """The content of ``face_landmarker.task`` with a verified digest; downloaded into the cache if it is not found.

    ``path`` is the file or a folder with it. Raises :class:`WeightsError` if a file that was found has another digest,
    or, naming all four places, if it is in none of them.
    """
    tried = []
    for place, file in _places(path):
        if file is None:
            tried.append(f"{place} is not set")
        elif file.is_file():
            return _checked(file.read_bytes(), str(file), _remedy(place, file))
        else:
            tried.append(f"{place}: no {file}")
    when, reason = _failures.get(ADDRESS, (-math.inf, ""))
    content = b""
    if time.monotonic() - when > REMEMBERED:
        reason = ""
        try:
            content = _download()
        except (OSError, urllib.error.URLError, ValueError) as error:
            reason = str(getattr(error, "reason", None) or error)
            _failures[ADDRESS] = (time.monotonic(), reason)
    if reason:
        tried.append(f"download from {ADDRESS}: {reason}")
        lines = "\n".join(f"  {number}. {line}" for number, line in enumerate(tried, 1))
        raise WeightsError(
            f"{NAME} (the weights of the face landmarker) was not found in any of four places:\n{lines}\n"
            f"Download it manually and put it into a folder that {VARIABLE} names."
        )
    _checked(content, ADDRESS, f"Download it from another machine, and put it into a folder that {VARIABLE} names.")
    _keep(content, cache_file())
    return content


def cache_file() -> Path:
    """Path of a downloaded file."""
    return downloads() / NAME


def _places(path: Path | None) -> list[tuple[str, Path | None]]:
    """The three places on this machine, in order; None if not set."""
    folder = weights_folder()
    return [
        ("the recipe's face.weights", _file_in(expanded(path)) if path else None),
        (VARIABLE, fetched(folder / NAME, missing=True) if folder else None),
        ("the cache", cache_file()),
    ]


def _file_in(path: Path) -> Path:
    return path / NAME if path.is_dir() else path


def _remedy(place: str, file: Path) -> str:
    if place == "the cache":
        return "Delete it, and it will be downloaded again."
    if is_pointer(file):
        return "It is a pointer of Git LFS: get the file itself with `git lfs pull`."
    return f"Put the file from {ADDRESS} in its place, or let {place} name another."


def _checked(content: bytes, origin: str, remedy: str) -> bytes:
    """Return ``content``. Raises :class:`WeightsError` if its digest is not the pinned one."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise WeightsError(
            f"{origin}: is not the expected {NAME}: its sha256 is {digest} ({len(content)} bytes), not {SHA256}. "
            f"{remedy}"
        )
    return content


def _download() -> bytes:
    """The file from its address, with a bar; goes on with the part that an earlier attempt has left in the cache."""
    part = cache_file().with_name(f"{NAME}.part")
    content = part.read_bytes() if is_file(part) else b""
    if len(content) >= LARGEST:
        content = b""
    request = urllib.request.Request(ADDRESS, headers={"Range": f"bytes={len(content)}-"} if content else {})
    began = time.monotonic()
    try:
        with _opened(request) as response, progress(Terminal(stderr=True), transient=True) as bar:
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:  # the server sends the whole
                content = b""
            total = len(content) + int(response.headers.get("Content-Length") or 0)
            task = bar.add_task(f"downloading {NAME}", total=total or None, completed=len(content))
            while len(content) <= LARGEST and (block := response.read(BLOCK)):
                content += block
                bar.update(task, completed=len(content))
                if time.monotonic() - began > LIMIT:
                    raise TimeoutError(f"{len(content)} bytes came in {LIMIT:g} s; repeat the command to go on")
            if len(content) < total:
                raise ConnectionError(f"the connection ended after {len(content)} of {total} bytes")
    except BaseException:
        if content:
            _keep(content, part)
        raise
    with suppress(OSError):
        part.unlink(missing_ok=True)
    return content


def _opened(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return urllib.request.urlopen(request.full_url, timeout=TIMEOUT)  # the part does not fit: all of it again


def _keep(content: bytes, target: Path) -> None:
    """Write it whole or not at all; a cache that cannot be written is not an error."""
    with suppress(StorageError), replacing(target) as temporary:
        temporary.write_bytes(content)
