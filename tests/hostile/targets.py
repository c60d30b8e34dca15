"""What reads files, each with files to begin from. A target may only return, or raise an error of vast."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from hypothesis import strategies as st
from safetensors.torch import save

from vast_core.media import VideoFile, VideoWriter
from vast_core.media.hearing import read_wave
from vast_core.media.speech_manifest import NAME, read_manifest
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.registry.discovery import installed_plugins
from vast_core.runs import load_into, load_weights, read_tensors, save_weights
from vast_core.runs.store import Store
from vast_core.speak.base_clip import BaseClip
from vast_core.speak.packing import MANIFEST, MEMBERS, RECIPE, unpack
from vast_core.speak.sliders import Sliders
from vast_core.speak.style import Style
from vast_study.reading import read_study

from .inputs import PLAIN, changed, edited

ROOT = Path(__file__).resolve().parents[2]


@attrs.frozen
class Target:
    """Something that reads a file."""

    file: str
    """Name of the file."""
    inputs: st.SearchStrategy[bytes]
    read: Callable[[Path], object]
    cheap: float = 1.0
    """Share of the asked number of inputs, so that slow targets take no longer."""


def targets() -> dict[str, Target]:
    """All targets by name."""
    registry = Registry.discover()
    linear = torch.nn.Linear(3, 2)
    weights = _written(lambda path: save_weights(path, linear.state_dict(), {"what": "test"}))
    recipes = [file.read_bytes() for file in sorted((ROOT / "recipes").glob("*.yaml"))]
    return {
        "recipe": Target("r.yaml", edited(*recipes), lambda path: load_recipe(path, registry), 0.02),
        "weights": Target(
            "w.safetensors", edited(weights), lambda path: load_into(linear, load_weights(path)[0], path)
        ),
        "weights of others": Target("w.safetensors", edited(save({"a": torch.ones(3)})), read_tensors),
        "saved style": Target("s.safetensors", _headed(STYLE), Style.load, 0.3),
        "sliders": Target("s.safetensors", _headed(SLIDERS), Sliders.load, 0.3),
        "avatar": Target("a.safetensors", _headed(AVATAR), BaseClip.load, 0.3),
        "packed avatar": Target("a.vast", st.one_of(edited(_packed()), _archives()), _unpack, 0.3),
        "video": Target("v.mp4", edited(*_videos()), _watch, 0.1),
        "sound": Target("s.wav", edited(*_sounds()), read_wave, 0.1),
        "manifest of speech": Target(NAME, edited(_manifest()), lambda path: read_manifest(path.parent)),
        "metadata of a plugin": Target("entry_points.txt", edited(ENTRY_POINTS, METADATA), _plugin, 0.3),
        "study": Target("study.yaml", edited(STUDY), lambda path: read_study(path, sources=False), 0.02),
        "prepared clips": Target("index.json", _indices(), _index),
    }


# ------------------------------------------------------------------------------------------------ weights

STYLE = {"what": "style code", "model": "m", "source": "s"}
SLIDERS = {
    "what": "style sliders",
    "model": "m",
    "styles": 20,
    "factors": {"smile": {"low": -1.0, "high": 1.0, "r2": 0.9}},
}
AVATAR = {
    "what": "avatar",
    "avatar": "ann",
    "source": "clip",
    "start": 0,
    "crop": {"x": 0.0, "y": 0.0, "side": 64.0, "size": 64},
    "video": {"digest": "0" * 64, "size": [64, 64]},
}
TENSORS = (
    "code",
    "origin",
    "directions",
    "identity",
    "pose",
    "displacement",
    "texture",
    "reference",
    "reference_vertices",
    "mouths/pictures",
)


def _headed(header: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Weights with a digest that is right, of tensors of any names and shapes, with a header of any content."""
    shapes = st.lists(st.integers(0, 3), max_size=3)
    tensors = st.dictionaries(st.sampled_from(TENSORS), shapes, max_size=len(TENSORS))
    return st.builds(
        lambda own, of: _written(lambda path: save_weights(path, {n: torch.zeros(s) for n, s in of.items()}, own)),
        changed(header),
        st.one_of(
            tensors,
            st.just({"code": [3]}),
            st.just({name: [1] for name in TENSORS[3:9]}),
            st.just({"origin": [3], "directions": [1, 3]}),
        ),
    )


def _written(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "file.safetensors"))
        return Path(folder, "file.safetensors").read_bytes()


# ------------------------------------------------------------------------------------------------ archives


