"""Learn w and b of :mod:`vast_faces.mouth` from drawn faces: ``python -m vast_faces.learn_mouth OUT``.

This is how ``mouth.safetensors`` was made. Faces are those of the synthetic corpus, as they are, blurred, and with a
painted hand, mask, microphone or card on the mouth or beside it. No footage is needed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.mesh import canonical_face
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runs import save_weights

from .tracker import Floats, Landmarker, region_of
from .weights import landmarker_bytes

Picture = NDArray[np.uint8]

SIZES = (256, 384)
"""Sizes of the pictures, in pixels."""
CLIPS, FRAMES = 30, (7, 26)
"""Clips of each size, and frames of a clip, that are looked at."""
BLURS = (1.0, 2.5, 5.0)
"""Deviations of the blur, for a face's region of 400 pixels."""
COVERED, CLEAR = 0.6, 0.12
"""Shares of the lips' points under a cover from which a mouth counts as covered, and up to which as visible."""
PENALTY = 300.0
"""Ridge penalty on standardised features."""
PLAIN = 4.0
"""Weight of a face as it is, beside 1 of blurred ones and of those with a cover."""

_SIDES = (50, 280, 117, 346, 234, 454)
_BROWS = (9, 151, 10, 105, 334)
_JAW = (132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361)
_UNDER_NOSE = (352, 280, 425, 2, 205, 50, 123)
_SKIN = (50, 280, 101, 330, 9, 151, 205, 425)
_CHIN, _BRIDGE, _RIGHT, _LEFT = 152, 168, 234, 454


