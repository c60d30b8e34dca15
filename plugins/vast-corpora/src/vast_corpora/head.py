"""The parametric head: displacements of the canonical face by controls, and face shapes of speakers.

A control prescribes displacements of a few vertices, its handles; the skin between them and the fixed vertices follows
as a thin plate, the minimum of |L u|^2 with the mesh's Laplacian L (Botsch & Kobbelt 2004, "An intuitive framework for
real-time freeform modeling"). The mesh is open at the mouth and the eyes, so upper and lower lip move apart. All
amplitudes are our choice, in centimetres of the canonical face.
"""

from __future__ import annotations

from functools import cache

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.mesh import CanonicalFace, canonical_face

from .articulation import Curves

Array = NDArray[np.float64]

JAW_AXIS = np.array([0.0, 0.2, -2.0])
"""A point on the rotation axis of the jaw, which is parallel to x."""
JAW_ANGLE = np.radians(13.0)
"""Rotation of the jaw at control 1, in radians."""

_UPPER = np.array([191, 80, 81, 82, 13, 312, 311, 310, 415])
_LOWER = np.array([95, 88, 178, 87, 14, 317, 402, 318, 324])
"""Inner edges of the lips from the speaker's right to left, without the corners; both in the same order."""
_LIP_RINGS_UPPER = np.array(
    [
        [185, 40, 39, 37, 0, 267, 269, 270, 409],
        [184, 74, 73, 72, 11, 302, 303, 304, 408],
        [183, 42, 41, 38, 12, 268, 271, 272, 407],
        [191, 80, 81, 82, 13, 312, 311, 310, 415],
    ]
)
_LIP_RINGS_LOWER = np.array(
    [
        [146, 91, 181, 84, 17, 314, 405, 321, 375],
        [77, 90, 180, 85, 16, 315, 404, 320, 307],
        [96, 89, 179, 86, 15, 316, 403, 319, 325],
        [95, 88, 178, 87, 14, 317, 402, 318, 324],
    ]
)
"""The red of the lips, from the outer ring to the inner."""
_CORNERS_RIGHT = np.array([61, 76, 62, 78])
_CORNERS_LEFT = np.array([291, 306, 292, 308])
_LID_UPPER_RIGHT = np.array([246, 161, 160, 159, 158, 157, 173])
_LID_LOWER_RIGHT = np.array([7, 163, 144, 145, 153, 154, 155])
_LID_CREASE_RIGHT = np.array([247, 30, 29, 27, 28, 56, 190])
_BROW_RIGHT = np.array([46, 53, 52, 65, 55, 70, 63, 105, 66, 107])
_CHEEK_RIGHT = np.array([50, 205, 36])
_CHIN = np.array([152, 175, 199, 200, 18, 148, 377, 171, 396, 208, 428])
_NOSE = np.array([1, 2, 4, 5, 6, 19, 94, 98, 327, 168, 195, 197, 48, 278, 64, 294])


def _laplacian(count: int, triangles: NDArray[np.int64]) -> Array:
    """Graph Laplacian (V, V) of the mesh's edges: each row is the vertex minus the mean of its neighbours."""
    adjacent = np.zeros((count, count))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        adjacent[triangles[:, a], triangles[:, b]] = 1.0
        adjacent[triangles[:, b], triangles[:, a]] = 1.0
    laplacian: Array = np.eye(count) - adjacent / adjacent.sum(axis=1, keepdims=True)
    return laplacian


class _Plate:
    """The canonical face as a thin plate bent by handles."""

    def __init__(self, face: CanonicalFace) -> None:
        laplacian = _laplacian(len(face.vertices), face.triangles)
        # A little membrane energy keeps distant free vertices from overshooting.
        self.energy = laplacian.T @ laplacian + 0.02 * (laplacian + laplacian.T) / 2

    def bend(self, handles: NDArray[np.int64], values: Array, still: NDArray[np.int64]) -> Array:
        """Displacement (V, n): ``values`` (handles, n) at ``handles``, 0 at ``still``, smooth between."""
        still = np.setdiff1d(still, handles)
        fixed = np.concatenate([handles, still])
        known = np.concatenate([values, np.zeros((len(still), values.shape[1]))])
        free = np.setdiff1d(np.arange(len(self.energy)), fixed)
        result = np.zeros((len(self.energy), values.shape[1]))
        result[fixed] = known
        result[free] = np.linalg.solve(self.energy[np.ix_(free, free)], -self.energy[np.ix_(free, fixed)] @ known)
        return result


