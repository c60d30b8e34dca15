"""Learn W and s0 of :mod:`vast_faces.neutral` on a corpus of true tracks: ``python -m vast_faces.learn_neutral OUT``.

This is how ``neutral.safetensors`` was made, from the synthetic corpus of ``vast_default`` alone. The expression
network reads points and no picture, so no pictures are drawn. The mesh has no irises: they are placed in the middle of
the open eye, looking ahead.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.interfaces import FaceTrack
from vast_core.mesh import canonical_face
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runs import save_weights

from .alignment import unplace
from .neutral import Reading, ReadingMoments
from .tracker import Floats, Landmarker
from .weights import landmarker_bytes

IRIS = 0.23
"""Radius of an iris, divided by the width of the eye."""
IRIS_HEIGHT = 0.07
"""Height of its centre above the mean of the lid points, divided by the width of the eye."""
EVERY = 2
"""Frames from which one is taken."""


def with_irises(vertices: NDArray[np.float64]) -> Floats:
    """Points (T, 478, 3), in pixels, of the mesh's vertices (T, 468, 3): the vertices, then five of each iris."""
    face = canonical_face()
    rings = []
    for lids in (face.eye_right, face.eye_left):
        eye = vertices[:, lids]
        width = np.ptp(eye[:, :, 0], axis=1)[:, None]
        centre = eye.mean(1) - IRIS_HEIGHT * width * [0, 1, 0]
        around = [[0, 0, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0]]
        rings.append(np.stack([centre + IRIS * width * np.array(step) for step in around], axis=1))
    return np.concatenate([vertices, *rings], axis=1).astype(np.float32)


def learned(tracks: list[tuple[str, FaceTrack]], landmarker: Landmarker) -> Reading:
    """W and s0 of tracks, each with its speaker.

    A speaker's clips count as one, because all of them have one true shape: so lasting expressions are learned from,
    too.
    """
    shapes: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    scores: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for speaker, track in tracks:
        vertices = track.vertices[::EVERY].astype(np.float64)
        shapes[speaker].append(unplace(vertices, track.pose[::EVERY]))
        seen = np.stack([landmarker.scores(points) for points in with_irises(vertices)])
        scores[speaker].append(seen.astype(np.float64))
    moments = ReadingMoments()
    for speaker in shapes:
        moments.add(speaker, np.concatenate(shapes[speaker]), np.concatenate(scores[speaker]))
    return moments.reading(None)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m vast_faces.learn_neutral", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the safetensors file to write")
    parser.add_argument("--recipe", default="vast_default", help="its corpus gives the tracks (default: vast_default)")
    arguments = parser.parse_args()
    registry = Registry.discover(plugins=True)
    corpus = assemble(load_recipe(arguments.recipe, registry, parts=("corpus",)), registry).corpus
    clips = [clip for clip in corpus.clips() if clip.split != "held_out"]
    tracks = [(clip.speaker, track) for clip in clips if (track := clip.track) is not None]
    reading = learned(tracks, Landmarker(landmarker_bytes()))
    tensors = {"weights": reading.weights, "usual": reading.usual}
    header = {"source": f"the true tracks of the corpus of {arguments.recipe}", "people": len({s for s, _ in tracks})}
    save_weights(arguments.out, {name: torch.from_numpy(array).half() for name, array in tensors.items()}, header)


if __name__ == "__main__":
    main()
