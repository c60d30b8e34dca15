"""The tables and the page of an ablation whose truth is planted."""

import csv
import io

import attrs
import numpy as np
import pytest
from rich.console import Console

from vast_ablation.comparison import compare_cells
from vast_ablation.page import write_page
from vast_ablation.results import Ablation, CellResult, MeasureKind, RunResult
from vast_ablation.tables import print_tables, reading, write_csv

MEASURES = {
    "lip_vertex_error": MeasureKind(better="lower", unit="mm2"),
    "lip_opening_correlation": MeasureKind(better="higher"),
    "kl_before_flow": MeasureKind(better="neither", unit="nats"),
    "kl_before_flow_sampled": MeasureKind(better="neither", unit="nats"),
    "kl_after_flow": MeasureKind(better="neither", unit="nats"),
}
SHIFTS = {"flow.use=none": 0.0, "flow.use=householder": 0.0, "flow.use=planar": -1.0}
"""Of the lip vertex error; the seeds alone move it by 0.3, and the three cells alike."""


def run_result(cell: str, seed: int) -> RunResult:
    luck = np.random.default_rng(seed)
    level = 5 + 0.3 * luck.normal()
    rng = np.random.default_rng([7, seed, len(cell)])
    clips = {}
    for number in range(6):
        kl = 8 + luck.normal()
        sampled = kl + 0.4  # all samples are above the mean, which is nothing that a flow does
        clips[f"clip{number}"] = {
            "lip_vertex_error": level + SHIFTS[cell] + 0.05 * rng.normal(),
            "lip_opening_correlation": 0.9 + 0.02 * rng.normal(),
            "kl_before_flow": kl,
            "kl_before_flow_sampled": sampled,
            "kl_after_flow": sampled + 1e-7 * rng.normal() - 2 * cell.endswith("planar"),
        }
    measures = {name: float(np.mean([values[name] for values in clips.values()])) for name in MEASURES}
    return RunResult(state="done", path=f"runs/{seed}", seconds=10, measures=measures, clips=clips)


@pytest.fixture
def ablation() -> Ablation:
    seeds = (1, 2, 3, 4, 5)
    cells = [
        CellResult(
            name=name,
            settings={"flow.use": name.partition("=")[2]},
            components={"flow": name.partition("=")[2]},
            recipe=f"cells/{name.partition('=')[2]}/recipe.yaml",
            runs={seed: run_result(name, seed) for seed in seeds},
        )
        for name in SHIFTS
    ]
    broken = CellResult(
        name="flow.use=<b>radial</b>",
        settings={"flow.use": "radial"},
        components={},
        recipe="cells/radial/recipe.yaml",
        runs={1: RunResult(state="failed", path="runs/9", error="out of memory & more"), 2: RunResult(path="runs/8")},
    )
    return Ablation(
        recipe="vast_default",
        base="flow.use=none",
        vary={"flow.use": ("none", "householder", "planar", "radial")},
        seeds=seeds,
        measures=MEASURES,
        cells=(*cells, broken),
        notes=("flow.steps does not apply to none: one cell for all its values",),
    )


def verdicts(ablation: Ablation) -> dict[tuple[str, str], str]:
    return {
        (table.name, row.cell): row.comparison.verdict
        for table in compare_cells(ablation)
        for row in table.rows
        if row.comparison
    }


def test_only_the_planted_difference_is_found(ablation):
    found = verdicts(ablation)
    assert found[("lip_vertex_error", "flow.use=planar")] == "better"
    assert found[("lip_vertex_error", "flow.use=householder")] == "no evidence"
    assert {v for (name, _), v in found.items() if name == "lip_opening_correlation"} == {"no evidence"}
    assert found[("kl_after_flow", "flow.use=planar")] == "different"


@pytest.mark.parametrize(
    ("vary", "name", "shown"),
    [
        (["flow.use"], "flow.use=planar", "planar"),
        (["flow.use", "flow.steps"], "flow.use=planar flow.steps=4", "use=planar steps=4"),
        (["flow.use", "audio.use"], "flow.use=planar audio.use=mel", "flow.use=planar audio.use=mel"),
        (["flow.use", "stages.style.beta"], "flow.use=planar stages.style.beta=2", "flow.use=planar beta=2"),
        (["stages.a.n", "stages.b.n"], "stages.a.n=1 stages.b.n=2", "stages.a.n=1 stages.b.n=2"),
        (["flow.use", "flow.steps"], "as it is", "as it is"),
    ],
)
def test_tables_name_a_cell_by_what_tells_it_apart(ablation, vary, name, shown):
    assert attrs.evolve(ablation, vary=dict.fromkeys(vary, ())).shown(name) == shown


def test_a_factor_of_one_value_names_no_cell(ablation):
    found = attrs.evolve(ablation, vary={"flow.use": ("none", "planar"), "corpus": ({"use": "own", "path": "a b"},)})
    assert found.heading == "flow"
    assert found.shown("flow.use=planar corpus={use: own, path: a b}") == "planar"
    assert found.shown("corpus={use: own, path: a b}") != ""


