"""Files are complete or absent on a full disk: the kernel limits every file to 64 KiB."""

import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
import torch

from vast_core.files import write_picture, write_text
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
