"""An evaluation's page: one HTML file with the table, the spread over clips, and every clip for inspection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vast_core.media import VideoFile, VideoWriter
from vast_core.report import (
    Block,
    Cell,
    Figure,
    Folded,
    Listing,
    Order,
    Ranked,
    Rejected,
    Section,
    Table,
    Text,
    Video,
    readable,
)
from vast_core.report import write_report as write_html

from .figures import plot_lips, plot_spread
from .results import ClipResult, Evaluation, MeasureOf
from .tables import (
    SHORT,
    STANDING,
    having,
    interval_of,
    moved_of,
    protocol_of,
    reading,
    standing_of,
    warning,
)

FILE = "eval.html"

EMBEDDED = 24 * 1024**2
"""Bytes of video embedded in the page, for the worst clips first; the others are linked."""

GEOMETRIES = {
    "tracked": "both sides as tracked in the videos by the protocol's face component",
    "model": "the run's own vertices compared with those prepared from its footage",
}


def write_report(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write ``eval.html`` into ``folder``, and both videos of each clip side by side; return the pages.

    Raises :class:`vast_core.errors.StorageError` if something cannot be written, :class:`MediaError` if a video of the
    evaluation cannot be read.
    """
    path = folder / FILE
    count = len(evaluation.clips)
    write_html(
        path,
        title=f"Evaluation of {evaluation.generated}",
        subtitle=f"against {evaluation.reference} · {count} clip{'s' * (count != 1)} · {protocol_of(evaluation)}",
        sections=[
            Section("Measures", list(_measures(evaluation))),
            *_standing(evaluation),
            Section("Over clips", list(_spread(evaluation))),
            Section("By clip", list(_clips(folder, evaluation))),
            Section("Left out", [Rejected([(item.clip, item.reason) for item in evaluation.left_out])]),
            Section("Methods", [_method(evaluation)]),
        ],
    )
    return [path]


def _measures(evaluation: Evaluation) -> Iterator[Block]:
    if told := warning(evaluation):
        yield Text(f"Warning: {told}.")
    yield Text(reading(evaluation))
    rows: list[list[Cell]] = []
    for name, found in evaluation.overall.items():
        own = evaluation.measures[name]
        value, bounds = f"{readable(found.value)} {own.unit}".rstrip(), interval_of(found) or None
        unbroken = [text and _unbroken(text) for text in (value, bounds, own.better, own.provider)]
        moved = [_unbroken(moved_of(found)) or None] if evaluation.reencoded else []
        rows.append([name, *unbroken[:2], *moved, found.clips, unbroken[2], own.metric, unbroken[3]])
    coded = ["re-encoded"] if evaluation.reencoded else []
    columns = ["measure", "value", "95 % interval", *coded, "clips", "better", "metric", "of"]
    yield Table(columns, rows, f"Protocol {evaluation.protocol}, digest {evaluation.digest[:SHORT]}")
    if evaluation.not_computed:
        yield _lacking(evaluation.not_computed)
    for metric, why in evaluation.not_computed.items():
        if len(why.splitlines()) > 1:
            yield Listing(f"{metric}: what is missing, and how to get it", why)


def _standing(evaluation: Evaluation) -> Iterator[Section]:
    """Where the system stands beside published ones, if the composite is computed."""
    if rows := standing_of(evaluation):
        cells: list[list[Cell]] = [[system, f"{score:.3f}", note] for system, score, note in rows]
        yield Section("Beside published systems", [Table(["system", "composite", "of"], cells, STANDING)])


def _spread(evaluation: Evaluation) -> Iterator[Block]:
    """A figure for each metric with values per clip."""
    metrics: dict[str, list[str]] = {}
    for name in evaluation.overall:
        if having(evaluation, name):
            metrics.setdefault(evaluation.measures[name].metric, []).append(name)
    yield Text("Each dot is a clip; the diamond is the value over all clips, the line its 95 % interval.")
    for metric, measures in metrics.items():
        yield Figure(f"{metric}, {protocol_of(evaluation)}", plot_spread(evaluation, measures))


