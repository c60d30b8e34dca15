"""``vast motion``, with an avatar that is there at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from vast_core import api
from vast_core.cli import Session
from vast_core.errors import InputError
from vast_motion.commands import motion as command
from vast_motion.endings import ENDINGS
from vast_motion.writing import WRITERS


@pytest.fixture
def vast(motion, monkeypatch, tmp_path):
    """Runs ``vast motion`` with a stub for the avatar; returns what is printed, or raises."""
    monkeypatch.chdir(tmp_path)
    Path("hello.wav").write_bytes(b"sound")
    Path("own.safetensors").write_bytes(b"avatar")
    style = SimpleNamespace(files=(), notes=("a note of the tracker",))
    asked = {}

    class Alma:
        name, files = "alma", (tmp_path / "own.safetensors",)

        def style(self, *prompts, **options):
            asked.update(prompts=prompts, **options)
            return style

        def move(self, sound, style, *, seed):
            asked.update(sound=sound, seed=seed)
            return motion

    monkeypatch.setattr(api, "load", lambda run, registry: Alma())

    def run(*words):
        session = Session(no_plugins=True)
        done = CliRunner().invoke(command, ["alma.vast", "--audio", "hello.wav", *words], obj=session)
        if isinstance(done.exception, InputError):
            raise done.exception
        return done, asked

    return run


def test_every_format_is_written_under_its_ending(vast):
    assert ENDINGS.keys() == WRITERS.keys()
    for form, ending in ENDINGS.items():
        done, _ = vast("--style-factor", "smile=+1", "--format", form, "--out", f"a{ending}", "--shapes", "general")
        assert done.exit_code == 0, done.output
        assert Path(f"a{ending}").stat().st_size > 1000
    assert not Path("a.wav").exists()


def test_style_rate_and_sound_are_as_asked(vast):
    words = ["--style", "happy:0.5", "--style-factor", "brow=-0.5", "--seed", "7", "--fps", "50", "--wav"]
    done, asked = vast(*words, "--format", "npz", "--out", "a.npz")
    assert done.exit_code == 0, done.output
    assert (asked["prompts"], asked["factors"], asked["seed"]) == (("happy",), {"brow": -0.5}, 7)
    assert "80 frames at 50 a second" in done.output
    assert "the curves explain" in done.output
    assert np.load("a.npz")["fps"] == 50
    assert Path("a.wav").is_file()


def test_what_is_wrong_is_told_before_anything_is_written(vast):
    style = ("--style", "happy", "--format", "gltf")
    with pytest.raises(InputError, match=r"a\.gltf: programs know the format gltf by the ending \.glb; name it a\.glb"):
        vast(*style, "--out", "a.gltf")
    with pytest.raises(InputError, match="no style: give a prompt"):
        vast("--format", "gltf", "--out", "a.glb")
    Path("a.glb").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"a\.glb: exists; name another file, or overwrite it with --force"):
        vast(*style, "--out", "a.glb")
    assert Path("a.glb").read_bytes() == b"mine"
    with pytest.raises(InputError, match=r"hello\.wav: is read as hello\.wav, and would be overwritten"):
        vast(*style, "--out", "hello.glb", "--wav", "--force")
    assert not Path("hello.glb").exists()
    done, _ = vast(*style, "--out", "b.glb", "--fps", "0")
    assert done.exit_code == 2
    assert "0.0 is not in the range 1<=x<=1000" in done.output
