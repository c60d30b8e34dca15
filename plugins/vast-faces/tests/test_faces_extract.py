"""Reading the canonical face: protocol buffers by hand, and the shipped file against the real task file."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import vast_core
from vast_core.errors import StorageError, WeightsError
from vast_faces.extract import MEMBER, canonical_tensors, extract

MODELS = Path(os.environ.get("VAST_WEIGHTS", Path(__file__).resolve().parents[3] / "../shared/models"))
TASK = MODELS / "face_landmarker.task"


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def task_of(metadata: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(MEMBER, metadata)
    return file.getvalue()


def metadata(packed: bool, vertices: int = 468) -> bytes:
    """A face of our own in the wire format, packed as proto3 does or one by one as proto2."""
    buffer = np.arange(vertices * 5, dtype=np.float32)
    indices = (np.arange(898 * 3) % 468).tolist()
    if packed:
        mesh = field(3, buffer.tobytes()) + field(4, b"".join(map(varint, indices)))
    else:
        mesh = b"".join(varint(3 << 3 | 5) + struct.pack("<f", value) for value in buffer)
        mesh += b"".join(varint(4 << 3 | 0) + varint(index) for index in indices)
    weights = b"".join(
        field(2, varint(1 << 3) + varint(n * 10) + varint(2 << 3 | 5) + struct.pack("<f", n / 33)) for n in range(33)
    )
    return field(1, mesh) + weights + varint(3 << 3 | 0) + varint(1)


@pytest.mark.parametrize("packed", [True, False])
def test_a_face_written_by_hand_is_read(packed):
    tensors = canonical_tensors(task_of(metadata(packed)))
    table = np.arange(468 * 5, dtype=np.float32).reshape(468, 5)
    np.testing.assert_array_equal(tensors["vertices"], table[:, :3])
    np.testing.assert_array_equal(tensors["uv"], table[:, 3:])
    np.testing.assert_array_equal(tensors["triangles"].ravel(), np.arange(898 * 3) % 468)
    np.testing.assert_array_equal(tensors["alignment_index"], np.arange(33) * 10)
    np.testing.assert_allclose(tensors["alignment_weight"], np.arange(33) / 33, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text", "not a face landmarker"),
        (task_of(metadata(True, vertices=467)), "467 vertices"),
        (task_of(metadata(True)[:-1]), "ends inside a number"),
        (task_of(b"\x0b"), "wire type 3"),
    ],
    ids=["no archive", "a vertex is missing", "cut short", "an old type"],  # an archive has its time in it
)
def test_what_is_no_face_landmarker_is_named(content, message):
    with pytest.raises(WeightsError, match=message):
        canonical_tensors(content)


def test_a_zip_without_the_member_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.task", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(WeightsError, match=MEMBER):
        extract(tmp_path / "other.task", tmp_path / "out.safetensors")
    with pytest.raises(WeightsError, match="cannot be read"):
        extract(tmp_path / "absent.task", tmp_path / "out.safetensors")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "a.task").write_bytes(task_of(metadata(True)))
    (tmp_path / "out").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        extract(tmp_path / "a.task", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.task", "out"]


@pytest.mark.skipif(not TASK.is_file(), reason=f"no {TASK}")
def test_the_shipped_file_is_what_the_program_makes(tmp_path):
    out = tmp_path / "canonical.safetensors"
    subprocess.run([sys.executable, "-m", "vast_faces.extract", TASK, out], check=True)
    shipped = Path(vast_core.__file__).parent / "mesh" / "canonical.safetensors"
    with safe_open(out, "np") as made, safe_open(shipped, "np") as kept:
        assert made.metadata() == kept.metadata()
        assert set(made.keys()) == set(kept.keys())
        for name in kept.keys():  # noqa: SIM118 - not a dictionary
            np.testing.assert_array_equal(made.get_tensor(name), kept.get_tensor(name), name)
