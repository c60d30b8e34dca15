"""The sections of the stage ``evaluate`` in a run's report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vast_core.mesh import Image
from vast_core.report import Block, Figure, FrameStrip, Rejected, Section, Table, Text, Verdict, plot_bars, plot_curves
from vast_core.runs import Run

from ..config import EvaluateStage
from .slider_effects import WAYS

Figures = Mapping[str, Any]


def sections(run: Run, figures: Figures) -> Iterator[Section]:
    """A section for each question for which the stage has ``figures``."""
    found = (
        ("Style transfer to held-out styles", _transfer(figures), _transfer_targets(figures)),
        ("Sliders", _sliders(figures), ()),
        ("Lips", _lips(run, figures), _lip_target(figures)),
        ("Renderer", _renderer(run, figures), _renderer_target(figures)),
        ("Held-out clips", _clips(figures), _retrieval_target(figures)),
    )
    return (Section(title, list(blocks), list(targets)) for title, blocks, targets in found)


def _transfer_targets(figures: Figures) -> Iterator[Verdict]:
    transfer = figures.get("style_transfer")
    if not transfer:
        return
    for key, target, what in (
        ("zero_code", 0.6, "no style at all"),
        ("wrong_prompt", 0.5, "a wrong prompt's style"),
    ):
        ratio = transfer[f"ratio_to_{key}"]
        yield Verdict(f"style error relative to {what}", round(ratio, 3), f"at most {target}", ratio <= target)


def _transfer(figures: Figures) -> Iterator[Block]:
    transfer = figures.get("style_transfer")
    if not transfer:
        return
    names = {"ours": "our transfer", "zero_code": "style code at zero", "wrong_prompt": "a wrong prompt's code"}
    yield Text(
        f"The truth is known here: the same sentence by the same speaker in the prompt's style. The figure shows the "
        f"{transfer['measure']}, over {len(transfer['pairs'])} pairs of held-out sentences and "
        f"{transfer['unseen_styles']} held-out styles."
    )
    pairs = transfer["pairs"]
    errors = [float(1.96 * np.std([pair[key] for pair in pairs]) / np.sqrt(len(pairs))) for key in names]
    bars = plot_bars(list(names.values()), [transfer[key] for key in names], errors, "mm", "error, lower is better", 0)
    yield Figure("Mean over pairs with its 95 % interval.", bars)
    rows = [[name, transfer[key], transfer["lips"][key]] for key, name in names.items()]
    yield Table(["style code", "whole face, mm", "lips, mm"], rows)


def _sliders(figures: Figures) -> Iterator[Block]:
    sliders = figures.get("sliders")
    if not sliders:
        return
    yield Text(
        f"Each slider moves one factor of the style. The table shows the {sliders['measure']}, over "
        f"{len(sliders['clips'])} held-out clips: sliders alone, from the middle of all factors to an end, and beside "
        "another clip's prompt, by half a range to the side with more room. R2 is the share of the factor's variance "
        "that can be read from the codes of styles left out of the fit. Besides are other factors whose true movement "
        "has 5 % or more of the squared movement."
    )
    keys = ("correlation", "gain", "elsewhere")
    rows: list[list[str | float | None]] = [
        [
            name,
            words,
            own["r2"],
            *(own[way][key] for key in ("true_mm", "mm", *keys)),
            ", ".join(f"{other} {share:.0%}" for other, share in own[way]["besides"].items()),
        ]
        for name, own in sliders["factors"].items()
        for way, words in WAYS.items()
        if way in own
    ]
    for way, mean in sliders["mean"].items():
        rows.append(["mean", WAYS[way], None, None, None, *(mean.get(key) for key in keys), ""])
    yield Table(["slider", "moved", "R2", "truth, mm", "ours, mm", *keys, "besides"], rows)
    if without := sliders["without_slider"]:
        shown = ", ".join(f"{name} (R2 {r2:.2f})" for name, r2 in without.items())
        yield Text(f"Without a slider, because the codes hardly show them: {shown}.")


def _lip_target(figures: Figures) -> Iterator[Verdict]:
    if (lips := figures.get("lips")) and "ridge" in lips:
        better = lips["ours"] > lips["ridge"]
        yield Verdict("lip correlation", round(lips["ours"], 3), f"above ridge, {lips['ridge']:.3f}", better)


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
    columns = ["clip", "ours", "ridge", "lag of the sound, ms"]
    yield Table(columns, rows, highlight=len(rows) - 1)
    curves = json.loads((run.samples / "lip_opening.json").read_text(encoding="utf-8"))
    for name, curve in list(curves.items())[:3]:
        time = np.arange(len(curve["ours"])) / run.recipe.fps
        yield Figure(name, plot_curves(time, {"truth": curve["tracked"], "ours": curve["ours"]}, "lip opening"))


def _renderer_target(figures: Figures) -> Iterator[Verdict]:
    renderer = figures.get("renderer", {})
    if "psnr_face" in renderer:
        gain = renderer["psnr_face"] - renderer["psnr_nearest_frame"]
        yield Verdict("face PSNR above nearest frame", round(gain, 2), "at least +3", gain >= 3, "dB")


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
    yield from _video(run, renderer, others)
    yield from _not_computed(renderer)
    missing = [str(other) for other in run.recipe.options("evaluate", EvaluateStage).compare if other not in others]
    if missing:
        yield Text(f"Not compared, because there is no evaluation.json: {', '.join(missing)}")


def _video(run: Run, renderer: Figures, others: Mapping[Path, Figures]) -> Iterator[Block]:
    """What the avatar's video shows at its own size, beside that of the runs compared."""
    if not (video := renderer.get("video")):
        return
    yield Text(f"{video['measure']}. All but the error are relative to the real clip, which has 1.")
    names = [name for name in video if name != "measure"]
    table: list[list[Any]] = [["ours", *(video[name] for name in names)]]
    table += [
        [f"run {other.name}", *(found["video"].get(name) for name in names)]
        for other, found in others.items()
        if "video" in found
    ]
    yield Table(["drawn by", *names], table, highlight=0)


