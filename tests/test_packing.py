"""An avatar in one file: packing and unpacking keep its files, and only an avatar is unpacked."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from vast_core import api
from vast_core.errors import ComponentError, InputError, MediaError, WeightsError
from vast_core.files.outputs import check_output
from vast_core.mesh.scene import Crop
from vast_core.registry import Registry
from vast_core.runs import load_weights, save_weights
from vast_core.speak import packing
from vast_core.speak.base_clip import BaseClip, Video
from vast_core.speak.packing import MANIFEST, MEMBERS, pack, unpack

RECIPE = """
vast: 1
name: small
seed: 3
fps: 25.0
corpus: {use: folder, path: /home/ann/videos}
face: {use: landmarks}
flow: {use: glow}
metrics: [{use: psnr}]
stages: {style: {steps: 3}}
"""


@pytest.fixture
def run(tmp_path):
    """The folder of a run, with the files that packing reads."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    for name in ("face", "style", "renderer"):
        save_weights(folder / "weights" / f"{name}.safetensors", {"a": torch.arange(5.0)}, {"what": name})
    frames = [np.full((16, 24, 3), 10 * i, np.uint8) for i in range(6)]
    video = Video.write(folder / "base.mp4", 25, frames, 6, "ann_1")
    base = BaseClip(
        avatar="ann",
        source="ann_1",
        start=0,
        crop=Crop(0.0, 0.0, 16.0, 16),
        video=video,
        identity=torch.zeros(4, 3),
        pose=torch.zeros(6, 3, 4),
        displacement=torch.zeros(6, 4, 3),
        texture=torch.zeros(8, 8, 3, dtype=torch.uint8),
        reference=torch.zeros(3, 16, 16, dtype=torch.uint8),
        reference_vertices=torch.zeros(4, 3),
    )
    base.save(folder / "weights" / "avatar.safetensors", {"components": {"flow": "glow (vast-glow 1.2)"}})
    return folder


@pytest.fixture
def packed(run, tmp_path):
    file = tmp_path / "ann.vast"
    pack(run, file)
    return file


def test_what_is_packed_comes_out_the_same(run, packed, tmp_path):
    unpack(packed, tmp_path / "out")
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert files == sorted(MEMBERS)
    for name in MEMBERS[1:]:
        assert (tmp_path / "out" / name).read_bytes() == (run / name).read_bytes()


def test_the_recipe_leaves_the_corpus_at_home(packed):
    with zipfile.ZipFile(packed) as file:
        recipe = yaml.safe_load(file.read("recipe.yaml"))
        everything = b"".join(file.read(name) for name in file.namelist())
    assert recipe == {
        "vast": 1,
        "name": "small",
        "seed": 3,
        "fps": 25.0,
        "face": {"use": "landmarks"},
        "flow": {"use": "glow"},
    }
    assert b"/home/ann" not in everything


def test_the_manifest_is_true_and_nothing_is_compressed(packed):
    with zipfile.ZipFile(packed) as file:
        manifest = json.loads(file.read(MANIFEST))
        assert [entry["name"] for entry in manifest["files"]] == list(MEMBERS)
        for entry in manifest["files"]:
            content = file.read(entry["name"])
            assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert {member.compress_type for member in file.infolist()} == {zipfile.ZIP_STORED}


def test_sliders_are_packed_if_there_are_some(run, tmp_path):
    save_weights(run / "weights" / "sliders.safetensors", {"origin": torch.arange(3.0)}, {"what": "style sliders"})
    pack(run, tmp_path / "ann.vast")
    unpack(tmp_path / "ann.vast", tmp_path / "out")
    own, there = (folder / "weights" / "sliders.safetensors" for folder in (run, tmp_path / "out"))
    assert own.read_bytes() == there.read_bytes()


def test_named_styles_are_packed_and_nothing_else_beside_them(run, tmp_path):
    for name in ("happy", "b-2"):
        save_weights(run / "styles" / f"{name}.safetensors", {"code": torch.arange(3.0)}, {"what": "style code"})
    for other in ("notes.txt", "Big.safetensors", ".happy.safetensors.7.part.safetensors"):
        (run / "styles" / other).write_text("x")
    pack(run, tmp_path / "ann.vast")
    unpack(tmp_path / "ann.vast", tmp_path / "out")
    names = ["b-2.safetensors", "happy.safetensors"]
    assert sorted(path.name for path in (tmp_path / "out" / "styles").iterdir()) == names
    for name in names:
        assert (tmp_path / "out" / "styles" / name).read_bytes() == (run / "styles" / name).read_bytes()