class Cover:
    """Something painted over a face with the given points (478, 2 or more)."""

    def __init__(self, picture: Picture, points: Floats, rng: np.random.Generator) -> None:
        self._picture, self._points, self._rng = picture, points[:, :2], rng
        self.mask = np.zeros(picture.shape[:2], np.float32)
        self._width = float(np.linalg.norm(self._points[_LEFT] - self._points[_RIGHT]))
        down = self._points[_CHIN] - self._points[_BRIDGE]
        self._down = down / np.linalg.norm(down)
        self._across = np.array([self._down[1], -self._down[0]])
        self._lips = self._points[canonical_face().lips].mean(0)
        seen = _pixels(self._points[list(_SKIN)], picture)
        self._skin = np.median(picture[seen[:, 1], seen[:, 0]], axis=0).astype(np.float32)

    def painted(self, kind: str, where: str) -> Picture:
        """The picture with a ``hand``, ``mask``, ``microphone`` or ``card`` on the ``mouth`` or ``beside`` it."""
        rng = self._rng
        centre = self._lips + rng.normal(size=2) * 0.06 * self._width
        if where == "beside":
            away = [self._points[rng.choice(part)] for part in (_SIDES, _BROWS)]
            away.append(self._points[_CHIN] + self._down * rng.uniform(0.2, 0.45) * self._width)
            centre = away[rng.integers(3)]
        draw: dict[str, Callable[[Floats], Floats]] = {
            "hand": self._hand,
            "mask": self._mask,
            "microphone": self._microphone,
            "card": self._card,
        }
        colour = draw[kind](np.asarray(centre, np.float32))
        soft = cv2.GaussianBlur(self.mask, (0, 0), max(0.4, self._width / rng.uniform(60, 180)))[..., None]
        self.mask = soft[..., 0]
        texture = cv2.resize(rng.normal(size=(9, 9, 1)).astype(np.float32), self.mask.shape[::-1])[..., None]
        cover = colour * (1 + 0.07 * texture) + rng.normal(size=self._picture.shape) * rng.uniform(0, 5)
        return np.asarray(np.clip(self._picture * (1 - soft) + cover * soft, 0, 255), np.uint8)

    def _towards(self, angle: float) -> Floats:
        return np.asarray(self._across * math.cos(angle) + self._down * abs(math.sin(angle)), np.float32)

    def _limb(self, start: Floats, end: Floats, radius: float) -> None:
        first, last = (tuple(np.rint(16 * point).astype(int).tolist()) for point in (start, end))
        cv2.line(self.mask, first, last, 1.0, max(1, round(2 * radius)), cv2.LINE_AA, 4)

    def _hand(self, centre: Floats) -> Floats:
        rng, width = self._rng, self._width
        along = self._towards(rng.uniform(0, 2 * math.pi))
        side, radius = np.array([-along[1], along[0]]), width * rng.uniform(0.055, 0.085)
        light = np.ones((*self.mask.shape, 1), np.float32)
        for finger in range(4):
            middle = centre + side * (finger - 1.5) * 2.05 * radius
            tip, base = middle - along * width * rng.uniform(0.2, 0.42), middle + along * width * 0.4
            self._limb(tip, base, radius)
            start, stop = (tuple(np.rint(point + side * radius).astype(int).tolist()) for point in (tip, base))
            cv2.line(light, start, stop, rng.uniform(0.6, 0.9), max(1, round(radius / 3)))
        self._limb(centre + along * width * 0.5, centre + along * width * 1.6, 3.8 * radius)
        tone = self._skin * rng.uniform(0.65, 1.35) * np.array([1, rng.uniform(0.92, 1.05), rng.uniform(0.9, 1.05)])
        return np.asarray(tone * cv2.GaussianBlur(light, (0, 0), max(0.5, radius / 5))[..., None], np.float32)

    def _mask(self, centre: Floats) -> Floats:
        rng = self._rng
        jaw, top = self._points[list(_JAW)], self._points[list(_UNDER_NOSE)]
        shape = np.concatenate([jaw + 0.06 * (jaw - self._lips), top])
        cv2.fillPoly(self.mask, [np.rint(shape).astype(np.int32)], 1.0, cv2.LINE_AA)
        colours = [(170, 205, 225), (235, 235, 235), (25, 25, 28), (90, 120, 160), rng.integers(0, 255, 3), self._skin]
        rows, columns = np.indices(self.mask.shape)
        height = ((columns - centre[0]) * self._down[0] + (rows - centre[1]) * self._down[1]) / self._width
        folds = 1 + rng.uniform(0, 0.1) * np.sin(height * rng.uniform(15, 40))
        return np.asarray(np.array(colours[rng.integers(6)], np.float32) * folds[..., None], np.float32)

    def _microphone(self, centre: Floats) -> Floats:
        rng, head = self._rng, self._width * self._rng.uniform(0.3, 0.6)
        along = self._towards(rng.uniform(0.3, 2.8))
        turn = math.degrees(math.atan2(along[1], along[0]))
        box = (centre.tolist(), (head * rng.uniform(1, 1.4), head), turn)
        cv2.ellipse(self.mask, box, 1.0, -1, cv2.LINE_AA)
        self._limb(centre, centre + 2 * self._width * along, 0.26 * head)
        colours = [(20, 20, 22), (60, 60, 65), (120, 120, 125), (150, 20, 25), rng.integers(0, 255, 3)]
        rows, columns = np.indices(self.mask.shape)
        grain = rng.uniform(25, 60) / self._width
        grid = 1 + rng.uniform(0, 0.35) * np.sin(columns * grain) * np.sin(rows * grain)
        from_light = np.square(columns - centre[0] + head / 5) + np.square(rows - centre[1] + head / 5)
        shine = rng.uniform(0, 0.8) * np.exp(-from_light / (0.35 * head) ** 2)
        return np.asarray(np.array(colours[rng.integers(5)], np.float32) * (grid + shine)[..., None], np.float32)

    def _card(self, centre: Floats) -> Floats:
        rng = self._rng
        size = self._width * rng.uniform(0.4, 0.9, 2)
        corners = cv2.boxPoints((centre.tolist(), size.tolist(), rng.normal() * 20))
        cv2.fillPoly(self.mask, [np.rint(corners).astype(np.int32)], 1.0, cv2.LINE_AA)
        if rng.random() < 0.5:
            return np.asarray(np.broadcast_to(rng.integers(0, 255, 3), self._picture.shape), np.float32)
        return np.asarray(np.roll(self._picture, rng.integers(20, 200, 2).tolist(), (0, 1)), np.float32)


