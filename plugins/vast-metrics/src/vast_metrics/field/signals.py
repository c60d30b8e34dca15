"""The signals of which the measures are made: angles of the head, loudness, pauses and speech."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.errors import NotComputed
from vast_core.interfaces import SAMPLE_RATE, Performance

from ..silence import quiet_frames

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

FPS = 25.0
"""Frames per second of the mended forms."""
BELOW = 30.0
"""Level below that of speech, in dB, at which a frame is quiet: THEval's detector is a network."""
PAUSE, GAP = 0.3, 0.1
"""Seconds of quiet from which it is a pause, and from which it is no speech."""
WINDOW = 0.05
"""Seconds of a window of loudness."""


def sound(performance: Performance) -> NDArray[np.float64]:
    """The wave (S,). Raises NotComputed if there is none."""
    if performance.wave is None:
        raise NotComputed("the clip has no sound")
    return np.asarray(performance.wave.detach().to("cpu", torch.float64).numpy())


def angles(performance: Performance) -> Doubles:
    """Pitch, yaw and roll (T, 3) of the head in degrees, 0 for a head that faces the camera upright.

    R = Rz(roll) Ry(yaw) Rx(pitch), with R the rotation nearest to the pose's linear part (polar decomposition), from
    canonical axes to the image's, there also with y up and z toward the viewer. Each is continuous over time. Raises
    NotComputed without a pose.
    """
    if performance.pose is None:
        raise NotComputed("the head pose is not known")
    u, _, v = np.linalg.svd(performance.pose[:, :, :3].detach().to("cpu", torch.float64).numpy())
    turn = np.diag([1.0, -1.0, -1.0]) @ u @ v
    pitch = np.arctan2(turn[:, 2, 1], turn[:, 2, 2])
    yaw = np.arcsin(np.clip(-turn[:, 2, 0], -1, 1))
    roll = np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    return np.asarray(np.degrees(np.unwrap(np.stack([pitch, yaw, roll], 1), axis=0)))


def loudness(wave: Doubles, frames: int, fps: float) -> Doubles:
    """Root mean square (T,) of windows of 50 ms around every 50th millisecond, interpolated at the frames' times."""
    size = round(WINDOW * SAMPLE_RATE)
    padded = np.pad(wave, (size // 2, size))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::size]
    levels = np.sqrt(np.square(windows).mean(1))
    return np.asarray(np.interp(np.arange(frames) / fps, np.arange(len(levels)) * WINDOW, levels))


def pauses(wave: Doubles, frames: int, fps: float) -> Mask:
    """Frames (T,) in at least :data:`PAUSE` of quiet."""
    return _long(_quiet(wave, frames, fps), PAUSE * fps)


def speech(wave: Doubles, frames: int, fps: float) -> Mask:
    """Frames (T,) outside quiet of at least :data:`GAP`."""
    return ~_long(_quiet(wave, frames, fps), GAP * fps)


def at_rate(values: Doubles, fps: float, rate: float = FPS) -> Doubles:
    """Values (T, ...) at ``fps``, interpolated at ``rate``."""
    if fps == rate:
        return values
    wanted = np.arange(int((len(values) - 1) / fps * rate + 1e-9) + 1) / rate * fps
    low = np.minimum(wanted.astype(int), max(0, len(values) - 2))
    share = (wanted - low).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(values[low] * (1 - share) + values[np.minimum(low + 1, len(values) - 1)] * share)


def _quiet(wave: Doubles, frames: int, fps: float) -> Mask:
    return np.asarray(quiet_frames(torch.from_numpy(wave), frames, fps, BELOW).numpy())


def _long(quiet: Mask, least: float) -> Mask:
    """The runs of True (T,) of at least ``least`` frames."""
    kept = np.zeros_like(quiet)
    edges = [0, *(np.flatnonzero(np.diff(quiet)) + 1), len(quiet)]
    for start, stop in pairwise(edges):
        kept[start:stop] = quiet[start] and stop - start >= least - 1e-9
    return kept
