"""``evaluation.json``, which several stages of one run write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vast_core.files import write_text
from vast_core.runs import Run

PEOPLE = "style_of_people"
"""The key of the figures of that stage; all others are those of ``evaluate``."""


def write_evaluation(run: Run, figures: Mapping[str, Any]) -> Path:
    """Write the figures of ``evaluate``, beside those of ``style_of_people`` if that stage has run."""
    beside = run.figures(PEOPLE) if run.recipe.runs(PEOPLE) and run.record(PEOPLE) is not None else {}
    return _write(run, {**figures, **({PEOPLE: beside} if beside else {})})


def add_to_evaluation(run: Run, figures: Mapping[str, Any]) -> Path:
    """Write the figures of ``style_of_people`` beside those of ``evaluate`` if that stage has run."""
    path = run.path / "evaluation.json"
    runs = run.recipe.runs("evaluate") and run.record("evaluate") is not None and path.is_file()
    return _write(run, {**(json.loads(path.read_text(encoding="utf-8")) if runs else {}), PEOPLE: dict(figures)})


def _write(run: Run, figures: Mapping[str, Any]) -> Path:
    path = run.path / "evaluation.json"
    write_text(path, json.dumps(figures, indent=1))
    return path
