"""Files are complete or absent on a full disk: the kernel limits every file to 64 KiB."""

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vast_core.files import replacing, write_picture, write_text
from vast_core.files.atomic import remove_left
from vast_core.files.names import temporary_name
from vast_core.runs import save_weights

WRITERS = {
    "weights": "from vast_core.runs.weights import save_weights; save_weights(path, {'a': torch.randn(100_000)}, {})",
    "picture": "from vast_core.files.atomic import write_picture; write_picture(path, noise)",
    "text": "from vast_core.files.atomic import write_text; write_text(path, 'text ' * 100_000)",
    "clip": """
        from types import SimpleNamespace
        from vast_core.runs import Store
        Store(path.parent).write_clip(SimpleNamespace(file=path.name), {'a': torch.randn(100_000)})
    """,
}


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_is_explained_and_leaves_what_was_there(tmp_path, what):
    (tmp_path / "file.bin").write_text("before")
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np, torch
from vast_core.errors import StorageError
path = Path(sys.argv[1])
noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
{textwrap.indent(textwrap.dedent(WRITERS[what]).strip(), "    ")}
except StorageError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "file.bin")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "file.bin: cannot be written (" in done.stdout
    assert "File too large" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]
    assert (tmp_path / "file.bin").read_text() == "before"


def test_weights_are_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "plain").touch()
    save_weights(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, {})
    write_text(tmp_path / "t", "text")
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(set(modes.values())) == 1, modes


def test_a_picture_keeps_its_colours(tmp_path):
    image = np.random.default_rng(1).integers(0, 255, (5, 7, 3), np.uint8)
    write_picture(tmp_path / "p.png", image)
    assert np.array_equal(cv2.imread(str(tmp_path / "p.png"))[..., ::-1], image)


def test_content_reaches_the_disk_before_its_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    calls = []
    forced, renamed = os.fsync, os.replace

    def fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append(("force", path, path.read_text() if path.is_file() else None))
        forced(descriptor)

    def replace(source, target):
        calls.append(("rename", Path(target), None))
        renamed(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "a").write_text("old")
    with replacing(tmp_path / "a", earlier=tmp_path / "b") as temporary:
        temporary.write_text("new")
    new = ("force", temporary, "new")
    assert calls == [
        new,
        ("rename", tmp_path / "b", None),
        new,
        ("rename", tmp_path / "a", None),
        ("force", tmp_path, None),
    ]
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("new", "old")


def test_what_killed_processes_have_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    own = temporary_name("mine.mp4")
    over = subprocess.Popen([sys.executable, "-c", ""])
    over.wait()
    dead = own.replace(f".{os.getpid()}.", f".{over.pid}.")
    monkeypatch.setattr(socket, "gethostname", lambda: "another machine")
    distant = temporary_name("mine.mp4").replace(f".{os.getpid()}.", f".{over.pid}.")
    monkeypatch.undo()
    kept = {own, distant, ".part", "a.part.mp4", ".01234567.part", ".tmpTrIBR0"}
    for name in (*kept, dead, f"below/{dead}", "below/.tmpTrIBR0"):
        (tmp_path / name).touch()
    files = lambda: {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}  # noqa: E731
    remove_left(tmp_path)
    assert files() == {*kept, "below/.tmpTrIBR0"}
    remove_left(tmp_path, alone=True)
    assert files() == kept - {distant}, "what this process writes stays, and what its safetensors may write"
    (tmp_path / own).unlink()
    remove_left(tmp_path, alone=True)
    assert files() == {".part", "a.part.mp4", ".01234567.part"}
