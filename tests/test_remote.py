"""Footage, prepared clips and weights by URL, on a real server of S3 on this machine."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from vast_core import places
from vast_core.errors import InputError, UnreachableError
from vast_core.files import fetched, sent, write_text
from vast_core.interfaces import Sizes
from vast_core.media import VideoFile, VideoWriter
from vast_core.pipeline import make
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.registry.core_stages import StyleStage
from vast_core.runs import Store, save_weights
from vast_core.runs.keys import file_digests
from vast_core.stages import avatar_pictures, prepare
from vast_core.stages.avatar_pictures import AvatarPictures
from vast_core.stages.style import _kept_sliders

boto3 = pytest.importorskip("boto3", reason="moto is not installed; pip install 'vast-avatar[oracles]'")
server_module = pytest.importorskip("moto.server", reason="moto is not installed; pip install 'vast-avatar[oracles]'")
pytest.importorskip("s3fs", reason="s3fs is not installed; pip install 'vast-avatar[remote]'")


@pytest.fixture(scope="module")
def server():
    found = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    found.start()
    host, port = found.get_host_and_port()
    yield f"http://{host}:{port}"
    found.stop()


def tell(server, what, data=b""):
    """Tell moto something about itself."""
    words = urllib.request.Request(f"{server}/moto-api/{what}", data, {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(words).close()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    """An empty bucket, seen by a client that is not ours, and a machine with an empty cache."""
    s3fs = sys.modules["s3fs"]
    s3fs.S3FileSystem.clear_instance_cache()
    own = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    for name, value in {**own, "AWS_DEFAULT_REGION": "us-east-1", "VAST_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    tell(server, "reset")
    client = boto3.client("s3")
    client.create_bucket(Bucket="lab")
    yield client
    s3fs.S3FileSystem.clear_instance_cache()


def film(path: Path, level: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 25, np.zeros(16_000, np.float32)) as writer:
        for number in range(25):
            writer.write(np.full((64, 64, 3), level + number, np.uint8))
    return path.read_bytes()


SIZES = Sizes(fps=25.0, image=64, audio=1, expression=1, lower_face=1, vertices=1, style=1, context=1)


def clips_of(recipe):
    return list(make(recipe.part("corpus"), SIZES).clips())


def test_a_folder_of_footage_is_read_from_there_and_follows_its_changes(bucket, tmp_path):
    registry = Registry.discover()
    for name, level in (("anna/one.mp4", 40), ("ben/two.mp4", 90)):
        bucket.put_object(Bucket="lab", Key=f"clips/{name}", Body=film(tmp_path / "local" / name, level))
    bucket.put_object(Bucket="lab", Key="clips-of-others/three.mp4", Body=b"not ours")
    recipe = load_recipe("vast_footage", registry, ["corpus={use: folder, path: 's3://lab/clips'}"])
    assert "path: s3://lab/clips" in recipe.to_yaml(), "the run's recipe names the address, not this machine's copy"
    there = clips_of(recipe)
    local = load_recipe("vast_footage", registry, [f"corpus={{use: folder, path: {tmp_path / 'local'}}}"])
    here = clips_of(local)
    assert [(c.name, c.speaker, c.digest) for c in there] == [(c.name, c.speaker, c.digest) for c in here]
    for mine, theirs in zip(here[0].footage.frames(), there[0].footage.frames(), strict=True):
        np.testing.assert_array_equal(mine, theirs)

    copied = there[1].footage.path.stat().st_mtime_ns
    bucket.put_object(Bucket="lab", Key="clips/anna/one.mp4", Body=film(tmp_path / "other.mp4", 140))
    again = clips_of(recipe)
    assert again[0].digest != there[0].digest
    assert again[1].footage.path.stat().st_mtime_ns == copied, "what has not changed is not copied again"
    bucket.delete_object(Bucket="lab", Key="clips/anna/one.mp4")
    assert [clip.name for clip in clips_of(recipe)] == ["ben/two"]


def test_a_single_video_is_read_from_there(bucket, tmp_path):
    bucket.put_object(Bucket="lab", Key="me.mp4", Body=film(tmp_path / "me.mp4", 10))
    path = fetched(places.located("s3://lab/me.mp4"))
    assert len(list(VideoFile(path, 25).frames())) == 25


@pytest.fixture
def page(monkeypatch, tmp_path):
    """An ordinary web server of a folder."""
    pytest.importorskip("aiohttp", reason="aiohttp, which comes with s3fs, is not installed")
    folder = tmp_path / "page"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_single_video_on_a_web_page_is_read_and_follows_its_changes(page):
    folder, address = page
    path = places.located(f"{address}/me.mp4")
    film(folder / "me.mp4", 10)
    assert len(list(VideoFile(fetched(path), 25).frames())) == 25
    copied = path.stat().st_mtime_ns
    assert fetched(path).stat().st_mtime_ns == copied, "what has not changed is not copied again"
    same_size = bytearray(path.read_bytes())
    same_size[-1] ^= 1
    (folder / "me.mp4").write_bytes(same_size)
    os.utime(folder / "me.mp4", (1e9, 1e9))
    assert fetched(path).read_bytes() == bytes(same_size)
    assert not fetched(path.with_name("none.mp4"), missing=True).exists()
    with pytest.raises(UnreachableError, match="no such file or folder"):
        fetched(path.with_name("none.mp4"))


def test_the_consent_beside_a_single_video_is_read_from_there(page):
    folder, address = page
    film(folder / "ann.mp4", 10)
    recipe = load_recipe("vast_footage", Registry.discover(), [f"corpus={{use: folder, path: '{address}/ann.mp4'}}"])
    corpus = make(recipe.part("corpus"), SIZES)
    assert corpus.consents() == {"ann": None}
    (folder / "signed.pdf").write_bytes(b"I agree")
    signed = hashlib.sha256(b"I agree").hexdigest()
    entry = f"{{who: Ann Lee, purpose: our page, withdrawn: 2020-01-01, file: signed.pdf, signed: {signed}}}"
    (folder / "consent.yaml").write_text(f"ann: {entry}\n")
    assert corpus.consents()["ann"].who == "Ann Lee"
    (folder / "consent.yaml").unlink()
    assert corpus.consents() == {"ann": None}


def test_prepared_clips_in_a_bucket_are_there_for_another_machine(bucket, monkeypatch, tmp_path):
    monkeypatch.setenv("VAST_CACHE", "s3://lab/cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    first = Store(places.cache_root() / "prepared" / "key")
    first.write_identities({"anna": torch.arange(6.0).view(2, 3)})
    first.write_index([], [])
    (first.path / ".lock").touch()
    sent(first.path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "second"))
    second = Store(places.cache_root() / "prepared" / "key")
    assert not second.complete
    fetched(second.path, missing=True)
    assert second.path != first.path
    assert second.complete
    torch.testing.assert_close(second.identities["anna"], torch.arange(6.0).view(2, 3))
    keys = [item["Key"] for item in bucket.list_objects_v2(Bucket="lab")["Contents"]]
    assert sorted(keys) == ["cache/prepared/key/identities.safetensors", "cache/prepared/key/index.json"]


def test_a_failed_upload_is_repeated(bucket, monkeypatch, tmp_path):
    monkeypatch.setenv("VAST_CACHE", "s3://lab/cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    face = torch.nn.Linear(1, 1)
    store = Store(places.cache_root() / "prepared" / "key")
    save_weights(store.path / "face.safetensors", face.state_dict(), {})
    store.write_identities({"ann": torch.zeros(2, 3)})
    store.write_index([], [])
    avatar = AvatarPictures(places.cache_root() / "avatars" / "key")
    write_text(avatar.path / "index.json", "{}")
    monkeypatch.setattr(avatar_pictures, "avatar_key", lambda context: "key")
    run = SimpleNamespace(weights=tmp_path, recipe=SimpleNamespace(fps=25), made_of=dict)
    sizes = SimpleNamespace(known=dict)
    pipeline = SimpleNamespace(face=face, sizes=sizes)
    context = SimpleNamespace(store=store, pipeline=pipeline, console=Console(quiet=True), run=run, say=print)
    stages = {"prepared": lambda: prepare.run(context), "avatars": lambda: avatar_pictures.make_avatar(context)}
    system = sys.modules["s3fs"].S3FileSystem

    def cut(self, here, there, **_):
        raise ConnectionResetError("cut")

    for what, stage in stages.items():
        with monkeypatch.context() as broken:
            broken.setattr(system, "put_file", cut)
            with pytest.raises(UnreachableError, match="cut"):
                stage()
        assert not list(bucket.list_objects_v2(Bucket="lab", Prefix=f"cache/{what}").get("Contents", ()))
        stage()
        keys = {item["Key"] for item in bucket.list_objects_v2(Bucket="lab", Prefix=f"cache/{what}")["Contents"]}
        assert f"cache/{what}/key/index.json" in keys
        assert not any(".sent" in key for key in keys)
        with monkeypatch.context() as away:
            away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            system.clear_instance_cache()
            stage()  # once sent, it is not asked for again
        system.clear_instance_cache()


def test_weights_that_a_recipe_or_the_environment_names_are_fetched(bucket, monkeypatch, tmp_path):
    save_weights(tmp_path / "style.safetensors", {"a": torch.ones(3)}, {"what": "style"})
    bucket.upload_file(str(tmp_path / "style.safetensors"), "lab", "weights/style.safetensors")
    place = places.located("s3://lab/weights/style.safetensors")
    assert file_digests([place]) == file_digests([tmp_path / "style.safetensors"])
    monkeypatch.setenv("VAST_WEIGHTS", "s3://lab/weights")
    folder = places.weights_folder()
    assert folder is not None
    assert fetched(folder / "none.safetensors", missing=True) == folder / "none.safetensors"
    assert fetched(folder / "style.safetensors").read_bytes() == (tmp_path / "style.safetensors").read_bytes()


def test_the_sliders_beside_a_start_come_with_it(bucket):
    for name in ("style", "sliders"):
        bucket.put_object(Bucket="lab", Key=f"weights/{name}.safetensors", Body=name.encode())
    start = places.located("s3://lab/weights/style.safetensors")
    kept = _kept_sliders(StyleStage(start=start, steps=0))
    assert kept is not None
    assert kept.read_bytes() == b"sliders"
    bucket.delete_object(Bucket="lab", Key="weights/sliders.safetensors")
    assert _kept_sliders(StyleStage(start=start, steps=0)) is None


def test_what_cannot_be_reached_is_named_with_the_reason(bucket, server, monkeypatch, tmp_path):
    def refused(url, error, reason):
        with pytest.raises(error, match=reason) as raised:
            fetched(places.located(url))
        assert url in str(raised.value)

    refused("s3://lab/nothing", UnreachableError, "no such file or folder")
    refused("s3://elsewhere/clips", UnreachableError, "no such file or folder")
    refused("gopher://lab/clips", UnreachableError, "gopher")
    with pytest.raises(InputError, match=r"\.\."):
        places.located("s3://lab/../../etc")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "s3fs", None)
        from fsspec.registry import _registry

        without.delitem(_registry, "s3", raising=False)
        refused("s3://lab/clips", InputError, r"pip install 'vast-avatar\[remote\]'")
    tell(server, "reset-auth", b"0")  # from now on, the server checks who asks
    try:
        refused("s3://lab/clips", UnreachableError, "may not be read or written with these credentials")
    finally:
        tell(server, "reset-auth", b"inf")
    sys.modules["s3fs"].S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    refused("s3://lab/clips", UnreachableError, "cannot be reached")


def test_a_copy_appears_whole_or_not_at_all(bucket, monkeypatch, tmp_path):
    bucket.put_object(Bucket="lab", Key="clips/a.mp4", Body=bytes(1000))
    system = sys.modules["s3fs"].S3FileSystem

    def cut(self, there, here, **_):
        Path(here).write_bytes(bytes(10))
        raise ConnectionResetError("cut")

    with monkeypatch.context() as broken:
        broken.setattr(system, "get_file", cut)
        with pytest.raises(Exception, match="cut"):
            fetched(places.located("s3://lab/clips"))
    folder = places.located("s3://lab/clips")
    assert list(folder.rglob("*")) == []
    assert [path.stat().st_size for path in fetched(folder).iterdir()] == [1000]


def test_ordinary_paths_are_left_alone(tmp_path):
    assert places.url_of(tmp_path) is None
    assert fetched(tmp_path / "nothing") == tmp_path / "nothing"
    assert places.located("a:b/c.mp4", tmp_path) == tmp_path / "a:b" / "c.mp4"