def looks(landmarker: Landmarker, picture: Picture, rng: np.random.Generator) -> Iterator[tuple[Floats, bool, float]]:
    """Features (K,) of a face as it is, blurred and covered, with whether its mouth is covered, and a weight."""
    faces = landmarker.detect(picture, 0.5)
    if not faces:
        return
    region = max(faces, key=lambda face: face.width).region
    for _ in range(3):
        seen = landmarker.landmarks(picture, region)
        if seen.presence < 0.5:
            return
        region = region_of(seen.points)
    yield seen.features, False, PLAIN
    for blur in BLURS:
        yield (
            landmarker.landmarks(cv2.GaussianBlur(picture, (0, 0), blur * region.side / 400), region).features,
            False,
            1.0,
        )
    kinds = ["hand", "hand", "mask", "microphone", "card"]
    for kind, where in [
        *((kind, "mouth") for kind in kinds),
        ("hand", "beside"),
        (kinds[rng.integers(1, 5)], "beside"),
    ]:
        cover = Cover(picture, seen.points, rng)
        painted = cover.painted(kind, "mouth" if kind == "mask" else where)
        lips = np.clip(
            np.rint(seen.points[canonical_face().lips, :2]).astype(int), 0, np.array(picture.shape[1::-1]) - 1
        )
        share = float(cover.mask[lips[:, 1], lips[:, 0]].mean())
        found = landmarker.landmarks(painted, region)
        if found.presence >= 0.5 and not CLEAR < share < COVERED:
            yield found.features, share >= COVERED, 1.0


def _pixels(points: Floats, picture: Picture) -> NDArray[np.int64]:
    """Columns and rows (N, 2) of points (N, 2 or more), within the picture."""
    return np.clip(np.rint(points[:, :2]).astype(np.int64), 0, np.array(picture.shape[1::-1]) - 1)


def logistic_regression(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Weights (K,) and bias of P(y = 1) with features x (N, K), by Newton's method with a ridge penalty."""
    centre, scale = x.mean(0), x.std(0) + 1e-6
    rows = np.concatenate([(x - centre) / scale, np.ones((len(x), 1))], axis=1)
    ridge = np.diag([*[PENALTY] * x.shape[1], 1e-6])
    found = np.zeros(rows.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        curvature = (rows * (weight * chance * (1 - chance) + 1e-6)[:, None]).T @ rows + ridge
        found -= np.linalg.solve(curvature, rows.T @ (weight * (chance - y)) + ridge @ found)
    return found[:-1] / scale, float(found[-1] - centre / scale @ found[:-1])


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m vast_faces.learn_mouth", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the safetensors file to write")
    arguments = parser.parse_args()
    registry, rng = Registry.discover(plugins=True), np.random.default_rng(0)
    landmarker = Landmarker(landmarker_bytes())
    found: list[tuple[Floats, bool, float]] = []
    for size in SIZES:
        use = f"corpus={{use: synthetic, speakers: 8, styles: 60, sentences: 1, avatar_seconds: 0, image: {size}}}"
        corpus = assemble(load_recipe("vast_default", registry, [use], parts=("corpus",)), registry).corpus
        clips = [clip for clip in corpus.clips() if clip.split != "held_out"]
        for number in rng.permutation(len(clips))[:CLIPS]:
            for at, picture in enumerate(clips[number].footage.frames()):
                if at in FRAMES:
                    found += looks(landmarker, picture, rng)
    features, covered, weight = (np.array(part, np.float64) for part in zip(*found, strict=True))
    weights, bias = logistic_regression(features, 1 - covered, weight)
    tensors = {"weights": torch.from_numpy(weights).float(), "bias": torch.tensor(bias).float()}
    save_weights(arguments.out, tensors, {"source": "drawn faces with painted covers"})


if __name__ == "__main__":
    main()