def test_packing_twice_gives_the_same_members(run, packed, tmp_path):
    pack(run, tmp_path / "again.vast")
    contents = []
    for path in (packed, tmp_path / "again.vast"):
        with zipfile.ZipFile(path) as file:
            contents.append({name: file.read(name) for name in file.namelist()})
    assert contents[0] == contents[1]


# ------------------------------------------------------------------------------------------ what is refused


def rebuilt(packed: Path, change) -> Path:
    """The file with its list of (ZipInfo, content) and its manifest changed."""
    with zipfile.ZipFile(packed) as file:
        members = [(zipfile.ZipInfo(info.filename), file.read(info)) for info in file.infolist()]
    manifest = json.loads(members[0][1])
    members = change(members, manifest) or members
    if members[0][0].filename == MANIFEST and members[0][1][:1] == b"{":
        members[0] = (members[0][0], json.dumps(manifest).encode())
    other = packed.with_name("changed.vast")
    with pytest.MonkeyPatch.context() as patch, zipfile.ZipFile(other, "w") as file:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # of a name that stands twice
        for info, content in members:
            file.writestr(info, content, compress_type=info.compress_type)
    return other


def adding(name):
    return lambda members, manifest: [*members, (zipfile.ZipInfo(name), b"x")]


def linked(members, manifest):
    info = members[-1][0]
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def compressed(members, manifest):
    members[2][0].compress_type = zipfile.ZIP_DEFLATED
    members[2] = (members[2][0], b"0" * len(members[2][1]))


def another_content(members, manifest):
    members[-1] = (members[-1][0], bytes(len(members[-1][1])))


def listed_twice(members, manifest):
    manifest["files"].append(manifest["files"][0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (adding("/etc/passwd"), "'/etc/passwd' would lie outside"),
        (adding("weights/../../x"), r"'weights/\.\./\.\./x' would lie outside"),
        (adding("..\\x"), "would lie outside"),
        (adding("C:/x"), "'C:/x' would lie outside"),
        (adding("weights/other.safetensors"), "'weights/other.safetensors' is not part of an avatar"),
        (adding("styles/Big.safetensors"), "'styles/Big.safetensors' is not part of an avatar"),
        (adding("styles/a/b.safetensors"), "'styles/a/b.safetensors' is not part of an avatar"),
        (adding("styles/happy.safetensors"), "its manifest does not list what an avatar is made of"),
        (adding("weights/"), "'weights/' is not part of an avatar"),
        (adding("base.mp4"), "it has 'base.mp4' twice"),
        (lambda members, manifest: members[:-1], "it lacks base.mp4"),
        (lambda members, manifest: members[1:], "it lacks manifest.json"),
        (linked, "'base.mp4' is a link"),
        (compressed, "'weights/face.safetensors' is compressed"),
        (lambda members, manifest: manifest["files"][5].update(size=7), "base.mp4 has [0-9]+ bytes, 7 by the manifest"),
        (another_content, "the SHA-256 of base.mp4 is not the manifest's"),
        (lambda members, manifest: manifest["files"][0].update(sha256="0"), "the SHA-256 of recipe.yaml is not"),
        (listed_twice, "its manifest does not list what an avatar is made of"),
        (lambda members, manifest: manifest["files"][1].update(name="../x"), "does not list what an avatar is made of"),
        (lambda members, manifest: manifest.update(format=2), "is of format 2, this vast .* reads format 1"),
        (lambda members, manifest: manifest.__delitem__("files"), "its manifest cannot be read"),
        (lambda members, manifest: manifest["files"][0].update(size="many"), "its manifest cannot be read"),
        (lambda m, manifest: manifest.update(vast="x" * 1_100_000), "its manifest has [0-9]+ bytes, more than 1048576"),
    ],
)
def test_what_is_no_avatar_is_refused(packed, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        unpack(rebuilt(packed, change), tmp_path / "out")
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    known = {hashlib.sha256(content).hexdigest() for content in contents_of(packed)}
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in left} <= known
    assert not (tmp_path / "x").exists()


def contents_of(packed):
    with zipfile.ZipFile(packed) as file:
        return [file.read(name) for name in file.namelist()]


def test_the_total_is_limited(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "MOST_BYTES", 100)
    with pytest.raises(InputError, match=r"it would unpack to [0-9]+ bytes, more than 100"):
        unpack(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("length", [0, 100, -30])
def test_a_file_that_was_cut_short_is_told(packed, tmp_path, length):
    packed.write_bytes(packed.read_bytes()[:length])
    with pytest.raises(InputError, match="is not a packed avatar, or is damaged"):
        unpack(packed, tmp_path / "out")


# -------------------------------------------------------------------------------------- loading and packing


def test_a_component_that_is_not_installed_names_its_package(run, packed):
    for path in (run, packed):
        with pytest.raises(ComponentError, match=r"flow glow: pip install vast-glow \(made with version 1\.2\)"):
            api.load(path, registry=Registry.discover())


def test_paths_that_are_no_avatar(tmp_path):
    with pytest.raises(InputError, match="there is no such file or folder"):
        api.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"not the folder of a run: there is no recipe.yaml"):
        api.load(tmp_path)
    (tmp_path / "a.vast").write_text("hello")
    with pytest.raises(InputError, match="is not a packed avatar"):
        api.load(tmp_path / "a.vast")


