"""The networks of the face landmarker on single pictures, run by LiteRT.

Detector, landmark network and expression network of MediaPipe's ``face_landmarker.task`` (Bazarevsky et al. 2019,
BlazeFace; Kartynnik et al. 2019), with crops between them as in MediaPipe. Points are in OpenCV's pixel coordinates:
(0, 0) is the centre of the upper left pixel.
"""

from __future__ import annotations

import math
import zipfile
from io import BytesIO
from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from .mouth import at_lips, confidence, with_features

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

DETECTOR_SIZE = 128
LANDMARK_SIZE = 256
POINTS = 478
"""Points of the landmark network: 468 of the mesh, then ten on the irises."""
MARGIN = 1.5
"""Side of the crop of the landmark network, divided by the extent of the face (MediaPipe's choice)."""
SCORES = 52
"""Expression scores of a face, in the order of the network: its first is ``_neutral``, its second ``browDownLeft``."""
RIGHT_EYE, LEFT_EYE = 33, 263
"""Outer eye corners, which determine the angle of the crop."""


@attrs.frozen
class Region:
    """A square crop around a face, rotated with it."""

    x: float
    y: float
    """Its centre, in pixels."""
    side: float
    """Side in pixels."""
    angle: float
    """Radians, clockwise in the picture."""


@attrs.frozen(eq=False)
class Detection:
    """One face found by the detector."""

    region: Region
    width: float
    """Width of the face in pixels."""
    score: float


@attrs.frozen(eq=False)
class Look:
    """What the landmark network sees."""

    points: Floats
    """(478, 3) in the image frame, z in the scale of x."""
    presence: float
    """Confidence that there is a face."""
    mouth: float
    """Confidence that its mouth is visible (:mod:`vast_faces.mouth`)."""
    features: Floats
    """(K,): what the network has seen at the lips."""


# The points that the expression network reads, in its order: MediaPipe's kLandmarksSubsetIdxs.
_SCORED = np.array(
    [
        *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70),
        *(78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149),
        *(150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195),
        *(197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300),
        *(308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375),
        *(377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454),
        *(466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477),
    ]
)


