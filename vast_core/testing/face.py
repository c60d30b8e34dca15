"""The rules of faces: encode and decode are inverse in any pose, and faces are drawn where they are.

They use tracks of known motions. The mesh is the core's canonical face if V is its number of vertices. A face with
another mesh needs ``template`` (V, 3), its neutral shape in canonical coordinates; without it, most rules do not apply.
"""

from __future__ import annotations

from itertools import pairwise

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError, WeightsError
from ..interfaces import Face, FaceTrack, place, unposed
from .face_samples import (
    SIZE,
    Floats,
    fitted_face,
    made_face,
    motions,
    poses,
    template_of,
    track_of,
    tracks_and_templates,
    unseen_track,
)
from .kit import Subject, not_applicable, require, rule

# ---------------------------------------------------------------------------------------------- the mesh


@rule("face")
def triangles(subject: Subject) -> None:
    """``triangles`` is (F, 3), int64, of three different vertices below V each."""
    face, count = made_face(subject), subject.sizes[0].vertices
    found = face.triangles
    require(found.ndim == 2 and found.shape[1] == 3 and len(found) > 0, f"triangles are {found.shape}, not (F, 3)")
    require(found.dtype == np.int64, f"triangles are {found.dtype}, not int64")
    require(
        found.min() >= 0 and found.max() < count, f"triangles use vertices {found.min()} to {found.max()} of {count}"
    )
    flat = (found[:, 0] == found[:, 1]) | (found[:, 1] == found[:, 2]) | (found[:, 2] == found[:, 0])
    require(not flat.any(), f"{int(flat.sum())} triangles use a vertex twice, the first is {int(flat.argmax())}")


@rule("face")
def regions(subject: Subject) -> None:
    """``lips``, ``upper_face`` and ``eyes`` are int64 indices of vertices, not empty, below V, none twice."""
    face, count = made_face(subject), subject.sizes[0].vertices
    for name in ("lips", "upper_face", "eyes"):
        found = np.asarray(getattr(face, name, ()))
        require(found.ndim == 1 and len(found) > 0, f"{name} is {found.shape}: no vertices")
        require(found.dtype == np.int64, f"{name} is {found.dtype}, not int64")
        require(
            found.min() >= 0 and found.max() < count, f"{name} has vertices {found.min()} to {found.max()} of {count}"
        )
        require(len(np.unique(found)) == len(found), f"{name} has a vertex twice")


@rule("face")
def unit(subject: Subject) -> None:
    """``millimetres`` per canonical unit is above 0 and gives a face of 100 to 400 mm height, if the mesh is known."""
    face = made_face(subject)
    require(face.millimetres > 0, f"millimetres is {face.millimetres}")
    height = float(np.ptp(template_of(subject, face)[:, 1])) * face.millimetres
    require(100 <= height <= 400, f"with millimetres = {face.millimetres:g}, the face is {height:.0f} mm high")


# ---------------------------------------------------------------------------------------- encode and decode


def _encoded(face: Face, track: FaceTrack, identity: Floats) -> Floats:
    return np.asarray(face.encode(track, identity), np.float32)


@rule("face")
def neutral_face(subject: Subject) -> None:
    """The identity (V, 3), float32, of a face that does not move is that face, in any pose."""
    face = made_face(subject)
    shape = (template_of(subject, face) * (1.05, 0.95, 1.0)).astype(np.float32)
    still = np.broadcast_to(shape, (20, *shape.shape))
    tracks = [track_of(still, poses(shape, 20)), track_of(still, poses(shape, 20, scale=0.7, turn=0.3, shift=9))]
    found = face.identity(tracks)
    fits = found.shape == shape.shape and found.dtype == np.float32
    require(fits, f"the identity is {found.shape} {found.dtype}, expected {shape.shape} float32")
    off = float(np.abs(found - shape).max() / np.ptp(shape))
    require(off <= 1e-3, f"the identity of a face that does not move is off by {100 * off:.2f} % of the face")


@rule("face")
def expression_of_a_track(subject: Subject) -> None:
    """``encode`` gives (T, E), float32 and finite, also for a single frame."""
    face, template = fitted_face(subject)
    track = unseen_track(subject, face, template)
    for frames in (30, 1):
        part = FaceTrack(vertices=track.vertices[:frames], pose=track.pose[:frames], valid=track.valid[:frames])
        found, expected = face.encode(part, template), (frames, subject.sizes[0].expression)
        fits = found.shape == expected and found.dtype == np.float32
        require(fits, f"the expression is {found.shape} {found.dtype}, expected {expected} float32")
        require(bool(np.isfinite(found).all()), f"the expression of {frames} frames is not finite")


