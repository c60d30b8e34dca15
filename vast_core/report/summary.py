"""A run's results gathered from its folder: ``evaluation.json`` completed, ``report.html`` written."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np

from ..files.atomic import write_text
from ..mesh.scene import Image
from ..registry.core_stages import EvaluateStage
from ..registry.declarations import StageSpec
from ..registry.discovery import explain
from ..runs.directory import Run
from ..runs.store import Store
from .page import (
    Block,
    Figure,
    FrameStrip,
    Listing,
    Rejected,
    Section,
    Table,
    Text,
    Verdict,
    Video,
    write_report,
)
from .plots import plot_bars, plot_curves, plot_losses

Figures = Mapping[str, Any]


def complete_evaluation(run: Run, store: Store | None) -> dict[str, Any]:
    """Add what is known of all stages to ``evaluation.json``; all that it then holds.

    That is each stage's wall time and own figures, the peak of memory, and the rejected clips where some were prepared.
    """
    path = run.path / "evaluation.json"
    evaluated = run.recipe.runs("evaluate") and path.is_file()
    figures: dict[str, Any] = json.loads(path.read_text()) if evaluated else {}
    figures = {name: figure for name, figure in figures.items() if name not in ("stages", "rejected")}
    records = {stage.name: record for stage in run.recipe.run if (record := run.record(stage.name)) is not None}
    figures["wall_seconds"] = {stage: record["seconds"] for stage, record in records.items()}
    figures["peak_memory_bytes"] = max((r["peak_memory_bytes"] for r in records.values()), default=0)
    if stages := {stage: own for stage in records if (own := run.figures(stage))}:
        figures["stages"] = stages
    if store is not None:
        figures["rejected"] = [{"clip": item.clip, "reason": item.reason} for item in store.rejected]
    write_text(path, json.dumps(figures, indent=1))
    return figures


def write_run_report(run: Run, store: Store | None) -> Path:
    """Write ``report.html`` of all that the run has done so far; ``store`` holds the prepared clips, if there are."""
    figures = complete_evaluation(run, store)
    sections = [
        Section("At a glance", list(_glance(run, figures))),
        Section("The avatar speaks", [*_videos(run), *_styles(run)]),
        Section("Style transfer to styles never trained on", list(_transfer(figures))),
        Section("Lips", list(_lips(run, figures))),
        Section("Renderer", list(_renderer(run, figures))),
        Section("Held-out clips, one by one", list(_clips(figures))),
        *(section for stage in run.recipe.run for section in _told(run, stage)),
        Section("Training", list(_training(run))),
        Section("Data", [] if store is None else list(_data(run, store, figures))),
        Section("How it was made", list(_provenance(run, figures))),
    ]
    path = run.path / "report.html"
    write_report(path, run.recipe.name, run.recipe.source, [section for section in sections if section.blocks])
    return path


def _told(run: Run, stage: StageSpec) -> list[Section]:
    """What a finished stage tells of itself, by its function ``report(run)``, where it has one.

    Whatever is wrong with that is said in its place: a day of training must not be without a report for it.
    """
    tell = getattr(stage.load(), "report", None)
    if tell is None or run.record(stage.name) is None:
        return []
    try:
        sections = [attrs.evolve(section, blocks=list(section.blocks)) for section in tell(run)]
        for block in (block for section in sections for block in section.blocks):
            block.view(run.path)
    except Exception as error:  # noqa: BLE001 - a plugin may fail in any way; it is said in the report
        trouble = f"{stage.title} of {stage.provider or 'vast itself'} cannot show its results: {explain(error)}"
        warnings.warn(trouble, stacklevel=2)
        return [Section(stage.name, [Text(trouble)])]
    return sections


def _glance(run: Run, figures: Figures) -> Iterator[Block]:
    if transfer := figures.get("style_transfer"):
        for key, target, what in (
            ("zero_code", 0.6, "no style at all"),
            ("wrong_prompt", 0.5, "a wrong prompt's style"),
        ):
            ratio = transfer[f"ratio_to_{key}"]
            yield Verdict(f"style error against {what}", round(ratio, 3), f"at most {target}", ratio <= target)
    if (lips := figures.get("lips")) and "ridge" in lips:
        better = lips["ours"] > lips["ridge"]
        yield Verdict("lip correlation", round(lips["ours"], 3), f"above ridge, {lips['ridge']:.3f}", better)
    renderer = figures.get("renderer", {})
    if "psnr_face" in renderer:
        gain = renderer["psnr_face"] - renderer["psnr_nearest_frame"]
        yield Verdict("face PSNR over nearest frame", round(gain, 2), "at least +3", gain >= 3, "dB")
    seconds = sum(figures["wall_seconds"].values())
    yield Verdict("time, all stages", round(seconds / 60, 1), "this machine", None, "min")
    yield Verdict("peak memory", round(figures["peak_memory_bytes"] / 1e9, 2), "this machine", None, "GB")


def _videos(run: Run) -> Iterator[Block]:
    made = (run.record("synthesize") or {"files": []})["files"] if run.recipe.runs("synthesize") else []
    for path in (run.path / file for file in made if file.endswith(".mp4")):
        yield Video(f"{path.stem}: new words in the style of an unseen prompt, made by the trained weights alone", path)


def _styles(run: Run) -> Iterator[Block]:
    path = run.samples / "styles.png"
    if run.recipe.runs("synthesize") and path.is_file():
        yield Figure("The same words at the same moments, a row for each unseen prompt.", path.read_bytes())


def _transfer(figures: Figures) -> Iterator[Block]:
    transfer = figures.get("style_transfer")
    if not transfer:
        return
    names = {"ours": "our transfer", "zero_code": "style code at zero", "wrong_prompt": "a wrong prompt's code"}
    yield Text(
        f"The truth is known here: the same sentence by the same speaker in the prompt's style. Shown is the "
        f"{transfer['measure']}, over {len(transfer['pairs'])} pairs of held-out sentences and "
        f"{transfer['unseen_styles']} styles never trained on."
    )
    pairs = transfer["pairs"]
    errors = [float(1.96 * np.std([pair[key] for pair in pairs]) / np.sqrt(len(pairs))) for key in names]
    bars = plot_bars(list(names.values()), [transfer[key] for key in names], errors, "mm", "error, lower is better", 0)
    yield Figure("Mean over pairs with its 95 % interval.", bars)
    rows = [[name, transfer[key], transfer["lips"][key]] for key, name in names.items()]
    yield Table(["decoder given", "whole face, mm", "lips, mm"], rows)


def _lips(run: Run, figures: Figures) -> Iterator[Block]:
    lips = figures.get("lips")
    if not lips:
        return
    yield Text(
        f"{lips['measure']}. Ridge is a ridge regression of the opening on 13 frames of the same audio features."
    )
    with_ridge = "ridge" in lips
    rows = [
        [c["clip"], c["lip_opening_correlation"], c.get("lip_opening_correlation_ridge"), c["offset_ms"]]
        for c in figures["held_out"]["clips"]
    ]
    rows.append(["mean", lips["ours"], lips["ridge"] if with_ridge else None, None])
    columns = ["clip", "ours", "ridge", "sound was late by, ms"]
    yield Table(columns, rows, highlight=len(rows) - 1)
    curves = json.loads((run.samples / "lip_opening.json").read_text())
    for name, curve in list(curves.items())[:3]:
        time = np.arange(len(curve["ours"])) / run.recipe.fps
        yield Figure(name, plot_curves(time, {"truth": curve["tracked"], "ours": curve["ours"]}, "lip opening"))


def _renderer(run: Run, figures: Figures) -> Iterator[Block]:
    renderer = figures.get("renderer")
    if not renderer:
        return
    yield Text(renderer["measure"])
    others = _compared(run)
    names = ("real", "ours", "nearest_training_frame", "textured_mesh")
    strips = [(name.replace("_", " "), run.samples / f"renderer_{name}.png") for name in names]
    strips += [(other.name, other / "samples" / "renderer_ours.png") for other in others]
    rows = [(name, frames) for name, path in strips if (frames := _frames(path))]
    if rows:
        yield FrameStrip("Held-out frames.", rows)
    keys = {"face": "ours", "nearest_frame": "nearest training frame", "textured_mesh": "textured mesh, no network"}
    measures = [key.removesuffix("_nearest_frame") for key in renderer if key.endswith("_nearest_frame")]
    units = figures.get("measures", {})
    columns = ["drawn by", *(f"{m} {units.get(m, {}).get('unit', '')}".strip() for m in measures)]
    table = [[name, *(renderer.get(f"{m}_{key}") for m in measures)] for key, name in keys.items()]
    for other, found in others.items():
        table.append([f"run {other.name}", *(found.get(f"{m}_face") for m in measures)])
    yield Table(columns, table, highlight=0)
    yield from _not_computed(renderer)
    missing = [name for name in run.recipe.options("evaluate", EvaluateStage).compare if Path(name) not in others]
    if missing:
        yield Text(f"Not compared, as there is no evaluation.json: {', '.join(missing)}")


def _compared(run: Run) -> dict[Path, Figures]:
    """The renderer's figures of the runs that the recipe asks to compare with."""
    found = {}
    for name in run.recipe.options("evaluate", EvaluateStage).compare:
        path = Path(name) / "evaluation.json"
        if path.is_file():
            found[Path(name)] = json.loads(path.read_text()).get("renderer", {})
    return found