def test_a_run_that_is_not_whole(run, tmp_path):
    (run / "weights" / "style.safetensors").unlink()
    for does in (lambda: api.load(run), lambda: api.pack(run, tmp_path / "x.vast")):
        with pytest.raises(InputError, match=r"lacks weights/style\.safetensors; finish the run"):
            does()


def test_a_video_that_is_not_what_it_was(run, tmp_path):
    content = bytearray((run / "base.mp4").read_bytes())
    content[-1] ^= 1
    (run / "base.mp4").write_bytes(content)
    for does in (lambda: api.load(run), lambda: api.pack(run, tmp_path / "x.vast")):
        with pytest.raises(MediaError, match=r"base\.mp4: is not the video that this avatar was made with"):
            does()


def test_what_another_version_wrote_is_no_avatar(run):
    path = run / "weights" / "avatar.safetensors"
    tensors, header = load_weights(path)
    facts = {key: value for key, value in header.items() if key not in ("format", "vast")}
    older = {name: tensor for name, tensor in tensors.items() if name != "texture"}
    for own, known in ((tensors, {**facts, "what": "style"}), (older, facts)):
        save_weights(path, own, known)
        with pytest.raises(WeightsError, match="is not an avatar of this version"):
            api.load(run)


def test_packing_overwrites_nothing_unasked(run, packed):
    with pytest.raises(InputError, match="exists; name another file, or overwrite it with --force"):
        api.pack(run, packed)
    assert api.pack(run, packed, force=True) == packed
    with pytest.raises(InputError, match=r"is read as .*base.mp4, and would be overwritten"):
        api.pack(run, run / "base.mp4", force=True)


# ------------------------------------------------------------------------------------------------- outputs


def test_no_input_is_overwritten_by_any_name(tmp_path):
    own, folder = tmp_path / "a.mp4", tmp_path / "corpus"
    own.write_text("x")
    folder.mkdir()
    (folder / "clip.mp4").write_text("x")
    (tmp_path / "soft.mp4").symlink_to(own)
    os.link(own, tmp_path / "hard.mp4")
    (tmp_path / "way").symlink_to(folder)
    for out in (own, tmp_path / "soft.mp4", tmp_path / "hard.mp4", tmp_path / "corpus" / ".." / "a.mp4"):
        with pytest.raises(InputError, match="would be overwritten"):
            check_output(out, inputs=[own, folder], force=True)
    for out in (folder / "clip.mp4", tmp_path / "way" / "clip.mp4"):
        with pytest.raises(InputError, match=r"lies in .*corpus, which is read"):
            check_output(out, inputs=[own, folder], force=True)
    with pytest.raises(InputError, match="is a folder"):
        check_output(folder, inputs=[], force=True)


def test_what_exists_is_overwritten_only_when_told(tmp_path):
    out = tmp_path / "out.mp4"
    check_output(out, inputs=[tmp_path / "gone.mp4"], force=False)
    out.write_text("x")
    with pytest.raises(InputError, match=r"out.mp4: exists"):
        check_output(out, inputs=[], force=False)
    check_output(out, inputs=[tmp_path / "gone.mp4"], force=True)


def test_what_a_folder_links_to_is_not_overwritten(tmp_path):
    folder, real = tmp_path / "corpus", tmp_path / "elsewhere.mp4"
    (folder / "ann").mkdir(parents=True)
    real.write_text("x")
    (folder / "ann" / "1.mp4").symlink_to(real)
    (folder / "ann" / "gone.mp4").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"is read as .*ann/1\.mp4, and would be overwritten"):
        check_output(real, inputs=[folder], force=True)


def test_a_corpus_below_the_users_home_is_protected(run, tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "videos").mkdir(parents=True)
    (home / "videos" / "ann.mp4").write_text("x")
    monkeypatch.setenv("HOME", str(home))
    recipe = run / "recipe.yaml"
    before = recipe.read_text()
    document = yaml.safe_load(before)
    document["corpus"] = {"use": "union", "of": [{"use": "folder", "path": "~/videos"}]}
    recipe.write_text(yaml.safe_dump(document))
    try:
        with pytest.raises(InputError, match="which is read"):
            api.pack(run, home / "videos" / "ann.mp4", force=True)
    finally:
        recipe.write_text(before)