def test_a_narrow_terminal_breaks_no_name_within_a_word(ablation):
    vary = {"flow.use": ("none", "householder", "planar"), "decoder.use": ("hybrid", "other")}
    console = Console(width=80, file=io.StringIO())
    console.print(print_tables(attrs.evolve(ablation, vary=vary), compare_cells(ablation)))
    assert "flow.use=householder" in console.file.getvalue()


def test_failed_and_missing_runs_do_not_count(ablation):
    rows = {row.cell for table in compare_cells(ablation) for row in table.rows}
    assert rows == set(SHIFTS)


def test_the_terminal_says_what_there_is_evidence_for(ablation):
    console = Console(file=io.StringIO(), width=120)
    console.print(print_tables(ablation, compare_cells(ablation)))
    lines = console.file.getvalue().splitlines()
    start = next(i for i, line in enumerate(lines) if "lip vertex error" in line)
    end = next(i for i, line in enumerate(lines) if "lip opening" in line)
    rows = {name: next(line for line in lines[start:end] if f" {name}" in line) for name in ("householder", "planar")}
    assert "better" in rows["planar"]
    assert "no evidence" in rows["householder"]
    assert "5 seeds" in " ".join(lines)


def test_csv_holds_every_value_and_every_comparison(ablation, tmp_path):
    comparison, values = write_csv(tmp_path, ablation, compare_cells(ablation))
    rows = list(csv.DictReader(comparison.open(newline="")))
    assert len(rows) == len(MEASURES) * len(SHIFTS)
    (planar,) = (r for r in rows if r["measure"] == "lip_vertex_error" and r["cell"] == "flow.use=planar")
    raw = list(csv.DictReader(values.open(newline="")))

    def mean(cell: str) -> float:
        own = (r for r in raw if r["cell"] == cell and r["measure"] == "lip_vertex_error" and r["clip"])
        return float(np.mean([float(r["value"]) for r in own]))

    assert float(planar["difference"]) == pytest.approx(mean("flow.use=planar") - mean("flow.use=none"))
    assert float(planar["difference_low"]) < -1 < float(planar["difference_high"])
    base = next(r for r in rows if r["cell"] == "flow.use=none")
    assert base["p"] == base["verdict"] == ""


def test_page_shows_recipes_failures_and_why_householder_leaves_the_kl(ablation, tmp_path):
    (tmp_path / "cells/planar").mkdir(parents=True)
    (tmp_path / "cells/planar/recipe.yaml").write_text("flow: {use: planar}\n")
    text = write_page(tmp_path, ablation, compare_cells(ablation)).read_text(encoding="utf-8")
    assert "flow: {use: planar}" in text
    assert "out of memory &amp; more" in text
    assert "<b>radial" not in text
    assert "flow.steps does not apply to none" in text
    table = text[text.index("K, sampled</th>") :]
    row = table[table.index("householder") :].split("</tr>")[0]
    mean, half = row.rsplit("<td", 1)[1].partition(">")[2].split("</td>")[0].replace("−", "-").split(" ± ")
    assert abs(float(mean)) < 1e-6
    assert float(half) < 1e-6
    row = table[table.index(">planar") :].split("</tr>")[0]
    assert row.count("−2.0") >= 1


def test_a_measure_that_is_no_number_is_said_and_the_rest_compared(ablation):
    cell = ablation.cells[1]
    own = attrs.evolve(
        cell.runs[3],
        measures={name: value for name, value in cell.runs[3].measures.items() if name != "lip_vertex_error"},
        left_out=("lip_vertex_error",),
    )
    changed = attrs.evolve(cell, runs={**cell.runs, 3: own})
    partial = attrs.evolve(ablation, cells=(ablation.cells[0], changed, *ablation.cells[2:]))
    assert "because not finite: lip_vertex_error of flow.use=householder, seed 3." in reading(partial)
    assert "finite" not in reading(ablation)
    rows = {(table.name, row.cell): row for table in compare_cells(partial) for row in table.rows}
    assert rows["lip_vertex_error", cell.name].comparison.difference.count == 4
    assert rows["kl_after_flow", cell.name].comparison.difference.count == 5


def test_distances_from_0_are_said_to_be_compared(ablation):
    other = attrs.evolve(ablation, measures={**MEASURES, "offset": MeasureKind(better="closer to 0")})
    assert "distances from 0" in reading(other)
    assert "distances from 0" not in reading(ablation)


def test_page_of_other_factors_does_not_speak_of_the_kl(ablation, tmp_path):
    text = write_page(tmp_path, attrs.evolve(ablation, vary={"audio.use": ("ppg", "mel")}), ()).read_text()
    assert "Householder flow cannot" not in text