def _packed(names: tuple[str, ...] = MEMBERS, **others: Any) -> bytes:
    """An archive that is right but for what its members hold."""
    contents = dict.fromkeys(names, b"content")
    files = [{"name": n, "size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in contents.items()]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(MANIFEST, json.dumps({"format": 1, "vast": "0", "files": files, **others}))
        for name, content in contents.items():
            archive.writestr(name, content)
    return target.getvalue()


def _archives() -> st.SearchStrategy[bytes]:
    """Archives with members that lead elsewhere, bombs, and manifests of any content."""
    elsewhere = st.sampled_from(("../out", "/tmp/out", "styles/../../out", "C:out", "styles/a\0b", "a" * 300, RECIPE))
    names = st.lists(elsewhere, max_size=2).map(lambda more: (*MEMBERS, *more))
    return st.one_of(
        st.builds(_packed, names),
        st.builds(lambda files: _packed(files=files), PLAIN),
        st.builds(_bomb, st.sampled_from(MEMBERS)),
    )


def _bomb(name: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, "{}")
        for member in MEMBERS:
            archive.writestr(member, b"\0" * (2**24 if member == name else 1))
    return target.getvalue()


def _unpack(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unpack(path, Path(folder))


# ------------------------------------------------------------------------------------------------ media


def _videos() -> list[bytes]:
    import av

    def write(path: Path) -> None:
        with VideoWriter(path.with_suffix(".mp4"), 25, np.zeros(6400, np.float32)) as writer:
            for number in range(6):
                writer.write(np.full((32, 32, 3), 40 * number, np.uint8))
        path.with_suffix(".mp4").rename(path)

    def other(path: Path) -> None:
        with av.open(str(path), "w", format="matroska") as file:
            stream = file.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 32
            for number in range(6):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * number, np.uint8))))
            file.mux(stream.encode(None))

    return [_written(write), _written(other)]


def _sounds() -> list[bytes]:
    import wave

    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.random.default_rng(0).integers(-9000, 9000, 1600, np.int16).tobytes())
    return [target.getvalue()]


def _watch(path: Path) -> None:
    """Up to 60 pictures, and the sound."""
    video = VideoFile(path, 25)
    for number, _ in enumerate(video.frames()):
        if number == 60:
            break
    video.wave()


# ------------------------------------------------------------------------------------------------ text


def _manifest() -> bytes:
    rows = ["file\tspeaker\tseconds\ttranscript\tphones", f"{NAME}\tann\t1.5\thello\tSIL:0.00-0.31 HH:0.31-0.40"]
    return "\n".join(rows).encode()


ENTRY_POINTS = b"[vast.v1]\nodd = vast_odd.plugin\n\n[console_scripts]\nodd = odd:main\n"
METADATA = b"Metadata-Version: 2.4\nName: vast-odd\nVersion: 1.0\nRequires-Dist: numpy>=2; extra == 'x'\n"


STUDY = b"""study: 1
title: Talking faces
contact: judges@example.org
systems: {ours: a, theirs: b}
questions:
  - {name: sync, title: Sync, text: How good, best: Best., worst: Worst.}
"""


def _plugin(path: Path) -> None:
    """The content is the entry points and the metadata of an installed distribution."""
    folder = path.with_name("vast_odd-1.0.dist-info")
    folder.mkdir(exist_ok=True)
    for name, usual in (("entry_points.txt", ENTRY_POINTS), ("METADATA", METADATA)):
        content = path.read_bytes()
        (folder / name).write_bytes(content if content[:4] == usual[:4] else usual)
    for plugin in installed_plugins([PathDistribution(folder)]):
        str(plugin)


def _index(path: Path) -> object:
    store = Store(path.parent)
    return store.clips, store.rejected


def _indices() -> st.SearchStrategy[bytes]:
    clip = {
        **{
            "file": "c",
            "name": "c",
            "source": "c",
            "start": 0,
            "frames": 9,
            "speaker": "a",
            "group": "",
            "weight": 1.0,
        },
        **{"split": "train", "style": None, "heard": True, "offset_ms": 0.0, "image_size": [4, 5], "notes": []},
    }
    whole = {"clips": [clip], "rejected": []}
    made = changed(clip).map(lambda own: json.dumps({"clips": [own], "rejected": []}).encode())
    return st.one_of(edited(json.dumps(whole).encode()), made, PLAIN.map(lambda any_: json.dumps(any_).encode()))
