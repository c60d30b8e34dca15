"""Numbers that no one can mean are the user's mistake, with exit code 2, and never a fault."""

from __future__ import annotations

import math

import pytest
import torch

from vast_core.cli import main
from vast_core.errors import InputError, RecipeError
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.speak.style import Style
from vast_core.speak.style_model import frame_noise


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--style-strength", value) for value in ("nan", "inf", "-inf", "1e999")),
        *(("--seed", value) for value in (str(2**63), str(10**30), "-1", "1.5", "nan")),
        *(("--style-factor", f"smile={value}") for value in ("x", "")),
    ],
)
@pytest.mark.parametrize("command", ["synth", "style save"])
def test_a_number_on_the_command_line(capsys, tmp_path, command, option, value):
    run = {"synth": [str(tmp_path), "--audio", "a.wav"], "style save": ["--run", str(tmp_path), "--name", "a"]}[command]
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), *run, option, value])
    assert stopped.value.code == 2
    assert "fault" not in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--start", "--seconds", "--look-ahead"])
def test_seconds_of_a_command_are_finite(capsys, option):
    with pytest.raises(SystemExit) as stopped:
        main(["ppg", "show", "a.wav", option, "nan"])
    assert stopped.value.code == 2
    assert "'nan' is no finite number" in capsys.readouterr().err


@pytest.mark.parametrize("strength", [math.nan, math.inf, 1e300])
def test_a_style_stays_finite(strength):
    style = Style(code=torch.full((4,), 1e10), model="m", source="s")
    with pytest.raises(InputError, match="the strength"):
        style.strengthened(strength)
    if not math.isfinite(strength):
        with pytest.raises(InputError, match="the share"):
            style.mix(style, strength)


def test_the_largest_seed_gives_noise_of_its_own():
    noise = {seed: frame_noise(3, 30, 40, seed) for seed in (0, 1, 2**31, 2**62, 2**63 - 1)}
    assert all(bool(own.isfinite().all()) for own in noise.values())
    assert len({own.sum().item() for own in noise.values()}) == len(noise)


@pytest.mark.parametrize(
    "change",
    [
        "seed=99999999999999999999",
        "seed=-1",
        "fps=.inf",
        "fps=.nan",
        "stages.prepare.max_offset_ms=.inf",
        "stages.style.steps=99999999999999999999999",
        "corpus.seed=99999999999999999999999",
        "stages.style.learning_rate=.inf",
    ],
)
def test_a_number_of_a_recipe(change):
    with pytest.raises(RecipeError, match=change.partition("=")[0].rpartition(".")[2]):
        load_recipe("vast_tiny", Registry.discover(), [change])