def _frames(path: Path) -> list[Image]:
    """The square frames of a strip that the evaluation wrote; none where it is not there."""
    image = cv2.imread(str(path))
    if image is None:
        return []
    side = image.shape[0]
    return [np.ascontiguousarray(image[:, x : x + side, ::-1], np.uint8) for x in range(0, image.shape[1], side)]


def _clips(figures: Figures) -> Iterator[Block]:
    clips = figures.get("held_out", {}).get("clips")
    if not clips:
        return
    directions = figures["measures"]
    names = [name for name in directions if name in figures["held_out"]]
    yield Text("; ".join(f"{n}: {directions[n]['better']} is better" for n in names))
    columns = ["clip", *(f"{n}, {directions[n]['unit']}".rstrip(", ") for n in names)]
    rows = [[clip["clip"], *(clip["measures"].get(n) for n in names)] for clip in clips]
    rows.append(["all", *(figures["held_out"][n] for n in names)])
    yield Table(columns, rows, highlight=len(rows) - 1)
    yield from _not_computed(figures["held_out"])


def _not_computed(figures: Figures) -> Iterator[Block]:
    """Which measures are lacking, of all clips or of some, and why."""
    for name, reason in figures.get("not_computed", {}).items():
        yield Text(f"{name}: not computed{' of every clip' if name in figures else ''}, because {reason}")


def _training(run: Run) -> Iterator[Block]:
    path = run.path / "metrics.jsonl"
    if path.is_file():
        yield Figure("Every term over the steps.", plot_losses(path))


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
    environment = json.loads((run.path / "environment.json").read_text())
    rows: list[list[str]] = [[kind, name] for kind, name in environment["components"].items()]
    rows += [[what, str(environment[what])] for what in ("python", "system", "device")]
    yield Table(["part", "what"], rows)
    seconds = [[stage, value] for stage, value in figures["wall_seconds"].items()]
    yield Table(["stage", "wall seconds"], [*seconds, ["all", sum(figures["wall_seconds"].values())]])
    yield Listing("The recipe, resolved", (run.path / "recipe.yaml").read_text())