class _Network:
    """One LiteRT graph with one input."""

    def __init__(self, model: bytes, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(model_content=model, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._outputs: list[int] = [output["index"] for output in self._interpreter.get_output_details()]

    def __call__(self, given: Floats) -> list[Floats]:
        """Outputs for one input without its batch axis, such as an image (Y, X, 3)."""
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(given[None], np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output) for output in self._outputs]


class Landmarker:
    """Finds faces in a picture, and 478 points on each face."""

    def __init__(self, task: bytes, threads: int = 1) -> None:
        """Load the networks; ``task`` is the content of ``face_landmarker.task``."""
        with zipfile.ZipFile(BytesIO(task)) as archive:
            self._detector = _Network(archive.read("face_detector.tflite"), threads)
            self._landmarks = _Network(with_features(archive.read("face_landmarks_detector.tflite")), threads)
            self._scores = _Network(archive.read("face_blendshapes.tflite"), 1)
        self._anchors = _anchors()

    def detect(self, image: Image, confidence: float = 0.5) -> list[Detection]:
        """Faces in ``image`` (Y, X, 3), RGB, the widest first."""
        height, width = image.shape[:2]
        scale = DETECTOR_SIZE / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        left, top = (DETECTOR_SIZE - size[0]) // 2, (DETECTOR_SIZE - size[1]) // 2
        square = np.full((DETECTOR_SIZE, DETECTOR_SIZE, 3), -1, np.float32)
        square[top : top + size[1], left : left + size[0]] = small.astype(np.float32) / 127.5 - 1

        boxes, logits = self._detector(square)
        scores = (1 / (1 + np.exp(-np.clip(logits[0, :, 0], -80, 80)))).astype(np.float32)
        likely = scores >= confidence
        # A row has centre and size of the box, then six points: both eyes, nose, mouth, both ears.
        found: Floats = boxes[0, likely].reshape(-1, 8, 2) / np.float32(DETECTOR_SIZE)
        anchors = self._anchors[likely]
        found[:, 0] += anchors
        found[:, 2:] += anchors[:, None]
        pixels = np.array([size[0] / width, size[1] / height]) / DETECTOR_SIZE  # detector units per image pixel
        corner = np.array([left, top]) / DETECTOR_SIZE
        detections = []
        for merged, score in _merge(found, scores[likely]):
            points = (merged - corner) / pixels - 0.5
            extent = merged[1] / pixels
            turn = points[3] - points[2]
            side = float(extent.max()) * MARGIN
            region = Region(float(points[0, 0]), float(points[0, 1]), side, math.atan2(turn[1], turn[0]))
            detections.append(Detection(region, float(extent[0]), score))
        return sorted(detections, key=lambda detection: -detection.width)

    def landmarks(self, image: Image, region: Region) -> Look:
        """What the landmark network sees in ``region``."""
        to_crop = _crop_matrix(region)
        source, shrink = _shrunk(image, region)
        matrix = to_crop @ shrink
        crop = cv2.warpAffine(
            source,
            matrix[:2],
            (LANDMARK_SIZE, LANDMARK_SIZE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        points, presence, features = self._landmarks(crop.astype(np.float32) / 255)
        logit = float(np.clip(presence.reshape(-1)[0], -80, 80))
        found = points.reshape(POINTS, 3)
        homogeneous = np.concatenate([found[:, :2] - 0.5, np.ones((POINTS, 1))], axis=1)
        plane = homogeneous @ np.linalg.inv(to_crop)[:2].T
        depth = found[:, 2:] * (region.side / LANDMARK_SIZE)
        features = at_lips(features[0], found, LANDMARK_SIZE)
        return Look(
            points=np.concatenate([plane, depth], axis=1).astype(np.float32),
            presence=1 / (1 + math.exp(-logit)),
            mouth=confidence(features),
            features=features,
        )

    def scores(self, points: Floats) -> Floats:
        """Expression scores (52,), in [0, 1], of points (478, 3): how strongly each of MediaPipe's blendshapes is seen.

        The network reads 146 of the points and no picture, and tells expression from the proportions of the face.
        """
        (found,) = self._scores(points[_SCORED, :2])
        return found.reshape(SCORES)


def region_of(points: Floats) -> Region:
    """The crop for the next frame around these points (478, 3)."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    turn = points[LEFT_EYE, :2] - points[RIGHT_EYE, :2]
    centre = (low + high) / 2
    side = float((high - low).max()) * MARGIN
    return Region(float(centre[0]), float(centre[1]), side, math.atan2(turn[1], turn[0]))


def _crop_matrix(region: Region) -> NDArray[np.float64]:
    """(3, 3): from image pixels to pixels of the crop of the landmark network."""
    scale = LANDMARK_SIZE / region.side
    cosine, sine = scale * math.cos(region.angle), scale * math.sin(region.angle)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    # The centre of the crop is between its two middle pixels.
    matrix[:2, 2] = (LANDMARK_SIZE - 1) / 2 - linear @ [region.x, region.y]
    return matrix


def _shrunk(image: Image, region: Region) -> tuple[Image, NDArray[np.float64]]:
    """The surroundings of ``region``, reduced by an integer factor, and the matrix (3, 3) back to the image's pixels.

    A crop that skips pixels would flicker as the face moves over them. If none would be skipped, the image itself.
    """
    whole = int(region.side / LANDMARK_SIZE)
    if whole < 2:
        return image, np.eye(3)
    reach = region.side * math.sqrt(0.5) + whole
    first = [max(0, int(at - reach)) // whole * whole for at in (region.x, region.y)]
    last = [min(size, math.ceil(at + reach)) for at, size in zip((region.x, region.y), image.shape[1::-1], strict=True)]
    cells = [(end - start) // whole for start, end in zip(first, last, strict=True)]
    if min(cells) < 1:
        return image, np.eye(3)
    (left, top), (columns, rows) = first, cells
    part = image[top : top + rows * whole, left : left + columns * whole]
    matrix = np.eye(3)
    matrix[0, 0] = matrix[1, 1] = whole
    matrix[:2, 2] = np.array([left, top]) + (whole - 1) / 2
    return np.asarray(cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8), matrix


def _anchors() -> Floats:
    """Centres (896, 2) of the detector's anchors: two on a grid of 16 x 16, six on one of 8 x 8."""
    grids = []
    for cells, repeats in ((16, 2), (8, 6)):
        y, x = np.divmod(np.arange(cells * cells), cells)
        grids.append(np.repeat((np.stack([x, y], 1) + 0.5) / cells, repeats, axis=0))
    return np.concatenate(grids).astype(np.float32)


def _merge(found: Floats, scores: Floats, overlap: float = 0.3) -> list[tuple[Floats, float]]:
    """Weighted non-maximum suppression: averages all boxes that overlap with the best one, then continues with the
    rest."""
    low, high = found[:, 0] - found[:, 1] / 2, found[:, 0] + found[:, 1] / 2
    areas = (high - low).prod(1)
    left = np.ones(len(found), bool)
    merged = []
    while left.any():
        best = int(np.where(left, scores, -1).argmax())
        common = np.clip(np.minimum(high, high[best]) - np.maximum(low, low[best]), 0, None).prod(1)
        same = left & (common > overlap * (areas + areas[best] - common))
        same[best] = True
        weight = scores[same] / scores[same].sum()
        merged.append((np.einsum("n,nkc->kc", weight, found[same]), float(scores[best])))
        left &= ~same
    return merged