@rule("face")
def decodes_any_shape(subject: Subject) -> None:
    """``decode`` gives (..., V, 3) for expression (..., E): one frame, a clip, a batch."""
    (face, template), sizes = fitted_face(subject), subject.sizes[0]
    for leading in ((), (5,), (2, 3)):
        with torch.no_grad():
            shape = tuple(face.decode(torch.zeros(*leading, sizes.expression), torch.from_numpy(template)).shape)
        expected = (*leading, sizes.vertices, 3)
        require(shape == expected, f"vertices are {shape}, expected {expected}")


@rule("face")
def differentiable(subject: Subject) -> None:
    """The gradient of ``decode`` reaches the expression."""
    face, template = fitted_face(subject)
    expression = torch.from_numpy(_encoded(face, unseen_track(subject, face, template), template)).requires_grad_()
    vertices = face.decode(expression, torch.from_numpy(template))
    require(vertices.requires_grad, "vertices have no gradient with respect to the expression")
    (gradient,) = torch.autograd.grad(vertices.square().sum(), expression)
    require(bool(gradient.isfinite().all()), "the gradient with respect to the expression is not finite")


def _decoded(face: Face, expression: Floats, identity: Floats) -> torch.Tensor:
    with torch.no_grad():
        vertices: torch.Tensor = face.decode(torch.from_numpy(expression), torch.from_numpy(identity))
    return vertices


@rule("face")
def encode_undoes_decode(subject: Subject) -> None:
    """Encoding decoded vertices gives the expression back, to 2 % of its largest coefficient."""
    face, template = fitted_face(subject)
    expression = _encoded(face, unseen_track(subject, face, template), template)
    pose = poses(template, len(expression), scale=0.9)
    vertices = place(_decoded(face, expression, template), torch.from_numpy(pose)).numpy()
    again = _encoded(face, FaceTrack(vertices=vertices, pose=pose, valid=np.ones(len(pose), bool)), template)
    off = float(np.abs(again - expression).max() / max(1e-6, np.abs(expression).max()))
    require(off <= 0.02, f"decoded and encoded, the expression is off by {100 * off:.1f} % of its largest coefficient")


@rule("face")
def gives_back_what_it_was_shown(subject: Subject) -> None:
    """Encode and decode reproduce motions like those of the fit; the RMS error is at most a quarter of the motion."""
    face, template = fitted_face(subject)
    track = unseen_track(subject, face, template)
    true, found = unposed(track).numpy(), _decoded(face, _encoded(face, track, template), template).numpy()
    left = float(np.square(found - true).mean() / np.square(template - true).mean()) ** 0.5
    require(left <= 0.25, f"the error is {100 * left:.0f} % of the motion (root of the mean square)")


@rule("face")
def pose_is_not_expression(subject: Subject) -> None:
    """The expression does not depend on the position, size and rotation of the head."""
    face, template = fitted_face(subject)
    one = _encoded(face, unseen_track(subject, face, template), template)
    other = _encoded(face, unseen_track(subject, face, template, scale=0.6, turn=0.3, shift=12), template)
    off = float(np.abs(other - one).max() / max(1e-6, np.abs(one).max()))
    require(off <= 0.02, f"the expression of a turned, smaller and shifted head is off by {100 * off:.1f} %")


@rule("face")
def what_it_learns_is_saved(subject: Subject) -> None:
    """A new face with the state of a fitted one encodes and decodes in the same way."""
    (face, template), other = fitted_face(subject), subject.make(seed=1).eval()
    other.load_state_dict(face.state_dict())
    track = unseen_track(subject, face, template)
    expression = _encoded(face, track, template)
    try:
        alike = np.array_equal(_encoded(other, track, template), expression)
    except ValueError as error:
        require(False, f"a new face with its state cannot encode: {error}")
    require(alike, "a new face with its state gives a different expression: store all results of fit() in buffers")
    same = torch.equal(_decoded(other, expression, template), _decoded(face, expression, template))
    require(same, "a new face with its state gives different vertices: store all results of fit() in buffers")


@rule("face")
def fit_is_repeatable(subject: Subject) -> None:
    """Two fits to the same tracks give the same expression."""
    if not made_face(subject).fits:
        not_applicable("fits is False")
    expressions = []
    for _ in range(2):
        face, template = fitted_face(subject)
        expressions.append(_encoded(face, unseen_track(subject, face, template), template))
    off = float(np.abs(expressions[0] - expressions[1]).max())
    require(off <= 1e-5 * float(np.abs(expressions[0]).max()), f"expressions after two fits differ by up to {off:.1e}")


