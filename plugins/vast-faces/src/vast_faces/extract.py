"""Extract the canonical face from ``face_landmarker.task``: ``python -m vast_faces.extract TASK OUT``.

This is how ``vast_core/mesh/canonical.safetensors`` was made. The task file is a zip archive; its member
``geometry_pipeline_metadata_landmarks.binarypb`` is a protocol buffer (wire format:
https://protobuf.dev/programming-guides/encoding/) with MediaPipe's canonical face model.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from vast_core.errors import StorageError, WeightsError

MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""The wire types in use."""

Field = tuple[int, int | bytes]


def canonical_tensors(task: bytes) -> dict[str, NDArray[np.float32] | NDArray[np.int32]]:
    """Vertices (468, 3), uv (468, 2), triangles (898, 3), alignment_index (33,), alignment_weight (33,).

    ``task`` is the content of the file. Raises :class:`WeightsError` if it is not a face landmarker.
    """
    try:
        with zipfile.ZipFile(BytesIO(task)) as archive:
            metadata = archive.read(MEMBER)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WeightsError(f"not a face landmarker: it has no {MEMBER}: {error}") from error

    basis: list[tuple[int, float]] = []
    buffers: list[float] = []
    indices: list[int] = []
    for field, value in _fields(metadata):
        if field == 1 and isinstance(value, bytes):  # Mesh3d canonical_mesh
            for inner, content in _fields(value):
                if inner == 3:  # repeated float vertex_buffer: x, y, z, u, v
                    buffers.extend(_floats(content))
                elif inner == 4:  # repeated uint32 index_buffer
                    indices.extend(_varints(content))
        elif field == 2 and isinstance(value, bytes):  # WeightedLandmarkRef procrustes_landmark_basis
            reference = dict(_fields(value))
            index, weight = reference.get(1, 0), reference[2]
            if not isinstance(index, int) or not isinstance(weight, bytes):
                raise WeightsError(f"{MEMBER}: an alignment weight is not (index, float)")
            basis.append((index, _floats(weight)[0]))
    table = np.array(buffers, np.float32)
    faces = np.array(indices, np.int32)
    if table.size != 468 * 5 or faces.size != 898 * 3 or len(basis) != 33:
        raise WeightsError(
            f"{MEMBER}: {table.size // 5} vertices, {faces.size // 3} triangles and {len(basis)} alignment weights, "
            "where 468, 898 and 33 were expected"
        )
    table = table.reshape(468, 5)
    return {
        "vertices": np.ascontiguousarray(table[:, :3]),
        "uv": np.ascontiguousarray(table[:, 3:]),
        "triangles": faces.reshape(898, 3),
        "alignment_index": np.array([index for index, _ in basis], np.int32),
        "alignment_weight": np.array([weight for _, weight in basis], np.float32),
    }


def extract(task: Path, out: Path) -> None:
    """Write the canonical face in ``task`` to ``out``, with its origin in the header.

    Raises :class:`WeightsError` if ``task`` is not a face landmarker, :class:`StorageError` if ``out`` cannot be
    written.
    """
    try:
        content = task.read_bytes()
    except OSError as error:
        raise WeightsError(f"{task}: cannot be read: {error.strerror}") from error
    header = {
        "source": f"{MEMBER} in face_landmarker.task of MediaPipe, https://github.com/google-ai-edge/mediapipe",
        "license": "Apache-2.0",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    temporary = out.with_name(out.name + ".part")
    try:
        temporary.write_bytes(save(canonical_tensors(content), header))
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{out}: cannot be written: {error.strerror}") from error


def _fields(message: bytes) -> Iterator[Field]:
    """Number and content of each field of a protocol-buffer message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        value: int | bytes
        if wire == VARINT:
            value, at = _varint(message, at)
        else:
            if wire == BYTES:
                length, at = _varint(message, at)
            elif wire in (FIXED32, FIXED64):
                length = 4 if wire == FIXED32 else 8
            else:
                raise WeightsError(f"{MEMBER}: wire type {wire} at byte {at} is not supported")
            value, at = message[at : at + length], at + length
        yield number, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The base-128 integer at byte ``at``, and the byte after it."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    raise WeightsError(f"{MEMBER}: ends inside a number")


def _varints(content: int | bytes) -> list[int]:
    """A repeated integer, packed or not."""
    if isinstance(content, int):
        return [content]
    values, at = [], 0
    while at < len(content):
        value, at = _varint(content, at)
        values.append(value)
    return values


def _floats(content: int | bytes) -> list[float]:
    """A repeated float, packed or not."""
    if isinstance(content, int) or len(content) % 4:
        raise WeightsError(f"{MEMBER}: a float was expected")
    return [value for (value,) in struct.iter_unpack("<f", content)]


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m vast_faces.extract", description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path, help="face_landmarker.task")
    parser.add_argument("out", type=Path, help="the safetensors file to write")
    arguments = parser.parse_args()
    try:
        extract(arguments.task, arguments.out)
    except (WeightsError, StorageError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
