"""A clip that arrives: who may send one, which, and how much of it."""

from __future__ import annotations

import shutil
import unicodedata
from datetime import date
from pathlib import Path

import attrs
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from vast_core.errors import MediaError
from vast_core.files import VIDEO_ENDINGS
from vast_core.interfaces import Consent
from vast_core.media import VideoFile, is_spoken

from .project import Project
from .shelf import Shelf

__all__ = ["StudioLimits", "receive"]

NAME = 40
"""Most characters of a name."""
PURPOSE = 200
"""Most characters of what an avatar is for."""
SPARE = 2_000_000_000
"""Bytes that stay free on the disk, for what is computed of a clip."""


@attrs.frozen(kw_only=True)
class StudioLimits:
    """Limits of a studio."""

    megabytes: int = 500
    """Largest clip."""
    minutes: float = 10.0
    """Longest clip."""
    projects: int = 50
    """Most avatars."""

    @property
    def bytes(self) -> int:
        """Largest clip, in bytes."""
        return self.megabytes * 1_000_000


async def receive(request: Request, shelf: Shelf, limits: StudioLimits) -> Project:
    """A new project with the clip that is the body of a request. Raises :class:`HTTPException` if it is refused."""
    asked = request.query_params
    name = _name(asked.get("name", ""))
    purpose, until = _purpose(asked.get("purpose", "")), _until(asked.get("until", ""))
    ending = Path(asked.get("file", "")).suffix.lower()
    if asked.get("agreed") != "yes":
        raise HTTPException(400, "confirm that the person in the clip has agreed")
    if ending not in VIDEO_ENDINGS:
        raise HTTPException(400, f"this is no video: its name must end in {', '.join(VIDEO_ENDINGS[:5])} or the like")
    if len(shelf) >= limits.projects:
        raise HTTPException(409, f"there are {limits.projects} avatars already; delete one first")
    announced = request.headers.get("content-length", "")
    if shutil.disk_usage(shelf.folder).free < SPARE + (int(announced) if announced.isdigit() else limits.bytes):
        raise HTTPException(507, "the disk is nearly full; delete something first")
    path = shelf.incoming(ending)
    try:
        with path.open("wb") as file:
            async for part in request.stream():
                await run_in_threadpool(file.write, part)
        await run_in_threadpool(_check, path, limits)
        return await run_in_threadpool(shelf.add, name, path, Consent(who=name, purpose=purpose, until=until))
    finally:
        path.unlink(missing_ok=True)


def _name(text: str) -> str:
    """The name that was given, without what no name has."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise HTTPException(400, "give the avatar a name")
    if len(name) > NAME or any(unicodedata.category(c)[0] == "C" for c in name) or set(name) & set("/\\<>"):
        raise HTTPException(400, f"a name has at most {NAME} characters, and none of / \\ < >")
    return name


def _purpose(text: str) -> str:
    """What the person has agreed to, in words."""
    purpose = " ".join(text.split())
    if not purpose:
        raise HTTPException(400, "say what the avatar is for, because that is what the person agrees to")
    if len(purpose) > PURPOSE or any(unicodedata.category(c)[0] == "C" for c in purpose):
        raise HTTPException(400, f"say in at most {PURPOSE} characters what the avatar is for")
    return purpose


def _until(text: str) -> date | None:
    """The last day of the agreement."""
    if not text:
        return None
    try:
        until = date.fromisoformat(text)
    except ValueError as error:
        raise HTTPException(400, "give the last day of the agreement as a date, such as 2027-12-31") from error
    if until < date.today():
        raise HTTPException(400, "the last day of the agreement is over; no avatar can be made")
    return until


def _check(path: Path, limits: StudioLimits) -> None:
    """Refuse what is no video of a person; only its first frame is read."""
    file = VideoFile(path, 25.0)
    try:
        _ = file.size
    except MediaError as error:
        raise HTTPException(400, "this file cannot be read as a video; film again, or save it as MP4") from error
    if is_spoken(path):
        raise HTTPException(400, "in this clip an avatar speaks; film the person")
    if file.seconds > 60 * limits.minutes:
        raise HTTPException(
            413, f"the clip is {file.seconds / 60:.0f} minutes long; {limits.minutes:g} are allowed, and one is enough"
        )
