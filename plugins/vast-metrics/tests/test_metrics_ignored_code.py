"""The warning about a style code that is ignored: in `vast eval`, in a run's evaluation and in their reports."""

import io

import attrs
import pytest
import torch
from rich.console import Console

from vast_metrics.evaluation.page import _measures
from vast_metrics.evaluation.results import Evaluation, MeasureOf, Overall
from vast_metrics.evaluation.tables import print_table, warning
from vast_metrics.ignored_code import ignored_code
from vast_metrics.stages.evaluate_report import sections
from vast_metrics.stages.held_out import _retrieval
from vast_metrics.style import DESCRIPTOR, StylePart


@pytest.mark.parametrize(
    ("retrieval", "low", "chance", "told"),
    [
        (0.5, 0.3, 0.1, ""),
        (0.2, 0.05, 0.1, "0.200, and its 95 % interval, from 0.050, contains chance, 0.100"),
        (0.1, 0.1, 0.1, "0.100, and chance is 0.100"),
        (0.0, 0.0, 0.04, "0.000, and chance is 0.040"),
        (0.5, None, 0.1, ""),
        (0.1, None, 0.1, "0.100, not above chance, 0.100"),
    ],
)
def test_a_warning_if_retrieval_may_be_chance(retrieval, low, chance, told):
    found = ignored_code(retrieval, low, chance)
    assert bool(found) == bool(told)
    assert told in found


def evaluation(value, low):
    measure = MeasureOf(metric="style_retrieval", provider="vast-metrics", better="higher")
    overall = {
        "style_retrieval": Overall(value=value, low=low, high=1.0, clips=9),
        "style_retrieval_chance": Overall(value=0.1, low=None, high=None, clips=9),
    }
    return Evaluation(
        vast="1",
        protocol="v1",
        digest="0" * 64,
        generated="a",
        reference="b",
        geometry="model",
        fps=25.0,
        measures=dict.fromkeys(overall, measure),
        overall=overall,
        not_computed={},
        clips=(),
    )


def test_console_and_page_of_an_evaluation_warn():
    for found, warns in ((evaluation(0.3, 0.05), True), (evaluation(0.8, 0.6), False)):
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(print_table(found))
        assert ("style code may be ignored" in console.export_text()) is warns
        assert any("style code may be ignored" in getattr(block, "text", "") for block in _measures(found)) is warns
    assert warning(attrs.evolve(found, overall={})) == ""


def parts(follows):
    """Twelve clips of six speakers, each with a prompt of its own; the predictions follow them, or are all alike."""
    chance = torch.Generator().manual_seed(0)
    prompts = torch.randn(12, DESCRIPTOR, generator=chance)
    made = prompts + 0.1 * torch.randn(12, DESCRIPTOR, generator=chance) if follows else 0 * prompts
    return [
        StylePart(prediction=ours, prompt=theirs, name=str(n), style="")
        for n, (ours, theirs) in enumerate(zip(made, prompts, strict=True))
    ]


@pytest.mark.parametrize("follows", [True, False])
def test_a_run_that_ignores_its_code_is_told_apart(follows):
    figures = _retrieval(parts(follows), [str(n % 6) for n in range(12)])
    found = figures["style_retrieval"]
    assert found["chance"] == pytest.approx(1 / 12)
    assert found["value"] == pytest.approx(1.0 if follows else 1 / 12)
    assert bool(found["warning"]) is not follows
    (section,) = [own for own in sections(None, figures) if own.title == "Held-out clips"]
    assert [verdict.passed for verdict in section.glance] == [follows]
    assert any(str(getattr(block, "text", "")).startswith("Warning: ") for block in section.blocks) is not follows


def test_no_figure_if_there_is_one_prompt():
    assert _retrieval(parts(True)[:1], ["a"]) == {}