@attrs.frozen(kw_only=True, eq=False)
class Rig:
    """Motion common to all heads, whatever their shape."""

    fields: dict[str, Array]
    """Displacement (V, 3) at control 1, for each control with a linear effect."""
    jaw: Array
    """(V,): share of the jaw's rotation that each vertex follows."""
    upper_seal: Array
    """(V, 9): share of the motion of each point on the inner edge of the upper lip."""
    lower_seal: Array
    """(V, 9): the same for the lower lip."""


@cache
def rig() -> Rig:
    """The rig of the canonical face, solved once."""
    face = canonical_face()
    plate = _Plate(face)
    rest = face.vertices.astype(np.float64)
    x, y, _ = rest.T
    everywhere = np.arange(len(rest))
    lips_upper, lips_lower = np.unique(_LIP_RINGS_UPPER), np.unique(_LIP_RINGS_LOWER)
    corners = np.concatenate([_CORNERS_RIGHT, _CORNERS_LEFT])
    lips = np.concatenate([lips_upper, lips_lower, corners])
    above = everywhere[(y > 0.3) | ((y > -1.5) & (np.abs(x) < 1.6))]  # eyes, brows, forehead, nose
    mouth_still = np.unique(np.concatenate([above, face.face_oval, _NOSE]))
    along = np.clip(x / 2.45, -1.0, 1.0)  # -1 at the right corner of the mouth, 1 at the left
    middle = np.maximum(1.0 - along**2, 0.0)

    def mouth(displacement: Array, handles: NDArray[np.int64] = lips) -> Array:
        return plate.bend(handles, displacement[handles], mouth_still)

    def vector(dx: Array | float, dy: Array | float, dz: Array | float) -> Array:
        return np.stack(np.broadcast_arrays(dx, dy, dz, x)[:3], axis=1).astype(np.float64)

    is_lower = np.isin(everywhere, lips_lower).astype(np.float64)
    is_upper = np.isin(everywhere, lips_upper).astype(np.float64)
    line = -4.27 + 0.0 * x  # height of the line between the lips
    outward = np.clip(np.abs(y - line) / 1.0, 0.0, 1.0)  # 0 at the inner edge, about 1 at the outer
    fields = {
        "spread": mouth(vector(0.42 * along, -0.22 * (y - line) * middle, -0.16 * along**2)),
        "round": mouth(
            vector(
                -0.92 * along,
                0.10 * (is_upper - is_lower) * middle,
                0.55 * middle + 0.32 + 0.1 * outward,
            )
        ),
        "funnel": mouth(
            vector(
                -0.45 * along,
                (0.28 * is_upper - 0.34 * is_lower) * (0.4 + 0.6 * middle),
                0.30 + 0.22 * middle + 0.12 * outward,
            )
        ),
        "raise": mouth(vector(0.0, is_upper * 0.60 * (0.25 + 0.75 * middle), 0.06 * is_upper)),
        "lower": mouth(vector(0.0, -is_lower * 0.42 * (0.25 + 0.75 * middle), 0.05 * is_lower)),
        "tuck": mouth(vector(0.0, is_upper * 0.16 * middle, -0.62 * is_lower * middle - 0.08 * is_lower)),
        "jaw": mouth(vector(-0.24 * along, 0.0, -0.05 * np.abs(along))),  # an open mouth is narrower
        "shift": mouth(vector(0.42, -0.08 * along, 0.0)),
    }

    # One corner of the mouth: the lips follow less and less toward the other side.
    toward_left = np.clip((along + 0.55) / 1.55, 0.0, 1.0) ** 1.6
    cheek_left = face.mirror[_CHEEK_RIGHT]
    smile = vector(0.55 * toward_left, 0.88 * toward_left**1.3, -0.42 * toward_left)
    smile[cheek_left] = [0.12, 0.40, 0.24]
    under_eye = face.mirror[np.array([111, 117, 118, 119])]
    smile[under_eye] = [0.02, 0.13, 0.05]
    lid_still = np.setdiff1d(mouth_still, np.concatenate([under_eye, cheek_left]))
    handles = np.concatenate([lips, cheek_left, under_eye])
    fields["smile_left"] = plate.bend(handles, smile[handles], lid_still)

    # Brow and forehead.
    brow_left = face.mirror[_BROW_RIGHT]
    inner = np.clip((5.8 - np.abs(x)) / 4.4, 0.0, 1.0)
    raised = vector(0.0, 0.58 + 0.14 * np.sin(np.pi * inner), 0.05)
    lids = np.concatenate([face.eye_left, face.eye_right])
    brow_still = np.concatenate([everywhere[(y < 2.0) | (x < -0.3) | (y > 7.6)], lids, face.face_oval])
    fields["brow_left"] = plate.bend(brow_left, raised[brow_left], brow_still)

    # The inner ends of the brows, drawn together and down, or raised; the skin between them follows.
    drawn = vector(-0.30 * inner**2, 0.10 - 0.42 * inner, 0.06 * inner)
    between = np.array([8, 9, 55, 285, 107, 336])
    frown = drawn.copy()
    frown[between] = [0.0, -0.22, 0.08]
    ridge = np.array([1, 4, 5, 195, 197])  # of the nose, which no expression moves
    centre_still = np.concatenate([everywhere[(y < 1.6) | (y > 8.2)], lids, face.face_oval, ridge])
    both_brows = np.concatenate([brow_left, _BROW_RIGHT])
    frown[_BROW_RIGHT] = frown[face.mirror[_BROW_RIGHT]] * [-1.0, 1.0, 1.0]
    fields["frown"] = plate.bend(both_brows, frown[both_brows], centre_still)
    grief = vector(-0.08 * inner, 0.50 * inner**1.5 - 0.14 * (1.0 - inner), 0.03)
    grief[_BROW_RIGHT] = grief[face.mirror[_BROW_RIGHT]] * [-1.0, 1.0, 1.0]
    fields["grief"] = plate.bend(both_brows, grief[both_brows], centre_still)

    # Cheeks pushed up under the eyes by a squint, and the wrinkled nose of disgust.
    cheeks = np.concatenate([under_eye, face.mirror[under_eye], cheek_left, _CHEEK_RIGHT])
    pushed = vector(0.0, 0.0, 0.0)
    pushed[np.concatenate([under_eye, face.mirror[under_eye]])] = [0.0, 0.24, 0.10]
    pushed[np.concatenate([cheek_left, _CHEEK_RIGHT])] = [0.0, 0.22, 0.18]
    cheek_still = np.concatenate([everywhere[y > 3.6], lips, face.face_oval, ridge])
    fields["cheek"] = plate.bend(cheeks, pushed[cheeks], cheek_still)
    wings = np.array([48, 278, 64, 294, 98, 327])
    sneer = vector(0.0, is_upper * 0.34 * (0.4 + 0.6 * middle), 0.05 * is_upper)
    sneer[wings] = [0.0, 0.26, 0.04]
    sneer[between] = [0.0, -0.16, 0.05]
    sneer[np.concatenate([under_eye, face.mirror[under_eye]])] = [0.0, 0.16, 0.05]
    handles = np.concatenate([lips_upper, wings, between, under_eye, face.mirror[under_eye]])
    sneer_still = np.concatenate([everywhere[y > 6.5], lips_lower, face.face_oval, lids, ridge])
    fields["sneer"] = plate.bend(handles, sneer[handles], sneer_still)

    # Lids: the upper lid comes down over the eyeball onto the lower one, which rises a little.
    upper, lower, crease = (face.mirror[ring] for ring in (_LID_UPPER_RIGHT, _LID_LOWER_RIGHT, _LID_CREASE_RIGHT))
    gap = rest[upper] - rest[lower]
    closing = np.zeros_like(rest)
    closing[upper] = -0.86 * gap + [0.0, 0.0, 0.10]
    closing[lower] = 0.14 * gap + [0.0, 0.0, 0.03]
    closing[crease] = 0.30 * closing[upper]
    handles = np.concatenate([upper, lower, crease])
    lid_still = np.concatenate(
        [everywhere[(y < 1.2) | (x < 0.8) | (y > 4.2)], brow_left, np.array([263, 362]), face.face_oval]
    )
    fields["lid_left"] = plate.bend(handles, closing[handles], lid_still)

    for name in ("smile", "brow", "lid"):
        mirrored = fields[f"{name}_left"][face.mirror] * [-1.0, 1.0, 1.0]
        fields[f"{name}_right"] = mirrored
    return Rig(fields=fields, jaw=_jaw_share(plate, face), **_seals(plate, face, above))


