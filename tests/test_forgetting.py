"""`vast forget` removes what was made of a person, all of it and nothing else."""

from __future__ import annotations

import json
import shutil

import fsspec
import pytest
import torch
import yaml
from click.testing import CliRunner

from vast_core import places
from vast_core.cli import Session, cli
from vast_core.files import fetched, sent
from vast_core.runs import save_weights
from vast_core.runs.lock import held


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


def test_nothing_is_removed_while_a_process_works_with_it(place):
    mine, _ = place
    with held(mine[1]):
        done = forget("ann", "--yes")
        assert "works in this folder" in str(done.exception)
        assert all(path.exists() for path in mine)
    with held(mine[0]):
        assert "works in this folder" in str(forget("ann", "--yes").exception)
        assert mine[0].exists()


def test_the_footage_of_a_union_is_named_and_copies_of_footage_by_url_go(place, tmp_path):
    mine, _ = place
    lab = fsspec.filesystem("memory")
    for name in ("clips/ann.mp4", "others/bob.mp4"):
        lab.pipe_file(f"/lab/{name}", b"video")
        fetched(places.located(f"memory://lab/{name}"))
    parts = [{"use": "folder", "path": path} for path in ("/footage/mine", "memory://lab/clips")]
    (mine[1] / "recipe.yaml").write_text(yaml.safe_dump({"vast": 1, "corpus": {"use": "union", "of": parts}}))
    done = forget("ann", "--yes")
    assert done.exit_code == 0, done.output
    for footage in ("/footage/mine", "memory://lab/clips"):
        assert f"the footage: {footage}" in done.output
    assert not places.located("memory://lab/clips").exists()
    assert places.located("memory://lab/others/bob.mp4").exists()
    assert "remote: copies of what recipes named by URL" in done.output
    assert lab.exists("/lab/clips/ann.mp4"), "the footage itself stays"


def test_what_is_in_a_cache_at_a_url_is_removed_there_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAST_CACHE", "memory://forgotten/cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    cache = places.cache_root()
    for key, speakers in (("a", ("ann", "bob")), ("b", ("bob",)), ("c", ("ann",))):
        sent(prepared(cache, key, *speakers))
    shutil.rmtree(cache / "prepared" / "c")  # as if another machine had sent it
    done = forget("ann", "--yes")
    assert done.exit_code == 0, done.output
    assert fsspec.filesystem("memory").find("/forgotten") == ["/forgotten/cache/prepared/b/index.json"]
    assert [folder.name for folder in (cache / "prepared").iterdir()] == ["b"]
