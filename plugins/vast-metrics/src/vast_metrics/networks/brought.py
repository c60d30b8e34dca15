"""Networks that users bring as ONNX files: found, opened, and checked before their first use.

An ONNX file holds tensors and a graph of known operations, and runs no code of its own. No such network is distributed
or downloaded here: their licences differ, and which one is used is the user's decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.errors import NotComputed, WeightsError
from vast_core.interfaces import Sizes
from vast_core.runs import find_file

Singles = NDArray[np.float32]


@attrs.frozen(kw_only=True)
class Brought:
    """A kind of network."""

    what: str
    """What it is, and an example with its licence."""
    file: str
    """Name under which it is found."""
    axes: tuple[int | None, ...]
    """Shape of its input; None where any length is accepted."""
    says: str
    """Axes of its input and output, in words."""

    def files(self, path: Path | None) -> list[Path]:
        """The file that :meth:`open` reads; empty if it would find none."""
        try:
            return [find_file((self.file,), path, self.what, "")]
        except WeightsError:
            return []

    def open(self, path: Path | None) -> Network:
        """The network in ``path`` (a file or folder), ``VAST_WEIGHTS`` or the cache.

        Raises :class:`vast_core.errors.NotComputed`, with what to bring, if no path is given and there is no file, and
        :class:`vast_core.errors.WeightsError` if the path has none, or the file is no such network.
        """
        try:
            file = find_file((self.file,), path, self.what, f"Bring one as ONNX: {self.says}.\n")
        except WeightsError as error:
            if path is None:
                raise NotComputed(
                    f"{self.file} is missing: the README of vast-metrics says which network it is\n{error}"
                ) from error
            raise
        return Network.read(file, self)


@attrs.frozen(eq=False)
class Network:
    """A network from one array to another."""

    file: Path
    session: Any
    shape: tuple[int | None, ...]
    """Of its input; None for a length that is free."""

    @classmethod
    def read(cls, file: Path, kind: Brought) -> Network:
        """Open it; raises WeightsError if it is damaged, or its input has other axes."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common class of errors
            raise WeightsError(f"{file}: not an ONNX file, or damaged ({error}); get it again") from error
        inputs = session.get_inputs()
        shape = tuple(side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape)
        fits = len(shape) == len(kind.axes) and all(
            own is None or wanted is None or own == wanted for own, wanted in zip(shape, kind.axes, strict=True)
        )
        if len(inputs) != 1 or not fits:
            given = "; ".join(f"{one.name} {one.shape}" for one in inputs)
            raise WeightsError(f"{file}: its input is {given}, but {kind.what} takes one: {kind.says}")
        return cls(file, session, shape)

    def __call__(self, batch: Singles) -> Singles:
        """Its first output for a batch. Raises WeightsError if it cannot run, or gives something not finite."""
        try:
            (found, *_) = self.session.run(None, {self.session.get_inputs()[0].name: batch.astype(np.float32)})
        except Exception as error:  # as above
            raise WeightsError(f"{self.file}: it cannot run on an input {batch.shape}: {error}") from error
        result = np.asarray(found, np.float32)
        if not np.isfinite(result).all():
            raise WeightsError(f"{self.file}: its output is not finite")
        return result

    def each(self, batch: Singles, most: int) -> Singles:
        """The outputs of all rows, at most ``most`` at a time, or as many as the file was made for."""
        size = self.shape[0] or most
        rows: list[Singles] = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            missing = (self.shape[0] or len(part)) - len(part)
            filled = np.concatenate([part, np.repeat(part[-1:], missing, 0)]) if missing else part
            rows.append(self(filled)[: len(part)])
        return np.concatenate(rows)


class ByNetwork:
    """What metrics by such a network have in common; their options have ``weights``."""

    needs: ClassVar[Literal["vertices", "frames"]] = "frames"
    brought: ClassVar[Brought]

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self:
        """Build; the network is opened on first use."""
        return cls(config)

    @classmethod
    def files(cls, config: Any) -> list[Path]:
        """The network, if it is found."""
        return cls.brought.files(config.weights)

    @cached_property
    def network(self) -> Network:
        """The user's network."""
        return self.brought.open(self.config.weights)


def cosine(one: Singles, other: Singles) -> float:
    """Mean cosine of rows (..., D)."""
    a, b = (side.reshape(-1, side.shape[-1]).astype(np.float64) for side in (one, other))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).mean())


def standardised(pictures: Singles, mean: Sequence[float], deviation: Sequence[float]) -> Singles:
    """Pictures (N, C, Y, X) in [0, 1] with ``mean`` subtracted and divided by ``deviation``."""
    shape = (1, -1, 1, 1)
    return np.asarray((pictures - np.reshape(mean, shape)) / np.reshape(deviation, shape), np.float32)