def _jaw_share(plate: _Plate, face: CanonicalFace) -> Array:
    """Share (V,) of the jaw's rotation: 1 on chin and lower lip, half at the mouth's corners, 0 above, smooth
    between."""
    x, y, _ = face.vertices.astype(np.float64).T
    everywhere = np.arange(len(x))
    share = np.zeros(len(x))
    lips_lower = np.unique(_LIP_RINGS_LOWER)
    share[lips_lower] = 1.0 - 0.35 * np.clip(np.abs(x[lips_lower]) / 2.4, 0.0, 1.0) ** 3
    share[_CHIN] = 1.0
    corners = np.concatenate([_CORNERS_RIGHT, _CORNERS_LEFT])
    share[corners] = 0.42
    oval = face.face_oval
    share[oval] = np.clip((-y[oval] - 1.0) / 6.5, 0.0, 1.0) ** 0.8
    still = np.concatenate([everywhere[(y > -0.5) | ((np.abs(x) < 1.8) & (y > -2.6))], np.unique(_LIP_RINGS_UPPER)])
    handles = np.concatenate([lips_lower, _CHIN, corners, oval])
    return np.clip(plate.bend(handles, share[handles, None], still)[:, 0], 0.0, 1.0)


def _seals(plate: _Plate, face: CanonicalFace, above: NDArray[np.int64]) -> dict[str, Array]:
    seals = {}
    for name, rings, other in (
        ("upper_seal", _LIP_RINGS_UPPER, _LIP_RINGS_LOWER),
        ("lower_seal", _LIP_RINGS_LOWER, _LIP_RINGS_UPPER),
    ):
        places = rings.shape[1]
        follow = np.array([0.72, 0.82, 0.92, 1.0])
        values = np.kron(follow[:, None], np.eye(places))
        corners = np.concatenate([_CORNERS_RIGHT, _CORNERS_LEFT])
        chin = _CHIN if name == "lower_seal" else np.array([], np.int64)
        still = np.unique(np.concatenate([above, face.face_oval, _NOSE, np.unique(other), corners, chin]))
        still = np.setdiff1d(still, rings.ravel())
        seals[name] = plate.bend(rings.ravel(), values, still)
    return seals


