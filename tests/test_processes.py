"""Training in several processes and in parts gives what one process gives with the whole batch."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from torch import nn

from vast_core import processes
from vast_core.errors import InputError, Interrupted, VastError
from vast_core.interfaces import Objective
from vast_core.registry import TrainingStage
from vast_core.runs import Run, load_weights
from vast_core.training import Part, Trainer
from vast_core.training.parts import SharedDraws

ROWS, STEPS = 8, 24


class Game(nn.Module):
    """Two objectives over two sets of parameters, the second of which sees the first as just stepped.

    Noise and dropout are drawn in the step; one loss is a mean over a mask that fills the rows unequally; one weight
    has a gradient only from some rows.
    """

    def __init__(self, *, means: bool) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.3), nn.Linear(16, 4))
        self.rare, self.never = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
        self.means = means

    def objectives(self, batch, progress):
        noisy = batch + 0.1 * torch.randn_like(batch)
        yield Objective("left", (self.left(noisy) - batch).square().mean(), [*self.left.parameters()])
        error = (self.right(batch) - self.left(noisy).detach()).square()
        few = batch[:, :1] > 1.2
        if few.any():
            error = torch.where(few, error * self.rare, error)
        mask = torch.ones_like(batch) if self.means else (batch > 0.4).float()
        loss = processes.everywhere((error * mask).sum()) / processes.everywhere(mask.sum()).clamp_min(1e-6)
        if not self.means:  # a bound by the mean of the whole batch, as that of free bits
            loss = loss + processes.everywhere(error.mean(0)).clamp_min(0.3).sum()
        yield Objective("right", loss, [*self.right.parameters(), self.rare, self.never])


def batch_at(step, part):
    whole = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(step))
    return whole[part.rows(ROWS, "batch")]


def train(folder: Path, *, resume=False, batches=batch_at, means=False, **settings) -> Trainer:
    run = Run(folder, SimpleNamespace(seed=3), SimpleNamespace(notify=lambda *_, **__: None))
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(processes.rank())  # the leading one's initial weights count
    options = {
        "steps": STEPS,
        "batch": ROWS,
        "warmup": 5,
        "log_every": 1,
        "checkpoint_every": 5,
        "learning_rate": 1e-2,
    } | settings
    model = Game(means=means)
    trainer = Trainer(
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
    trainer.fit(resume)
    return trainer


def losses(folder: Path) -> dict[str, list[float]]:
    """The curve of each loss; every step is there once."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return {name: [line["losses"][name] for line in lines] for name in lines[0]["losses"]}


def same_curve(first: Path, second: Path, most: float) -> None:
    one, two = losses(first), losses(second)
    assert one.keys() == two.keys()
    for name, curve in one.items():
        assert two[name] == pytest.approx(curve, rel=most, abs=most), name


# ----------------------------------------------------------------------------------------- in one process


DRAWN = {
    "dropout": lambda rows: nn.functional.dropout(rows, 0.4),
    "of an attention": lambda rows: nn.functional.scaled_dot_product_attention(
        rows[:, None, :, None], rows[:, None, :, None], rows[:, None, :, None], dropout_p=0.5
    ),
    "normal": torch.randn_like,
    "uniform": lambda rows: torch.rand(rows.shape),
    "integers": lambda rows: torch.randint(100, rows.shape),
    "in place": lambda rows: rows.clone().uniform_(),
    "by a chance for each": lambda rows: torch.bernoulli(rows.sigmoid()),
    "over rows and frames": lambda rows: torch.randn(rows.numel(), 2).view(len(rows), -1),
}


@pytest.mark.parametrize("drawn", DRAWN)
def test_a_part_draws_its_rows_of_what_the_whole_draws(drawn):
    rows = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    whole, after = DRAWN[drawn](rows), torch.rand(())
    for number in range(4):
        part = Part(number, 4)
        torch.manual_seed(5)
        with SharedDraws(part):
            own, alike = DRAWN[drawn](rows[part.rows(8, "rows")]), torch.rand(())
        torch.testing.assert_close(own, whole[2 * number : 2 * number + 2], rtol=0, atol=1e-6)
        assert alike == after, "numbers for the whole step are the same, and so is what is drawn next"


