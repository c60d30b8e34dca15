"""The canonical face: the mesh that the first-party face component and the synthetic corpus share.

Geometry, texture coordinates and alignment weights are MediaPipe's (Apache-2.0, see ``NOTICE``), read out of
``face_landmarker.task`` by ``python -m vast_faces.extract``. The rings of lips, eyes and face oval are those of
MediaPipe's face mesh. Left and right are those of the person shown: the left eye is at the image's right, x > 0.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Indices = NDArray[np.int64]

_FILE = Path(__file__).with_name("canonical.safetensors")

# Each ring runs along the mesh's edges and closes on its first vertex.
_LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)

_LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)

_EYE_RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)

_EYE_LEFT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)

_BROW_RIGHT = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)

_BROW_LEFT = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)

_OVAL_LEFT = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)

_OVAL_RIGHT = (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)


@attrs.frozen(kw_only=True, eq=False)
class CanonicalFace:
    """A neutral face; x to the image's right, y up, z toward the viewer, in centimetres. All arrays are read-only."""

    vertices: NDArray[np.float32]
    """(V, 3), V = 468."""
    uv: NDArray[np.float32]
    """(V, 2) in [0, 1]: column over width and row over height of the texture, (0, 0) at its upper left."""
    triangles: Indices
    """(F, 3), F = 852, counter-clockwise for the viewer, without the fillers."""
    fillers: Indices
    """(46, 3): 18 triangles over the mouth, then 28 over the eyes. If drawn, they would cover an open mouth."""
    alignment_index: Indices
    """(33,): vertices that hardly move with the expression."""
    alignment_weight: NDArray[np.float32]
    """(33,): weight of each of them in a rigid alignment."""
    mirror: Indices
    """(V,): mirror image of each vertex across the plane x = 0; a vertex on the plane is its own."""

    lips_outer: Indices
    """(20,): ring around the red of the lips, from the right corner along the lower lip to the left and back."""
    lips_inner: Indices
    """(20,): ring around the opening, in the same order."""
    lips: Indices
    """(40,): both rings."""
    eye_left: Indices
    """(16,): ring of the lids, from the outer corner along the lower lid."""
    eye_right: Indices
    """(16,): its mirror image."""
    brows: Indices
    """(20,): right brow, then left."""
    face_oval: Indices
    """(36,): the mesh's rim, from the top of the forehead by the left."""
    upper_face: Indices
    """Brows, lids and forehead with the temples; no nose."""
    lower_face: Indices
    """Mouth, chin, jaw and the cheeks below the nose."""
    inner_lip_pair: Indices
    """(2,): the middle of the inner edge of the upper lip and of the lower."""
    eye_corners: Indices
    """(2,): the outer corners of the right eye and of the left."""


@cache
def canonical_face() -> CanonicalFace:
    """The canonical face, read once."""
    tensors = load_file(_FILE)
    vertices = tensors["vertices"].astype(np.float32)
    inside_mouth, inside_eyes = (
        np.logical_or.reduce([np.isin(tensors["triangles"], ring).all(1) for ring in rings])
        for rings in ((_LIPS_INNER,), (_EYE_LEFT, _EYE_RIGHT))
    )
    triangles = tensors["triangles"].astype(np.int64)
    x, y = vertices[:, 0], vertices[:, 1]
    nose = (np.abs(x) < 1.2) & (y < 3.4)
    arrays = {
        "vertices": vertices,
        "uv": tensors["uv"].astype(np.float32),
        "triangles": triangles[~inside_mouth & ~inside_eyes],
        "fillers": np.concatenate([triangles[inside_mouth], triangles[inside_eyes]]),
        "alignment_index": tensors["alignment_index"].astype(np.int64),
        "alignment_weight": tensors["alignment_weight"].astype(np.float32),
        "mirror": _partners(vertices),
        "upper_face": np.flatnonzero((y > 1.4) & ~nose),  # from the pouch under the lower lid upward
        "lower_face": np.flatnonzero(y < -2.1),  # from just below the nose downward
    }
    rings = {
        "lips_outer": _LIPS_OUTER,
        "lips_inner": _LIPS_INNER,
        "lips": _LIPS_OUTER + _LIPS_INNER,
        "eye_left": _EYE_LEFT,
        "eye_right": _EYE_RIGHT,
        "brows": _BROW_RIGHT + _BROW_LEFT,
        "face_oval": _OVAL_LEFT + _OVAL_RIGHT,
        "inner_lip_pair": (13, 14),
        "eye_corners": (33, 263),
    }
    arrays |= {name: np.array(ring, np.int64) for name, ring in rings.items()}
    for array in arrays.values():
        array.setflags(write=False)
    return CanonicalFace(**arrays)


def _partners(vertices: NDArray[np.float32]) -> Indices:
    """Nearest vertex to each vertex's mirror image (exact: the mesh is symmetric to the last digit)."""
    mirrored = vertices * np.array([-1, 1, 1], np.float32)
    partners: Indices = np.square(mirrored[:, None] - vertices).sum(-1).argmin(1)
    return partners