@rule("face")
def fixed_basis(subject: Subject) -> None:
    """If ``fits`` is False, a new face encodes and decodes without a fit, and independently of the seed."""
    face = made_face(subject)
    if face.fits:
        not_applicable("fits is True")
    template, other = template_of(subject, face), subject.make(seed=1).eval()
    track = unseen_track(subject, face, template)
    expressions = [_encoded(one, track, template) for one in (face, other)]
    require(
        np.array_equal(expressions[0], expressions[1]),
        "two faces made from different seeds give different expressions",
    )
    vertices = [_decoded(one, expressions[0], template) for one in (face, other)]
    require(torch.equal(*vertices), "two faces made from different seeds give different vertices")


@rule("face")
def further_coefficients(subject: Subject) -> None:
    """``encode`` gives (T, E), float32 and finite, also for a track with the tracker's ``coefficients``."""
    face, template = fitted_face(subject)
    declared = dict(face.coefficients)
    if not declared:
        not_applicable("its tracker measures only the mesh")
    wrong = {name: width for name, width in declared.items() if type(width) is not int or width < 1}
    require(not wrong, f"coefficients: widths are whole numbers above 0, not {wrong}")
    chance, track = np.random.default_rng(0), unseen_track(subject, face, template)
    measured = {name: chance.random((len(track), width), np.float32) for name, width in declared.items()}
    given = {name: rows.copy() for name, rows in measured.items()}
    found = face.encode(attrs.evolve(track, coefficients=measured), template)
    expected = (len(track), subject.sizes[0].expression)
    fits = found.shape == expected and found.dtype == np.float32 and bool(np.isfinite(found).all())
    require(fits, f"the expression is {found.shape} {found.dtype}, expected {expected} float32, finite")
    kept = all(np.array_equal(measured[name], given[name]) for name in given)
    require(kept, "encode() changed the coefficients of a track")


@rule("face")
def leaves_tracks_alone(subject: Subject) -> None:
    """No method changes tracks or identities, also if some frames are invalid."""
    face = made_face(subject)
    template = template_of(subject, face)
    tracks, identities = tracks_and_templates(face, template)
    for track in tracks:
        track.valid[5:8] = False
    names, given = ("vertices", "pose", "valid"), [identity.copy() for identity in identities]
    before = [{name: getattr(track, name).copy() for name in names} for track in tracks]
    face.identity(tracks)
    if face.fits:
        face.fit(tracks, identities)
    for track, identity in zip(tracks, identities, strict=True):
        _encoded(face, track, identity)
    for track, kept in zip(tracks, before, strict=True):
        changed = [name for name in names if not np.array_equal(getattr(track, name), kept[name])]
        require(not changed, f"{', '.join(changed)} of a track changed")
    require(all(map(np.array_equal, identities, given)), "an identity changed")


# --------------------------------------------------------------------------------------------- the mouth


def _opened(face: Face, template: Floats) -> torch.Tensor:
    """The neutral face with the lower lip moving down in five steps: (5, V, 3)."""
    amounts = np.linspace(0.5, 2, 5)[:, None, None]
    return torch.from_numpy((template + amounts * motions(face, template)[0]).astype(np.float32))


@rule("face")
def lips_that_open(subject: Subject) -> None:
    """``lip_opening`` is (...,), not negative, and grows as the lower lip moves down."""
    face = made_face(subject)
    vertices = _opened(face, template_of(subject, face))
    found = face.lip_opening(vertices)
    require(
        tuple(found.shape) == (5,), f"lip_opening of {tuple(vertices.shape)} is {tuple(found.shape)}, expected (5,)"
    )
    values = [round(float(value), 4) for value in found]
    grows = all(one < other for one, other in pairwise(values))
    require(values[0] >= 0 and grows, f"as the lower lip moves down, lip_opening is {values}")


@rule("face")
def lip_opening_has_no_unit(subject: Subject) -> None:
    """``lip_opening`` is a ratio: it is the same for a face twice as large."""
    face = made_face(subject)
    vertices = _opened(face, template_of(subject, face))
    off = float((face.lip_opening(2 * vertices) - face.lip_opening(vertices)).abs().max())
    require(off <= 1e-4, f"lip_opening of a face twice as large differs by {off:.3f}")


# ---------------------------------------------------------------------------------------------- pictures


def _posed(subject: Subject, face: Face, frames: int = 2, **pose: float) -> Floats:
    """Vertices (T, V, 3) of the neutral face in an image of ``SIZE`` pixels."""
    template = template_of(subject, face)
    return track_of(np.broadcast_to(template, (frames, *template.shape)), poses(template, frames, **pose)).vertices


def _plain(value: int) -> NDArray[np.uint8]:
    return np.full((64, 64, 3), value, np.uint8)