def test_accumulated_parts_equal_the_whole_batch(tmp_path):
    whole = train(tmp_path / "whole", means=True)
    parts = train(tmp_path / "parts", means=True, accumulate=4)
    same_curve(tmp_path / "whole", tmp_path / "parts", 1e-5)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, rtol=1e-5, atol=1e-5, msg=name)


def test_parts_that_cannot_be_equal_are_refused_with_the_option(tmp_path):
    with pytest.raises(InputError, match=r"stages\.game\.batch: 8 rows .* 3 parts .* multiple of 3"):
        train(tmp_path, accumulate=3)


def test_one_process_is_all_there_is_without_torchrun():
    assert (processes.count(), processes.rank(), processes.leads(), processes.speaks()) == (1, 0, True, True)
    assert processes.once(lambda: "done") == "done"
    value = torch.ones(3, requires_grad=True)
    assert processes.everywhere(value) is value


# ----------------------------------------------------------------------------------- in several processes


def torchrun(count: int, *command: str | Path, **options) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(word) for word in words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ended(job: subprocess.Popen[str], seconds: float = 600) -> tuple[int, str, str]:
    try:
        out, err = job.communicate(timeout=seconds)
    finally:
        job.terminate()
    return job.returncode, out, err


def play(count: int, folder: Path, *words: str) -> tuple[int, str, str]:
    """Train in several processes: this file is run by torchrun, see its end."""
    return ended(torchrun(count, __file__, folder, *words))


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one_and_any_number_goes_on_after_a_kill(tmp_path):
    train(tmp_path / "one")
    code, _, err = play(2, tmp_path / "killed", "kill=13")
    assert code != 0
    assert len(re.findall("lost another process of this job", err)) == 1, err
    assert "--resume" in err
    path = tmp_path / "killed" / "checkpoints" / "game.safetensors"
    assert load_weights(path)[1]["step"] == 10
    code, _, err = play(4, tmp_path / "killed", "resume", "stop=16")
    assert "stopped after step 17 of 24" in err
    assert load_weights(path)[1]["step"] == 17
    train(tmp_path / "killed", resume=True)
    same_curve(tmp_path / "one", tmp_path / "killed", 1e-4)


TINY = ("vast_tiny", "--stages", "prepare,style,renderer", "stages.style.steps=6", "stages.renderer.steps=4")
TINY += ("stages.style.log_every=1", "stages.renderer.log_every=1", "stages.renderer.batch=2")
TINY += ("stages.style.any_sound=0.5", "renderer.adversarial_start=0.25")


@pytest.mark.slow
def test_two_processes_train_both_stages_of_the_smallest_recipe_as_one_does(tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    code, out, err = ended(torchrun(2, "-m", "vast_core", "run", *TINY, "--out", tmp_path / "two"))
    assert code == 0, err
    assert out.count("renderer\n") == 1, "only the leading process prints"
    one = subprocess.run(
        [sys.executable, "-m", "vast_core", "run", *TINY, "--out", str(tmp_path / "one")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert one.returncode == 0, one.stderr
    for stage in ("style", "renderer"):
        curves = []
        for folder in ("one", "two"):
            lines = map(json.loads, (tmp_path / folder / "metrics.jsonl").read_text().splitlines())
            curves.append([line["losses"] for line in lines if line["stage"] == stage])
        assert [own.keys() for own in curves[0]] == [own.keys() for own in curves[1]]
        for step, (alone, shared) in enumerate(zip(*curves, strict=True), 1):
            assert shared == pytest.approx(alone, rel=1e-4, abs=1e-4), f"{stage}, step {step}"
    files = [sorted(path.name for path in (tmp_path / own).rglob("*") if path.is_file()) for own in ("one", "two")]
    assert [name for name in files[0] if "tfevents" not in name] == [
        name for name in files[1] if "tfevents" not in name
    ]


def main(folder: str, *words: str) -> None:
    """What each process of :func:`play` does."""
    given = dict(word.partition("=")[::2] for word in words)

    def batches(step, part):
        if given.get("kill") == str(step) and processes.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if given.get("stop") == str(step) and processes.rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch_at(step, part)

    try:
        with processes.joined():
            train(Path(folder), resume="resume" in given, batches=batches)
    except VastError as error:
        if processes.speaks():
            print(error, file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, Interrupted) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