_SHAPE_AXES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    # position on the left half (x, y, z), direction of motion (cm at 1 standard deviation), width (cm)
    "jaw width": ((5.2, -5.6, 0.5), (0.30, 0.0, 0.0), 3.0),
    "chin length": ((0.6, -8.6, 4.4), (0.0, -0.32, 0.08), 2.6),
    "cheekbones": ((5.2, 0.2, 2.8), (0.16, 0.0, 0.16), 2.2),
    "cheek fullness": ((4.2, -3.2, 3.2), (0.14, 0.0, 0.20), 2.2),
    "temple width": ((6.2, 4.6, 1.0), (0.18, 0.0, 0.0), 2.6),
    "forehead height": ((2.0, 8.0, 4.2), (0.0, 0.22, -0.05), 3.0),
    "brow height": ((3.4, 4.7, 4.2), (0.0, 0.14, 0.03), 1.3),
    "brow ridge": ((3.0, 4.2, 4.4), (0.0, 0.0, 0.14), 1.6),
    "eye spacing": ((3.2, 2.6, 3.8), (0.10, 0.0, 0.0), 1.7),
    "nose length": ((0.4, -1.4, 6.6), (0.0, -0.20, 0.05), 1.4),
    "nose width": ((1.3, -1.5, 5.6), (0.16, 0.0, 0.0), 0.9),
    "nose bridge": ((0.2, 1.4, 6.4), (0.0, 0.0, 0.16), 1.5),
    "mouth width": ((2.2, -4.3, 4.4), (0.14, 0.0, 0.0), 1.4),
    "upper lip": ((0.9, -3.7, 5.8), (0.0, 0.07, 0.09), 0.6),
    "lower lip": ((0.9, -4.9, 5.5), (0.0, -0.08, 0.09), 0.6),
    "mouth height": ((0.8, -4.3, 5.5), (0.0, 0.14, 0.0), 2.0),
}
"""Shape differences between faces (our choice); each is a bump on both halves of the face."""


