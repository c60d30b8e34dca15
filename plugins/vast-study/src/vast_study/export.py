"""Raw votes as the long table that is exported and downloaded."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from .votes import RawVote

COLUMNS = (
    *("judge", "kind", "system", "left", "clip", "question", "score", "block", "position"),
    *("seconds", "latency", "changes", "expected_low", "expected_high"),
)
"""The fields of :class:`vast_study.votes.RawVote`; ``seconds`` is the length of the video, ``latency`` the seconds from
the end of its first playback to the first score, ``expected`` the correct range for known clips."""


def row(vote: RawVote) -> list[object]:
    """One vote in the order of :data:`COLUMNS`."""
    low, high = vote.expected or (None, None)
    own = [
        vote.judge,
        vote.kind,
        vote.system,
        vote.left,
        vote.clip,
        vote.question,
        vote.score,
        vote.block,
        vote.position,
    ]
    return [*own, round(vote.seconds, 3), round(vote.latency, 3), vote.changes, low, high]


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV with LF. Text that a spreadsheet would run as a formula is preceded by an apostrophe."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([inert(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return stream.getvalue()


def inert(text: str) -> str:
    """The text, preceded by an apostrophe if it starts like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def votes_csv(votes: Iterable[RawVote]) -> str:
    """All votes as CSV."""
    return csv_text(COLUMNS, map(row, votes))