@rule("face")
def drawing(subject: Subject) -> None:
    """``draw`` gives uint8 mesh and texture (T, 3, Y, X) and coverage (T, 1, Y, X), in any size, also for one frame."""
    face = made_face(subject)
    for frames, size in ((2, SIZE), (1, 48)):
        drawn = face.draw(_posed(subject, face, frames), size, _plain(200))
        for name, channels in (("mesh", 3), ("texture", 3), ("coverage", 1)):
            found, shape = getattr(drawn, name), (frames, channels, size, size)
            fits = found.shape == shape and found.dtype == np.uint8
            require(fits, f"{name} is {found.shape} {found.dtype}, expected {shape} uint8")


@rule("face")
def coverage(subject: Subject) -> None:
    """Coverage is 255 where the texture is drawn and 0 elsewhere; there, the texture is black."""
    face = made_face(subject)
    drawn = face.draw(_posed(subject, face), SIZE, _plain(200))
    covered, painted = drawn.coverage[:, 0] > 127, drawn.texture.max(1) > 0
    values = np.unique(drawn.coverage)
    require(set(values.tolist()) <= {0, 255}, f"coverage has values other than 0 and 255: {values[:8].tolist()}")
    share = float(covered.mean())
    require(0.1 < share < 0.9, f"a face that fills about a third of the image covers {100 * share:.0f} % of it")
    wrong = int((covered != painted).sum())
    require(
        wrong == 0,
        f"with a light texture, {wrong} pixels of {covered.size} are painted but not covered, or covered but black",
    )


@rule("face")
def no_texture(subject: Subject) -> None:
    """Without a texture, the drawn texture equals the mesh."""
    face = made_face(subject)
    drawn = face.draw(_posed(subject, face), SIZE)
    require(np.array_equal(drawn.texture, drawn.mesh), "without a texture, the drawn texture and mesh differ")


@rule("face")
def beyond_the_edge(subject: Subject) -> None:
    """A face half outside the image is drawn by half, and a face entirely outside is not drawn."""
    face = made_face(subject)
    shares = []
    for shift in (0, SIZE / 2, 3 * SIZE):
        shares.append(float((face.draw(_posed(subject, face, shift=shift), SIZE).coverage > 0).mean()))
    require(shares[2] == 0, f"a face {2 * SIZE} pixels outside the image covers {100 * shares[2]:.0f} % of it")
    half = shares[1] / max(shares[0], 1e-6)
    require(0.3 < half < 0.7, f"a face half outside the image covers {100 * half:.0f} % of its area inside the image")


@rule("face")
def texture_of_frames(subject: Subject) -> None:
    """A texture unwrapped from frames of one colour is (U, U, 3), uint8, and is drawn in that colour."""
    face = made_face(subject)
    vertices, colour = _posed(subject, face, 3), np.array([180, 120, 60], np.uint8)
    frames = [np.broadcast_to(colour, (SIZE, SIZE, 3)).copy() for _ in vertices]
    texture = face.unwrap(iter(frames), vertices)
    shape = texture.shape
    fits = len(shape) == 3 and shape[0] == shape[1] and shape[2] == 3 and texture.dtype == np.uint8
    require(fits, f"the texture is {shape} {texture.dtype}, expected (U, U, 3) uint8")
    drawn = face.draw(vertices[:1], SIZE, texture)
    inside = drawn.texture[0][:, drawn.coverage[0, 0] > 0]
    if inside.size:
        found = np.median(inside, axis=1)
        require(bool((np.abs(found - colour) <= 3).all()), f"frames of {colour.tolist()} give {found.tolist()}")


# ---------------------------------------------------------------------------------------------- tracking


@rule("face")
def refuses_what_shows_no_face(subject: Subject) -> None:
    """If no frame shows a face, ``track`` raises an InputError."""
    face = made_face(subject)
    frames = (np.full((120, 160, 3), 90, np.uint8) for _ in range(15))
    try:
        found = face.track(frames, 25)
    except WeightsError as error:
        not_applicable(str(error))
    except InputError:
        return
    require(False, f"for grey frames, track() returns {len(found)} tracks instead of raising an InputError")


@rule("face")
def shape_without_data(subject: Subject) -> None:
    """Made and called on torch's meta device, as by `vast check`, ``decode`` gives the shape."""
    subject.make()
    sizes = subject.sizes[0]
    with torch.device("meta"):
        face = subject.build().eval()
        vertices = face.decode(torch.zeros(2, 3, sizes.expression), torch.zeros(sizes.vertices, 3))
    require(vertices.is_meta, f"made on the meta device, it gives vertices on {vertices.device}")
