"""Raw votes, one row a judge, clip and question: what every analysis starts from, and what an export writes."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class RawVote:
    """One score, with all that is known of it."""

    judge: int
    """Its number."""
    kind: str
    """As :data:`vast_study.study.TaskKind`; training is exported, too, and never analysed."""
    system: str | None
    clip: str
    question: str
    score: int
    block: int
    position: int
    seconds: float
    """Length of the video."""
    latency: float
    """Seconds from the end of the first playback to the first score."""
    changes: int
    expected: tuple[int, int] | None
    """Lowest and highest score that is right, of gold and trap clips."""
