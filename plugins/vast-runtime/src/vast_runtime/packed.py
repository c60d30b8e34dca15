"""The file of a packed avatar: a zip with graphs, tables, a video, and ``avatar.json``, which says how to use them."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _states

from .errors import AvatarError
from .facts import check_facts, ended

FORMAT = 1

FACTS, TABLES, VIDEO = "avatar.json", "tables.npz", "base.mp4"

MOST_FACTS = 2**24
"""Largest ``avatar.json``, in bytes."""

_BLOCK = 2**20

Arrays = dict[str, NDArray[Any]]

_OF_ONNX: tuple[type[Exception], ...] = tuple(
    error for error in vars(_states).values() if isinstance(error, type) and issubclass(error, Exception)
)
"""Errors of onnxruntime, which have no class in common."""

_DAMAGED: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, RuntimeError),
    *(KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError, MemoryError),
    *_OF_ONNX,
)
"""What reading a file raises that is no avatar, or is damaged."""


class Graph:
    """One network, which keeps its state from one call to the next in a mapping that the caller holds."""

    def __init__(self, path: Path, model: bytes, facts: Mapping[str, Any], threads: int) -> None:
        """``path`` is the avatar's, for messages."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs: list[str] = [name for name in facts["inputs"] if not name.startswith("state_")]
        """Inputs but the state, by name."""
        self.outputs: list[str] = facts["outputs"]
        self._path, self._facts = path, facts

    def start(self) -> Arrays:
        """The state at the start."""
        shapes = {name: self._facts["inputs"][f"state_{name}"] for name in self._facts["states"]}
        return {name: np.zeros(fact["shape"], fact["type"]) for name, fact in shapes.items()}

    def run(self, given: Mapping[str, NDArray[Any]], state: Arrays | None = None) -> Arrays:
        """Outputs by name, but the next state, which replaces ``state``.

        Raises :class:`AvatarError` if the network does not take what it is given.
        """
        states = {f"state_{name}": value for name, value in (state or {}).items()}
        try:
            computed = self._session.run(self.outputs, {**given, **states})
        except _OF_ONNX as error:
            raise AvatarError(
                f"{self._path}: {self._facts['file']} does not fit the rest ({error}); pack the avatar again"
            ) from error
        found = dict(zip(self.outputs, computed, strict=True))
        for name in state or {}:
            state[name] = found.pop(f"next_{name}")  # type: ignore[index]
        return found


class Packed:
    """A packed avatar, opened and checked."""

    def __init__(self, path: Path, threads: int) -> None:
        """Raises :class:`AvatarError` if the file is not such an avatar, or is damaged."""
        self.path = path
        try:
            with zipfile.ZipFile(path) as packed:
                self.facts: dict[str, Any] = _facts(path, packed)
                _check(path, packed, self.facts["sha256"])
                with np.load(io.BytesIO(packed.read(TABLES)), allow_pickle=False) as tables:
                    self.tables: Arrays = dict(tables)
                self._graphs = {
                    name: Graph(path, packed.read(fact["file"]), fact, threads)
                    for name, fact in self.facts["graphs"].items()
                }
        except FileNotFoundError as error:
            raise AvatarError(f"{path}: there is no such file") from error
        except OSError as error:
            raise AvatarError(f"{path}: cannot be read ({error.strerror or error})") from error
        except _DAMAGED as error:
            raise damaged(path, error) from error

    def graph(self, name: str) -> Graph:
        """The network of this name."""
        return self._graphs[name]

    def require_consent(self) -> None:
        """Raise :class:`AvatarError` if the consent of the speaker has ended."""
        if why := ended(self.facts["consent"], datetime.date.today()):
            raise AvatarError(
                f"{self.path}: consent does not hold: that of {self.facts['name']} {why}, so the avatar does not "
                "speak; delete this file, or renew the consent and pack the avatar again"
            )

    def video(self) -> io.RawIOBase:
        """The footage, as an open file that can be read from anywhere."""
        file = self.path.open("rb")
        with zipfile.ZipFile(file) as packed:
            member = packed.getinfo(VIDEO)  # it is stored, so it is a part of the file, after its own header
        file.seek(member.header_offset + 26)
        before = sum(struct.unpack("<HH", file.read(4)))  # lengths of the name and of the extra field
        start = member.header_offset + 30 + before
        return _Part(file, start, member.file_size)


def damaged(path: Path, error: Exception) -> AvatarError:
    """The error of a file that is no avatar, or is damaged."""
    why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
    return AvatarError(
        f"{path}: is not an avatar of `vast pack --format onnx`, or is damaged ({why}); pack or copy it again"
    )


class _Part(io.RawIOBase):
    """A part of an open file, as a file."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        self._file.seek(self._start + self._at)
        found = self._file.read(min(len(into), self._size - self._at))
        into[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, to: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, to + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


def _facts(path: Path, packed: zipfile.ZipFile) -> dict[str, Any]:
    if FACTS not in packed.namelist():
        if "manifest.json" in packed.namelist():
            raise AvatarError(f"{path}: is packed for vast itself; pack its run with `vast pack --format onnx`")
        raise AvatarError(f"{path}: is not an avatar: it has no {FACTS}")
    if packed.getinfo(FACTS).file_size > MOST_FACTS:
        raise AvatarError(f"{path}: refused, because its {FACTS} is larger than {MOST_FACTS} bytes")
    facts: dict[str, Any] = json.loads(packed.read(FACTS))
    if not isinstance(facts, dict):
        raise ValueError(f"{FACTS} is no mapping")
    if facts.get("format") != FORMAT:
        raise AvatarError(
            f"{path}: is of format {facts.get('format')}, where this vast-runtime reads {FORMAT}; install the newest "
            "vast-runtime, or pack the avatar with the newest vast"
        )
    check_facts(facts)
    return facts


def _check(path: Path, packed: zipfile.ZipFile, digests: Mapping[str, str]) -> None:
    """Require exactly the members that are announced, stored, with their SHA-256."""
    members = {member.filename: member for member in packed.infolist()}
    if members.keys() != {FACTS, *digests} or len(members) != len(packed.infolist()):
        raise AvatarError(f"{path}: refused, because its members are not those that its {FACTS} announces")
    for name, digest in digests.items():
        if members[name].compress_type != zipfile.ZIP_STORED:
            raise AvatarError(f"{path}: refused, because its member {name} is compressed")
        found = hashlib.sha256()
        with packed.open(name) as member:
            while block := member.read(_BLOCK):
                found.update(block)
        if found.hexdigest() != digest:
            raise AvatarError(f"{path}: refused, because the SHA-256 of {name} is another one; copy the file again")