def _clips(folder: Path, evaluation: Evaluation) -> Iterator[Block]:
    orders = [
        Order(name, badness(evaluation, name), [remark(clip, name, own) for clip in evaluation.clips])
        for name, own in evaluation.measures.items()
        if own.better != "neither" and having(evaluation, name)
    ]
    room = EMBEDDED
    folded: dict[int, Folded] = {}
    for number in orders[0].ranking if orders else range(len(evaluation.clips)):
        clip = evaluation.clips[number]
        blocks: list[Block] = [Text("\n\n".join(_about(clip, evaluation)))]
        if (video := side_by_side(folder, clip, evaluation.fps)) is not None:
            blocks.append(
                Video(
                    "Left: the generated video. Right: its reference. The sound is that of the generated video.",
                    video,
                    room,
                )
            )
            room -= size if (size := video.stat().st_size) <= room else 0
        folded[number] = Folded(clip.name, [*blocks, *_numbers(clip, evaluation)])
    yield Ranked("Sort worst first by", [folded[number] for number in range(len(folded))], orders)


def _about(clip: ClipResult, evaluation: Evaluation) -> Iterator[str]:
    speaker = f"Speaker {clip.speaker}, " if clip.speaker else ""
    yield f"{speaker}{clip.frames} frames, {clip.frames / evaluation.fps:.1f} s."
    yield from (f"{note[:1].upper()}{note[1:]}." for note in clip.notes)


def _numbers(clip: ClipResult, evaluation: Evaluation) -> Iterator[Block]:
    if clip.curves:
        yield Figure(
            "Inner-lip opening divided by the distance of the outer eye corners", plot_lips(clip, evaluation.fps)
        )
    rows: list[list[Cell]] = []
    for name, value in clip.values.items():
        found, own = evaluation.overall.get(name), evaluation.measures[name]
        every = None if found is None else readable(found.value)
        rows.append([name, readable(value), every, own.unit or None])
    if rows:
        yield Table(["measure", "this clip", "all clips", "unit"], rows)
    if clip.not_computed:
        yield _lacking(clip.not_computed)


def _lacking(reasons: Mapping[str, str]) -> Table:
    """Each metric with the first line of its reason; the other lines say how to fix it."""
    return Table(["metric", "not computed, because"], [[name, why.splitlines()[0]] for name, why in reasons.items()])


def _unbroken(words: str) -> str:
    """The same text with non-breaking spaces."""
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def badness(evaluation: Evaluation, measure: str) -> Sequence[int]:
    """Indices of the clips, the worst by ``measure`` first; those without a value last, all in their order."""
    better = evaluation.measures[measure].better
    worth = {"lower": lambda value: -value, "higher": lambda value: value, "closer to 0": lambda value: -abs(value)}

    def rank(number: int) -> tuple[bool, float]:
        value = evaluation.clips[number].values.get(measure)
        return (True, 0.0) if value is None else (False, worth[better](value))

    return sorted(range(len(evaluation.clips)), key=rank)


def remark(clip: ClipResult, measure: str, own: MeasureOf) -> str:
    """A clip's value of a measure, in words."""
    if measure not in clip.values:
        return "not computed"
    return f"{readable(clip.values[measure])} {own.unit}".rstrip()


def side_by_side(folder: Path, clip: ClipResult, fps: float) -> Path | None:
    """Both videos of a clip in one file, so that they stay synchronous; None if there are none.

    Raises :class:`vast_core.errors.MediaError` if one cannot be read.
    """
    if clip.generated is None or clip.reference is None:
        return None
    left, right = (VideoFile(folder / name, fps=fps) for name in (clip.generated, clip.reference))
    path = folder / "videos" / "side_by_side" / Path(clip.generated).name
    wave = left.wave()
    with VideoWriter(path, fps, wave if wave is not None else right.wave(), crf=23) as writer:
        for pair in zip(left.frames(), right.frames(), strict=False):  # an encoder may lose one frame
            writer.write(np.concatenate(pair, axis=1))
    return path


def _method(evaluation: Evaluation) -> Block:
    providers = sorted({own.provider for own in evaluation.measures.values()})
    lines = [
        f"Protocol {evaluation.protocol}, digest {evaluation.digest}.",
        f"Geometry: {GEOMETRIES[evaluation.geometry]}. {evaluation.fps:g} frames per second.",
        f"Generated: {evaluation.generated}. Reference: {evaluation.reference}.",
        f"Evaluated by vast {evaluation.vast}; metrics of {', '.join(providers)}.",
        "Numbers are comparable where digest and geometry are the same; `vast compare` refuses others.",
    ]
    return Text("\n\n".join(lines))
