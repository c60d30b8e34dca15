"""`vast forget` removes what was made of a person, all of it and nothing else."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

from vast_core.cli import Session, cli
from vast_core.runs import save_weights


def prepared(cache, key, *speakers):
    folder = cache / "prepared" / key
    folder.mkdir(parents=True)
    (folder / "index.json").write_text(json.dumps({"clips": [{"speaker": name} for name in speakers], "rejected": []}))
    return folder


def run_of(folder, *speakers, key="none", named=True):
    (folder / "stages").mkdir(parents=True)
    (folder / "environment.json").write_text("{}")
    (folder / "recipe.yaml").write_text("vast: 1\ncorpus: {use: folder, path: footage}\n")
    (folder / "stages" / "prepare.json").write_text(json.dumps({"key": key}))
    header = {"speakers": list(speakers)} if named else {}
    save_weights(folder / "weights" / "face.safetensors", {"x": torch.zeros(1)}, header)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    cache = tmp_path / "cache"
    mine = [prepared(cache, "a", "ann", "bob"), run_of(tmp_path / "runs" / "both", "ann", "bob")]
    mine.append(run_of(tmp_path / "runs" / "deep" / "old", key="a", named=False))
    avatar = cache / "avatars" / "x"
    avatar.mkdir(parents=True)
    (avatar / "index.json").write_text(json.dumps({"name": "ann"}))
    for name in ("ann", "bob"):
        (cache / "tracks" / name).mkdir(parents=True)
        (cache / "tracks" / name / "done").write_text(f"{name}\n{name}/01\n")
    mine += [avatar, cache / "tracks" / "ann"]
    others = [prepared(cache, "b", "bob"), run_of(tmp_path / "runs" / "bob", "bob"), cache / "tracks" / "bob"]
    return mine, others


def forget(*words):
    return CliRunner().invoke(cli, ["forget", *words], obj=Session(no_plugins=True))


def test_a_dry_run_shows_everything_and_removes_nothing(place):
    mine, others = place
    done = forget("ann", "--dry-run")
    assert done.exit_code == 0, done.output
    for path in mine:
        assert f"{path.name}:" in done.output
        assert path.exists()
    assert "5 folders would be removed" in done.output
    assert "the footage: footage" in done.output
    assert not any(f"{path}:" in done.output for path in others)


def test_it_removes_all_of_one_person_and_nothing_of_others(place):
    mine, others = place
    done = forget("ann", "--yes")
    assert done.exit_code == 0, done.output
    assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in others)
    again = forget("ann", "--yes")
    assert "Nothing of ann was found" in again.output
    assert "packed avatars" in again.output


def test_it_asks_first(place):
    mine, _ = place
    assert forget("ann").exit_code != 0
    assert all(path.exists() for path in mine)


def test_what_cannot_be_told_is_listed(place, tmp_path):
    run_of(tmp_path / "runs" / "unknown", named=False)
    done = forget("ann", "--yes")
    assert "unknown: run that does not say whose footage it has" in done.output.replace("\n", "")
    assert (tmp_path / "runs" / "unknown").exists()
