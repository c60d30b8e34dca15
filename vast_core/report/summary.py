"""Collect a run's results from its folder: complete ``evaluation.json`` and write ``report.html``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from ..files.atomic import write_text
from ..registry.core_stages import StyleStage
from ..registry.declarations import StageSpec
from ..registry.discovery import explain
from ..runs.directory import Run
from ..runs.store import Store
from .page import (
    Block,
    Figure,
    Listing,
    Rejected,
    Section,
    Table,
    Text,
    Verdict,
    write_report,
)
from .plots import plot_losses

Figures = Mapping[str, Any]


def complete_evaluation(run: Run, store: Store | None) -> dict[str, Any]:
    """Add the records of all stages to ``evaluation.json``; returns its content.

    Added are each stage's wall time in seconds and own figures, peak memory in bytes, and, if ``store`` is given, the
    rejected clips. Other content stays if a stage of the recipe wrote it, such as ``evaluate`` of vast-metrics.
    """
    path = run.path / "evaluation.json"
    records = {stage.name: record for stage in run.recipe.run if (record := run.record(stage.name)) is not None}
    written = any(path.name in record["files"] for record in records.values()) and path.is_file()
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if written else {}
    figures = {name: figure for name, figure in figures.items() if name not in ("stages", "rejected")}
    figures["wall_seconds"] = {stage: record["seconds"] for stage, record in records.items()}
    figures["peak_memory_bytes"] = max((r["peak_memory_bytes"] for r in records.values()), default=0)
    if stages := {stage: own for stage in records if (own := run.figures(stage))}:
        figures["stages"] = stages
    if store is not None:
        figures["rejected"] = [{"clip": item.clip, "reason": item.reason} for item in store.rejected]
    write_text(path, json.dumps(figures, indent=1))
    return figures


def write_run_report(run: Run, store: Store | None, warning: str | None = None) -> Path:
    """Write ``report.html`` of the finished stages of a run; ``store`` has the prepared clips, if there are any.

    ``warning`` is a sentence about the data.
    """
    figures = complete_evaluation(run, store)
    own = [section for stage in run.recipe.run for section in _stage_sections(run, stage)]
    own.sort(key=lambda section: not section.first)
    sections = [
        Section("At a glance", [*(verdict for section in own for verdict in section.glance), *_costs(figures)]),
        *own,
        Section("Training", list(_training(run))),
        Section("Data", [*_warned(warning), *([] if store is None else _data(run, store, figures))]),
        Section("How it was made", list(_provenance(run, figures))),
    ]
    path = run.path / "report.html"
    write_report(path, run.recipe.name, run.recipe.source, [section for section in sections if section.blocks])
    return path


def _stage_sections(run: Run, stage: StageSpec) -> list[Section]:
    """Sections of a finished stage, from its function ``report(run)`` if it has one.

    If that function fails, the section shows the error instead, so that the rest of the report is not lost.
    """
    report = getattr(stage.load(), "report", None)
    if report is None or run.record(stage.name) is None:
        return []
    try:
        sections = [
            attrs.evolve(section, blocks=list(section.blocks), glance=list(section.glance)) for section in report(run)
        ]
        for block in (block for section in sections for block in (*section.blocks, *section.glance)):
            block.view(run.path)
    except Exception as error:  # noqa: BLE001 - a plugin may fail in any way; the report shows the error
        trouble = f"{stage.title} of {stage.provider or 'vast itself'} cannot show its results: {explain(error)}"
        warnings.warn(trouble, stacklevel=2)
        return [Section(stage.name, [Text(trouble)])]
    return sections


def _costs(figures: Figures) -> Iterator[Block]:
    seconds = sum(figures["wall_seconds"].values())
    yield Verdict("time, all stages", round(seconds / 60, 1), "this machine", None, "min")
    yield Verdict("peak memory", round(figures["peak_memory_bytes"] / 1e9, 2), "this machine", None, "GB")


def _training(run: Run) -> Iterator[Block]:
    path = run.path / "metrics.jsonl"
    if run.recipe.runs("style") and run.record("style") is not None:
        flow = run.recipe.part("flow").component
        words = run.recipe.options("style", StyleStage).enhancer_in_words(flow.name, flow.load().orthogonal)
        yield Text(f"{words[:1].upper()}{words[1:]}.")
    if path.is_file():
        yield Figure("Every loss term by training step.", plot_losses(path))


def _warned(warning: str | None) -> Iterator[Block]:
    if warning is not None:
        yield Text(f"Warning: {warning}")


def _data(run: Run, store: Store, figures: Figures) -> Iterator[Block]:
    rows: list[list[str | float | None]] = []
    for speaker in store.identities:
        own = [clip for clip in store.clips if clip.speaker == speaker]
        seconds = {
            split: sum(clip.frames for clip in own if clip.split == split) / run.recipe.fps
            for split in ("train", "held_out")
        }
        styles = len({clip.style for clip in own if clip.style is not None})
        rows.append([speaker, len(own), styles or None, seconds["train"], seconds["held_out"]])
    yield Table(["speaker", "clips", "styles", "seconds to train on", "seconds held out"], rows)
    notes = [f"{clip.name}: {note}" for clip in store.clips for note in clip.notes]
    if notes:
        yield Text("\n\n".join(dict.fromkeys(notes)))
    if figures["rejected"]:
        yield Rejected([(item["clip"], item["reason"]) for item in figures["rejected"]])


def _provenance(run: Run, figures: Figures) -> Iterator[Block]:
    environment = json.loads((run.path / "environment.json").read_text(encoding="utf-8"))
    rows: list[list[str]] = [[kind, name] for kind, name in environment["components"].items()]
    rows += [[what, str(environment[what])] for what in ("python", "system", "device")]
    yield Table(["part", "what"], rows)
    seconds = [[stage, value] for stage, value in figures["wall_seconds"].items()]
    yield Table(["stage", "wall seconds"], [*seconds, ["all", sum(figures["wall_seconds"].values())]])
    yield Listing("The recipe, resolved", (run.path / "recipe.yaml").read_text(encoding="utf-8"))
