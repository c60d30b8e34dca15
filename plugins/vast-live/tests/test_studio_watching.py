"""What a studio sees of a run, and that the run is not disturbed by it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from vast_core.errors import InputError
from vast_live.studio import drawing
from vast_live.studio.project import Place
from vast_live.studio.watching import Watcher


def test_steps_count_for_the_stage_that_runs(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing, "draw_avatar", lambda run, pipeline, out: drawn.append(out.name))
    stages = {name: SimpleNamespace(steps=100) for name in ("style", "renderer")}
    run, place = SimpleNamespace(recipe=SimpleNamespace(stages=stages)), Place(tmp_path)
    watcher = Watcher("train", place)

    def told():
        found = json.loads(place.progress("train").read_text())
        return found["stage"], found.get("step"), found.get("steps")

    watcher.starting("style")
    watcher.step(run, 50, {"style/bound/loss": 1.0})
    assert told() == ("style", 50, 100)
    watcher.step(run, 60, {"renderer/gan/loss": 1.0})
    watcher.step(run, 70, {"another/loss": 1.0})
    assert (told(), drawn) == (("style", 50, 100), [])
    watcher.starting("renderer")
    watcher.step(run, 60, {"renderer/gan/loss": 1.0})
    assert (told(), drawn) == (("renderer", 60, 100), ["train-renderer-000060.jpg"])


@pytest.mark.parametrize("trained", [True, False])
def test_a_picture_that_fails_leaves_the_renderer_as_it_was(tmp_path, monkeypatch, trained):
    renderer = torch.nn.Linear(1, 1).train(trained)

    def batch(*_):
        assert not renderer.training
        raise InputError("this frame cannot be read")

    piece = SimpleNamespace(clip=SimpleNamespace(frames=9))
    avatar = SimpleNamespace(of=lambda _: [piece], batch=batch)
    monkeypatch.setattr(drawing, "make_avatar", lambda _: avatar)
    with pytest.raises(InputError, match="cannot be read"):
        drawing.draw_avatar(None, SimpleNamespace(renderer=renderer, device="cpu"), tmp_path / "x.jpg")
    assert renderer.training is trained
