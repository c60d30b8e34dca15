"""What is right and wrong with a clip, in words that need no knowledge of the field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

__all__ = ["VERSION", "Finding", "Findings", "Seen", "judged"]

VERSION = 1
"""Version of the file of findings."""

Level = Literal["good", "weak", "stop"]

ENOUGH = 10.0
"""Seconds of a face from which a clip is not short."""
NARROW = 110.0
"""Width of a face in pixels below which pictures are blurred: the recipes draw 128."""
DARK, GLARE = 90.0, 0.05
"""Luminance, 0 to 255, that the brightest twentieth of a face must reach, and the share of it that may be overexposed.
The brightest part says how much light there is for any skin."""
QUIET, CLIPPED = -42.0, 0.002
"""Level of the louder moments in dB of full scale, and share of samples at full scale."""
LATE = 0.07
"""Seconds by which sound may be early or late before it is told; lips then look wrong."""
SLOW = 20.0
"""Frames a second below which lips are seen too rarely."""
GONE, COVERED = 0.05, 0.05
"""Shares of the frames that may show no face, or a covered mouth."""


@attrs.frozen(kw_only=True)
class Seen:
    """Measurements of a clip."""

    seconds: float
    """Length of what was looked at."""
    fps: float
    """Frames a second of the file."""
    face_seconds: float = 0.0
    """Length of the longest shot with a face."""
    least_seconds: float = 1.0
    """What the recipe needs of it."""
    face_share: float = 0.0
    """Share of the frames with a face."""
    width: float = 0.0
    """Median width of the face, pixels."""
    shots: int = 0
    people: int = 0
    """Most faces at a time."""
    covered: float = 0.0
    """Share of the frames of the face with a covered mouth."""
    bright: float = 0.0
    """Luminance that the brightest twentieth of the face reaches, 0 to 255."""
    glare: float = 0.0
    """Share of the face that is overexposed."""
    sound: Literal["none", "silent", "heard"] = "none"
    level: float = 0.0
    """Level of the louder moments, dB of full scale."""
    clipped: float = 0.0
    """Share of samples at full scale."""
    late: float | None = None
    """Seconds by which the sound is late; None if that is not known."""
    trouble: str = ""
    """What the tracker says if it finds no face."""


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is good, could be better, or makes an avatar impossible."""

    level: Level
    title: str
    advice: str = ""


@attrs.frozen(kw_only=True)
class Findings:
    """All of a clip."""

    version: int = VERSION
    seen: Seen
    findings: list[Finding]
    pictures: list[str]
    """Names of the pictures of the tracker."""

    @property
    def usable(self) -> bool:
        """Whether an avatar can be made of the clip."""
        return all(finding.level != "stop" for finding in self.findings)


def judged(seen: Seen) -> list[Finding]:
    """What to say of the measurements, the worst first."""
    found = [*_face(seen), *_sound(seen)]
    order: dict[Level, int] = {"stop": 0, "weak": 1, "good": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _face(seen: Seen) -> Iterator[Finding]:
    if not seen.shots:
        if "covered" in seen.trouble:
            yield _stop("Your mouth is covered", "Keep hands, microphone and mask away from the mouth, and film again.")
        else:
            yield _stop(
                "No face was found",
                "Sit so close that your face fills a third of the picture, look at the camera, and film again with "
                "light from the front.",
            )
        return
    if seen.face_seconds < seen.least_seconds:
        yield _stop(
            f"A face is seen for only {_seconds(seen.face_seconds)}",
            f"Film at least {_seconds(ENOUGH)} without a cut; half a minute is better.",
        )
    elif seen.face_seconds < ENOUGH:
        yield _weak(
            f"The clip is short: {_seconds(seen.face_seconds)}",
            "That is enough for a try. Half a minute shows more of how you talk, and looks better.",
        )
    else:
        yield _good(f"{_seconds(seen.face_seconds)} of your face, without a cut")
    if seen.shots > 1:
        yield _weak(
            f"The clip is cut into {seen.shots} pieces",
            "Each piece is used, but an avatar moves better when it is filmed in one go.",
        )
    if seen.people > 1:
        yield _weak(f"{seen.people} faces are in the picture", "The largest is taken. Film yourself alone to be sure.")
    if seen.face_share < 1 - GONE and seen.shots == 1:
        yield _weak(
            f"Your face is away for {_percent(1 - seen.face_share)} of the time",
            "Stay in the picture and look at the camera.",
        )
    if seen.width < NARROW:
        yield _weak(
            f"Your face is small: {seen.width:.0f} pixels wide",
            f"Come closer, or film with more pixels. From {NARROW:.0f} on, skin and teeth are sharp.",
        )
    else:
        yield _good(f"Your face is large enough: {seen.width:.0f} pixels wide")
    if seen.bright < DARK:
        yield _weak("It is too dark", "Turn to a window or a lamp, so that light falls on your face from the front.")
    elif seen.glare > GLARE:
        yield _weak("It is too bright", "Parts of your face are white. Move away from the lamp, or out of the sun.")
    else:
        yield _good("The light is good")
    if seen.covered > COVERED:
        yield _weak(
            f"Your mouth is covered for {_percent(seen.covered)} of the time",
            "These moments are left out. Keep hands and microphone away from the mouth.",
        )
    if seen.fps < SLOW:
        yield _weak(
            f"The clip has only {seen.fps:.0f} pictures a second",
            "Film with 25 or more, in good light: cameras slow down in the dark.",
        )


def _sound(seen: Seen) -> Iterator[Finding]:
    if seen.sound == "none":
        yield _stop("The clip has no sound", "Your lips are learned together with your voice. Film again with sound.")
        return
    if seen.sound == "silent":
        yield _stop("The sound is silent", "Switch the microphone on, and film again while you talk.")
        return
    if seen.level < QUIET:
        yield _weak("Your voice is very quiet", "Come closer to the microphone, or speak up.")
    elif seen.clipped > CLIPPED:
        yield _weak("The sound is too loud", "It is distorted. Move away from the microphone, or turn it down.")
    if seen.late is None:
        if seen.shots:
            yield _weak(
                "Voice and lips could not be compared",
                "Make sure that the voice is yours and that you talk most of the time. Music under it disturbs.",
            )
    elif abs(seen.late) > LATE:
        which = "late" if seen.late > 0 else "early"
        yield _weak(
            f"The sound is {abs(seen.late):.2f} s {which}",
            "It is moved into place when the avatar is made.",
        )
    else:
        yield _good("Voice and lips fit together")


def _good(title: str) -> Finding:
    return Finding(level="good", title=title)


def _weak(title: str, advice: str) -> Finding:
    return Finding(level="weak", title=title, advice=advice)


def _stop(title: str, advice: str) -> Finding:
    return Finding(level="stop", title=title, advice=advice)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 3 else f"{value:.0f} s"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
