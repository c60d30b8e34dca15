"""The log, read back by TensorBoard's own reader."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from types import SimpleNamespace

import pluggy
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vast_core.errors import StorageError
from vast_core.registry import hookspecs
from vast_tensorboard import log, plugin


@pytest.fixture
def hook():
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
    return manager.hook


@pytest.fixture
def run(tmp_path):
    return SimpleNamespace(path=tmp_path / "run")


@pytest.fixture(autouse=True)
def nothing_stays_open():
    before = threading.active_count()
    yield
    assert log._open == {}
    gc.collect()
    assert threading.active_count() <= before


def scalars(path):
    accumulator = EventAccumulator(str(path / "tensorboard"))
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]
    }


def test_each_term_is_a_curve_under_its_own_key(hook, run):
    hook.vast_run_started(run=run)
    hook.vast_step_end(step=10, losses={"style/bound/kl": 2.5, "style/bound/reconstruction": 8.0}, run=run)
    hook.vast_step_end(step=20, losses={"style/bound/kl": 2.25}, run=run)
    hook.vast_stage_finished(run=run, stage="style")
    assert scalars(run.path) == {
        "style/bound/kl": [(10, 2.5), (20, 2.25)],
        "style/bound/reconstruction": [(10, 8.0)],
    }


def test_a_logged_step_is_on_disk_at_once(hook, run):
    hook.vast_step_end(step=1, losses={"style/bound/kl": 1.0}, run=run)
    assert scalars(run.path) == {"style/bound/kl": [(1, 1.0)]}
    hook.vast_stage_finished(run=run, stage="style")


def test_one_file_a_stage_read_as_one_log(hook, run):
    for stage in ("style", "renderer"):
        for step in (1, 2):
            hook.vast_step_end(step=step, losses={f"{stage}/total": float(step)}, run=run)
        hook.vast_stage_finished(run=run, stage=stage)
    assert len(list((run.path / "tensorboard").iterdir())) == 2
    assert scalars(run.path) == {"style/total": [(1, 1.0), (2, 2.0)], "renderer/total": [(1, 1.0), (2, 2.0)]}


def test_runs_do_not_mix(hook, tmp_path):
    runs = [SimpleNamespace(path=tmp_path / name) for name in ("a", "b")]
    for number, run in enumerate(runs):
        hook.vast_run_started(run=run)
        hook.vast_step_end(step=1, losses={"style/total": float(number)}, run=run)
    for run in runs:
        hook.vast_stage_finished(run=run, stage="style")
    assert [scalars(run.path) for run in runs] == [{"style/total": [(1, 0.0)]}, {"style/total": [(1, 1.0)]}]


def test_a_run_that_broke_off_is_closed_by_its_successor(hook, run):
    hook.vast_step_end(step=1, losses={"style/total": 1.0}, run=run)  # And then an error, say.
    hook.vast_run_started(run=run)
    assert log._open == {}


def test_the_same_directory_by_another_name_is_the_same_run(hook, run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hook.vast_step_end(step=1, losses={"style/total": 1.0}, run=run)
    hook.vast_stage_finished(run=SimpleNamespace(path=run.path.relative_to(tmp_path)), stage="style")


def test_stages_found_in_the_cache_leave_no_log(hook, run):
    hook.vast_run_started(run=run)
    hook.vast_stage_finished(run=run, stage="prepare")
    assert not (run.path / "tensorboard").exists()


def test_a_folder_that_cannot_be_made_is_explained(hook, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"file/tensorboard: .*cannot be written .*--resume"):
        hook.vast_step_end(step=1, losses={"style/total": 1.0}, run=SimpleNamespace(path=tmp_path / "file"))


def test_a_full_disk_is_explained_and_the_next_run_starts_clean(tmp_path):
    # A limit on the size of files stands for the full disk; it holds for a whole process, hence another one.
    program = """
import resource, signal, sys
from pathlib import Path
from vast_core.errors import StorageError
from vast_tensorboard import log

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    for step in range(1000):
        log.write(Path(sys.argv[1]), step, {"style/total": 1.0})
except StorageError as error:
    print(error)
log.close(Path(sys.argv[1]))
print("closed")
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "tensorboard: the TensorBoard log cannot be written (File too large)" in result.stdout
    assert result.stdout.endswith("closed\n")


def test_the_declaration_is_light():
    program = "import sys, vast_tensorboard.plugin; print(sorted({'torch', 'numpy', 'tensorboard'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
