"""Whether the mouth of a face is visible, or covered by a hand, a mask, a microphone or something else.

The landmark network is sure of a face whose mouth is covered, and guesses the lips. But on the way it looks at the
picture in a map of features, in which a covered mouth is told from a visible one. With the mean f of the map's features
at the lips, the confidence is

    sigmoid(f w + b)

w and b are a logistic regression (our choice), which ships with the package. It was fitted to drawn faces alone, as
they are, blurred, and with painted hands, masks, microphones and cards on the mouth or beside it, by
:mod:`vast_faces.learn_mouth`. Of 471 frames of 120 recordings of real people, 0.4 % get less than 0.5, of the same
blurred 1.4 %; of them with painted covers on the mouth, 1.9 % get more (hands 0.3 %, masks none, microphones 3.2 %,
cards 5.7 %).
"""

from __future__ import annotations

import math
import struct
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vast_core.mesh import canonical_face
from vast_core.runs import read_tensors

SHIPPED = Path(__file__).with_name("mouth.safetensors")
"""The weights w (128,) and the bias b ()."""
FEATURES = 439
"""Tensor of the landmark network with the map of features (1, 4, 4, 128)."""
SECONDS = 0.6
"""Length of the running median over time; a hand that passes by does not cover the mouth."""

Floats = NDArray[np.float32]


def with_features(model: bytes) -> bytes:
    """The landmark network with the map of features in place of its third output, which we do not use.

    A list in a TensorFlow Lite file, which is a FlatBuffer, says which tensors of the graph are outputs.
    """
    content = bytearray(model)

    def field(table: int, number: int) -> int:
        fields: int = table - struct.unpack_from("<i", content, table)[0]
        return _follow(content, table + struct.unpack_from("<H", content, fields + 4 + 2 * number)[0])

    graphs = field(_follow(content, 0), 2)
    outputs = field(_follow(content, graphs + 4), 2)
    struct.pack_into("<i", content, outputs + 4 + 4 * 2, FEATURES)
    return bytes(content)


def _follow(content: bytearray, at: int) -> int:
    """The place to which the offset at ``at`` leads."""
    return at + int(struct.unpack_from("<I", content, at)[0])


def at_lips(features: Floats, points: Floats, size: int) -> Floats:
    """Mean (K,) at the lips of the map of features (N, N, K) of a square crop of ``size`` pixels, by the points (478, 2
    or more) in the crop."""
    cells = len(features)
    at = np.clip(points[canonical_face().lips, :2] * (cells / size) - 0.5, 0, cells - 1.001)
    first = at.astype(int)
    (x, y), (right, down) = first.T, (at - first).T[..., None]
    upper = features[y, x] * (1 - right) + features[y, x + 1] * right
    lower = features[y + 1, x] * (1 - right) + features[y + 1, x + 1] * right
    return np.asarray((upper * (1 - down) + lower * down).mean(0), np.float32)


def confidence(features: Floats) -> float:
    """How sure it is, in [0, 1], that the mouth is visible, by its features (K,)."""
    weights, bias = _regression()
    logit = float(features @ weights) + bias
    return 1 / (1 + math.exp(-min(max(logit, -60.0), 60.0)))


@cache
def _regression() -> tuple[Floats, float]:
    tensors, _ = read_tensors(SHIPPED)
    return tensors["weights"].float().numpy(), float(tensors["bias"])


def over_time(found: Floats, fps: float) -> Floats:
    """The running median (T,) of confidences (T,)."""
    reach = round(SECONDS * fps / 2)
    padded = np.pad(found, reach, mode="reflect")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1), axis=-1).astype(np.float32)
