"""The training loop: a resumed run equals an uninterrupted one, bit for bit; Ctrl-C saves; NaN is reported."""

import json
import math
import os
import signal
import types

import pytest
import torch
from rich.console import Console
from torch import nn

from vast_core.errors import Interrupted
from vast_core.interfaces import Objective
from vast_core.registry import TrainingStage
from vast_core.runs import Run, load_weights
from vast_core.training import Diverged, Trainer


def read_metrics(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def momentum(parameters):
    """An optimiser of an objective's own."""
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


class Game(nn.Module):
    """Two objectives over two sets of parameters, with noise drawn in the step."""

    own = None

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)

    def objectives(self, batch, progress):
        noisy = batch + 0.1 * torch.randn_like(batch)
        yield Objective("left", (self.left(noisy) - batch).square().mean(), list(self.left.parameters()))
        # sees the left part as the step before has left it
        target = self.left(noisy).detach()
        yield Objective(
            "right",
            (self.right(batch) - target).square().mean(),
            list(self.right.parameters()),
            {"p": torch.tensor(progress)},
            self.own,
        )


def batch_at(step, part=None):
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))


def trainer(folder, steps=30, batches=batch_at, own=None, **settings):
    silent = types.SimpleNamespace(notify=lambda *_, **__: None)
    run = Run(folder, types.SimpleNamespace(seed=3), silent)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = Game()
    model.own = own
    options = {"steps": steps, "warmup": 5, "log_every": 5, "checkpoint_every": 7, "learning_rate": 1e-2} | settings
    return Trainer(
        run=run,
        stage="game",
        key="k",
        model=model,
        settings=TrainingStage(**options),
        batch_at=batches,
        objectives=model.objectives,
        device=torch.device("cpu"),
        console=Console(quiet=True),
    )


def stopping_at(step, number=signal.SIGINT):
    def batches(at, part):
        if at == step:
            os.kill(os.getpid(), number)
        return batch_at(at)

    return batches


@pytest.mark.parametrize("own", [None, momentum])
@pytest.mark.parametrize("stopped", [0, 13, 29])
def test_a_resumed_run_has_the_same_bits_as_one_never_stopped(tmp_path, stopped, own):
    whole = trainer(tmp_path / "whole", own=own)
    whole.fit(resume=False)
    first = trainer(tmp_path / "cut", batches=stopping_at(stopped), own=own)
    with pytest.raises(Interrupted, match=rf"step {stopped + 1} of 30 .*--resume"):
        first.fit(resume=False)
    assert load_weights(first.checkpoint)[1]["step"] == stopped + 1
    second = trainer(tmp_path / "cut", own=own)
    second.fit(resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    second.run.drop_checkpoints("game")
    assert not list(second.run.checkpoints.iterdir())


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
@pytest.mark.parametrize("both", [False, True])
def test_the_state_before_a_damaged_one_is_used_and_this_is_said(tmp_path, damage, both):
    whole = trainer(tmp_path / "whole")
    whole.fit(resume=False)
    first = trainer(tmp_path / "cut", batches=stopping_at(16))
    with pytest.raises(Interrupted):
        first.fit(resume=False)
    for file in (first.checkpoint, first.earlier_checkpoint)[: 1 + both]:
        content = bytearray(file.read_bytes())
        content[-3] ^= 16
        file.write_bytes({"flipped": content, "cut": content[:-3], "empty": b""}[damage])
    second = trainer(tmp_path / "cut")
    second.console = Console(record=True, width=400)
    second.fit(resume=True)
    said = second.console.export_text()
    assert "game.safetensors: " in said
    assert "damaged" in said
    assert ("resuming stage 'game' at step 14" in said) != both
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    lines = read_metrics(tmp_path / "cut" / "metrics.jsonl")
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]


def test_a_state_of_another_number_of_threads_is_used_and_this_is_said(tmp_path, monkeypatch):
    with pytest.raises(Interrupted):
        trainer(tmp_path, batches=stopping_at(16)).fit(resume=False)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    second = trainer(tmp_path)
    second.console = Console(record=True, width=400)
    second.fit(resume=True)
    said = second.console.export_text()
    assert f"it was begun on cpu, {threads} threads, and goes on on cpu, {threads + 1} threads" in said