def speaker_shape(generator: np.random.Generator | None) -> Array:
    """A speaker's neutral face (V, 3) with the lips closed; the canonical face if ``generator`` is None."""
    face = canonical_face()
    shape = face.vertices.astype(np.float64)
    if generator is not None:
        rest = shape.copy()
        for place, direction, width in _SHAPE_AXES.values():
            amount = float(np.clip(generator.normal(), -1.8, 1.8))
            for side in (1.0, -1.0):
                flip = np.array([side, 1.0, 1.0])
                distance = np.square(rest - np.array(place) * flip).sum(axis=1)
                shape += amount * np.exp(-0.5 * distance / width**2)[:, None] * np.array(direction) * flip
        scale = 1.0 + 0.03 * generator.normal(size=2).clip(-1.8, 1.8)
        shape[:, :2] *= scale
    # MediaPipe's face has parted lips with the corners down, and half-shut lids.
    fields = rig().fields
    shape += 0.2 * (fields["smile_left"] + fields["smile_right"]) - 0.3 * (fields["lid_left"] + fields["lid_right"])
    return np.asarray(seal(shape[None], np.ones(1))[0])


def seal(vertices: Array, amount: Array) -> Array:
    """Bring the inner edges of the lips together in ``vertices`` (T, V, 3) by ``amount`` (T,), 0 to 1.

    The lower lip makes three quarters of the motion. Lips that have passed through each other are moved back to touch.
    """
    parts = rig()
    gap = vertices[:, _UPPER] - vertices[:, _LOWER]
    crossed = gap[..., 1] < 0.0
    by = np.where(crossed, 1.0, amount[:, None])[..., None] * gap
    moved = np.einsum("vn,tnc->tvc", parts.lower_seal, 0.75 * by) - np.einsum(
        "vn,tnc->tvc", parts.upper_seal, 0.25 * by
    )
    sealed: Array = vertices + moved
    return sealed


def turn_jaw(points: Array, share: Array, control: Array) -> Array:
    """Rotate ``points`` (V, 3) about the jaw's axis by their ``share`` (V,) of ``control`` (T,): (T, V, 3).

    The lower jaw also slides forward a little, as in the real joint.
    """
    angle = control[:, None] * share * JAW_ANGLE
    y, z = points[:, 1] - JAW_AXIS[1], points[:, 2] - JAW_AXIS[2]
    sine, cosine = np.sin(angle), np.cos(angle)
    turned = np.empty((*angle.shape, 3))
    turned[..., 0] = points[:, 0]
    turned[..., 1] = JAW_AXIS[1] + y * cosine - z * sine
    turned[..., 2] = JAW_AXIS[2] + y * sine + z * cosine + 0.15 * angle
    return turned


def pose_face(neutral: Array, curves: Curves) -> Array:
    """Canonical vertices (T, V, 3) of the face ``neutral`` (V, 3) under control curves (T,)."""
    parts = rig()
    vertices = turn_jaw(neutral, parts.jaw, curves["jaw"])
    names = list(parts.fields)
    weights = np.stack([curves[name] for name in names], axis=1)
    fields = np.stack([parts.fields[name] for name in names])
    vertices += np.tensordot(weights, fields, axes=1)
    return seal(vertices, np.clip(np.maximum(curves["close"], 0.8 * curves["tuck"]), 0.0, 1.0))