def _compared(run: Run) -> dict[Path, Figures]:
    """The renderer's figures of the runs that the recipe names for comparison."""
    found = {}
    for other in run.recipe.options("evaluate", EvaluateStage).compare:
        path = other / "evaluation.json"
        if path.is_file():
            found[other] = json.loads(path.read_text(encoding="utf-8")).get("renderer", {})
    return found


def _frames(path: Path) -> list[Image]:
    """The square frames of a strip written by the evaluation; empty if it is missing."""
    image = cv2.imread(str(path)) if path.is_file() else None  # OpenCV prints a warning of a missing file
    if image is None:
        return []
    side = image.shape[0]
    return [np.ascontiguousarray(image[:, x : x + side, ::-1], np.uint8) for x in range(0, image.shape[1], side)]


def _retrieval_target(figures: Figures) -> Iterator[Verdict]:
    if found := figures.get("style_retrieval"):
        target = f"interval above chance, {found['chance']:.3f}"
        yield Verdict("style retrieval", round(found["value"], 3), target, not found["warning"])


def _clips(figures: Figures) -> Iterator[Block]:
    clips = figures.get("held_out", {}).get("clips")
    if found := figures.get("style_retrieval"):
        if found["warning"]:
            yield Text(f"Warning: {found['warning']}.")
        row = [found[name] for name in ("value", "low", "high", "chance")]
        yield Table(["style retrieval", "low", "high", "chance"], [row], found["measure"])
    if left_out := figures.get("held_out", {}).get("left_out"):
        yield Rejected(list(left_out.items()))
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
    """Measures that are missing for all or some clips, with the reason."""
    for name, reason in figures.get("not_computed", {}).items():
        yield Text(f"{name}: not computed{' for every clip' if name in figures else ''}, because {reason}")
