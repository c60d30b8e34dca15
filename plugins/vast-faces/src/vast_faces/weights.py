"""Search for ``face_landmarker.task``: a given path, ``VAST_WEIGHTS``, the cache, or the official address."""

from __future__ import annotations

import hashlib
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from vast_core.errors import WeightsError
from vast_core.places import downloads, expanded, weights_folder

NAME = "face_landmarker.task"
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
ADDRESS = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)
VARIABLE = "VAST_WEIGHTS"
TIMEOUT = 30.0
"""Network timeout in seconds."""
LARGEST = 16 * 2**20
"""Maximum size of a download in bytes; the real file has 3.8 million."""


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
            return _checked(file.read_bytes(), str(file))
        else:
            tried.append(f"{place}: no {file}")
    target = cache_file()
    try:
        content = _download()
    except (OSError, urllib.error.URLError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        tried.append(f"download from {ADDRESS}: {reason}")
        lines = "\n".join(f"  {number}. {line}" for number, line in enumerate(tried, 1))
        raise WeightsError(
            f"{NAME} (the weights of the face landmarker) was not found in any of four places:\n{lines}\n"
            f"Download it manually and put it into a folder that {VARIABLE} names."
        ) from error
    _checked(content, ADDRESS)
    _keep(content, target)
    return content


def cache_file() -> Path:
    """Path of a downloaded file."""
    return downloads() / NAME


def _places(path: Path | None) -> list[tuple[str, Path | None]]:
    """The three places on this machine, in order; None if not set."""
    folder = weights_folder()
    return [
        ("the recipe's face.weights", _file_in(expanded(path)) if path else None),
        (VARIABLE, folder / NAME if folder else None),
        ("the cache", cache_file()),
    ]


def _file_in(path: Path) -> Path:
    return path / NAME if path.is_dir() else path


def _checked(content: bytes, origin: str) -> bytes:
    """Return ``content``. Raises :class:`WeightsError` if its digest is not the pinned one."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise WeightsError(
            f"{origin}: is not the expected {NAME}: its sha256 is {digest} ({len(content)} bytes), not {SHA256}. "
            "Delete it, and it will be downloaded again."
        )
    return content


def _download() -> bytes:
    with urllib.request.urlopen(ADDRESS, timeout=TIMEOUT) as response:
        content: bytes = response.read(LARGEST + 1)
    return content


def _keep(content: bytes, target: Path) -> None:
    """Write to a temporary name and rename; a cache that cannot be written is not an error."""
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=NAME, delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.replace(target)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