def test_what_is_drawn_after_training_does_not_depend_on_where_it_was_stopped(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.fit(resume=False)
    drawn = torch.randn(3)
    with pytest.raises(Interrupted):
        trainer(tmp_path / "cut", batches=stopping_at(29)).fit(resume=False)
    trainer(tmp_path / "cut").fit(resume=True)
    assert torch.equal(torch.randn(3), drawn)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_every_signal_to_stop_saves_and_has_its_exit_code(tmp_path, number, code):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    own = trainer(tmp_path, batches=stopping_at(9, number))
    with pytest.raises(Interrupted, match=r"step 10 of 30 .*--resume") as stopped:
        own.fit(resume=False)
    assert stopped.value.exit_code == code
    assert load_weights(own.checkpoint)[1]["step"] == 10
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_training_changes_what_it_should_and_logs_every_term(tmp_path):
    own = trainer(tmp_path)
    before = {name: value.clone() for name, value in own.model.state_dict().items()}
    own.fit(resume=False)
    assert all(not torch.equal(before[name], value) for name, value in own.model.state_dict().items())
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30]
    assert {"game/left/loss", "game/right/loss", "game/right/p", "game/left/gradient_norm"} <= set(lines[0]["losses"])


def test_an_objective_steps_by_its_own_optimiser_and_the_stages_schedule_leaves_it_alone(tmp_path):
    """With gradients too small to be clipped, one step of SGD without momentum is lr times the gradient."""
    made = []

    def plain(parameters):
        made.append(torch.optim.SGD(parameters, lr=0.05))
        return made[-1]

    own = trainer(tmp_path, steps=1, own=plain, ema=0.0, warmup=0, clip_norm=1e9)
    before = own.model.right.weight.detach().clone()
    own.fit(resume=False)
    (optimiser,) = made
    assert optimiser.param_groups[0]["lr"] == 0.05
    assert set(optimiser.param_groups[0]["params"]) == set(own.model.right.parameters())
    gradient = own.model.right.weight.grad
    torch.testing.assert_close(own.model.right.weight.detach(), before - 0.05 * gradient)


def test_the_loss_falls(tmp_path):
    own = trainer(tmp_path, steps=300)
    own.fit(resume=False)
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert lines[-1]["losses"]["game/left/loss"] < 0.2 * lines[0]["losses"]["game/left/loss"]


def test_a_step_is_logged_once_however_often_it_ran(tmp_path):
    with pytest.raises(Interrupted):
        trainer(tmp_path, batches=stopping_at(12)).fit(resume=False)
    trainer(tmp_path).fit(resume=False)
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [5, 10, 15, 20, 25, 30]


def test_a_line_that_a_crash_has_cut_does_not_stop_the_next_run(tmp_path):
    with pytest.raises(Interrupted):
        trainer(tmp_path, batches=stopping_at(12)).fit(resume=False)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "game", "st')
    trainer(tmp_path).fit(resume=True)
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [5, 10, 15, 20, 25, 30]


def test_the_average_is_what_remains(tmp_path):
    frozen = trainer(tmp_path / "a", ema=0.999999)
    frozen.fit(resume=False)
    live = trainer(tmp_path / "b", ema=0.0)
    live.fit(resume=False)
    assert not torch.equal(frozen.model.left.weight, live.model.left.weight)


def test_a_checkpoint_of_another_recipe_is_not_resumed(tmp_path):
    with pytest.raises(Interrupted):
        trainer(tmp_path, batches=stopping_at(10)).fit(resume=False)
    other = trainer(tmp_path)
    other.key = "another"
    other.fit(resume=True)
    fresh = trainer(tmp_path / "fresh")
    fresh.fit(resume=False)
    assert torch.equal(other.model.left.weight, fresh.model.left.weight)


def test_a_loss_that_is_no_number_is_named(tmp_path):
    own = trainer(tmp_path, batches=lambda step, part: batch_at(step) * (math.nan if step == 8 else 1), log_every=1)
    with pytest.raises(Diverged, match=r"step 9 .*game/left/loss.*learning_rate"):
        own.fit(resume=False)


def test_the_rate_that_is_shown_is_that_of_this_run(tmp_path, monkeypatch):
    """A quarter of a second a step, four a second; steps before a resumption do not count."""
    clock, shown = types.SimpleNamespace(now=0.0), []

    def slow(step, *part):
        clock.now += 0.25
        return batch_at(step, *part)

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def add_task(self, name, **_):
            return 1

        def update(self, _, losses=None, **__):
            shown.extend([] if losses is None else [losses.partition("  ")[0]])

    monkeypatch.setattr("vast_core.training.loop.time", types.SimpleNamespace(perf_counter=lambda: clock.now))
    monkeypatch.setattr(Trainer, "_progress", lambda self: Bar())
    stops = stopping_at(12)
    with pytest.raises(Interrupted):
        trainer(tmp_path, batches=lambda step, *part: (slow(step, *part), stops(step, *part))[1]).fit(resume=False)
    assert shown == ["4.0 steps/s"] * 2
    trainer(tmp_path, batches=slow).fit(resume=True)
    assert shown == ["4.0 steps/s"] * 6
    assert {line["seconds"] for line in read_metrics(tmp_path / "metrics.jsonl")} <= {0.25 * n for n in range(31)}
