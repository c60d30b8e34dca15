"""The rules of faces: a sound component keeps all of them, and each broken one falls to its own rule alone."""

from __future__ import annotations

from typing import ClassVar

import attrs
import numpy as np
import pytest
import torch

from vast_core import Component
from vast_core.errors import InputError
from vast_core.interfaces import Drawing, Face
from vast_core.mesh import canonical_face, rasterise, sample_texture, shade, vertex_normals
from vast_core.testing.kit import Subject, check, rules

MESH = canonical_face()


def mask_config():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class MaskConfig:
        coefficients: int = attrs.field(
            default=4, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)]
        )
        """E, principal components of the motion."""

        def sizes(self) -> dict[str, int]:
            return {"expression": self.coefficients, "lower_face": self.coefficients, "vertices": 468}

    return MaskConfig


COMPONENT = Component(
    kind="face",
    name="mask",
    target="mask:Mask",
    config=mask_config(),
    summary="the canonical face with principal components of its motion",
)


def unposed(track):
    inverse = np.linalg.inv(track.pose[:, :, :3].astype(np.float64)).transpose(0, 2, 1)
    return (track.vertices - track.pose[:, None, :, 3]) @ inverse


class Mask(Face):
    """x = identity + e @ basis, the basis of principal components; one plain colour is all the texture it knows."""

    def __init__(self, coefficients):
        super().__init__()
        self.triangles, self.lips = MESH.triangles.copy(), MESH.lips.copy()
        self.upper_face, self.eyes = MESH.upper_face.copy(), np.union1d(MESH.eye_left, MESH.eye_right)
        self.millimetres = 10.0
        self.register_buffer("basis", torch.zeros(coefficients, 468, 3))

    @classmethod
    def from_config(cls, config, sizes):
        return cls(config.coefficients)

    def track(self, frames, fps):
        for frame in frames:
            if np.ptp(frame):
                raise NotImplementedError("this one only looks whether there is anything at all")
        raise InputError("no frame shows a face")

    def identity(self, tracks):
        shapes = [unposed(track)[track.valid] for track in tracks]
        return np.median(np.concatenate(shapes), axis=0).astype(np.float32)

    def moved(self, track, identity):
        return (unposed(track) - identity).reshape(len(track), -1)

    def fit(self, tracks, identities):
        motion = np.concatenate([self.moved(*pair)[pair[0].valid] for pair in zip(tracks, identities, strict=True)])
        values, vectors = np.linalg.eigh(motion @ motion.T)
        rows = (vectors.T @ motion / np.sqrt(np.maximum(values, 1e-9))[:, None])[::-1]
        rows[values[::-1] < 1e-6 * values[-1]] = 0
        count = min(len(self.basis), len(rows))
        self.basis[:count] = torch.from_numpy(rows[:count].reshape(count, 468, 3).copy())

    def encode(self, track, identity):
        basis = self.basis.double().numpy().reshape(len(self.basis), -1)
        return (self.moved(track, identity) @ np.linalg.pinv(basis)).astype(np.float32)

    def decode(self, expression, identity):
        return identity + torch.einsum("...e,evc->...vc", expression, self.basis)

    def lip_opening(self, vertices):
        (upper, lower), (right, left) = MESH.inner_lip_pair, MESH.eye_corners
        opening = (vertices[..., upper, :] - vertices[..., lower, :]).norm(dim=-1)
        return opening / (vertices[..., right, :] - vertices[..., left, :]).norm(dim=-1)

    def unwrap(self, frames, vertices):
        colours = [frame[y, x] for frame, ((x, y, _), *_) in zip(frames, vertices.astype(int), strict=True)]
        return np.broadcast_to(np.mean(colours, axis=0).round().astype(np.uint8), (16, 16, 3)).copy()

    def draw(self, vertices, size, texture=None):
        drawn = [self.draw_one(points, size, texture) for points in vertices]
        return Drawing(**{name: np.stack([one[name] for one in drawn]) for name in ("mesh", "texture", "coverage")})

    def draw_one(self, points, size, texture):
        raster = rasterise(points, self.triangles, (size, size))
        grey = np.rint(255 * shade(raster, self.triangles, vertex_normals(points, self.triangles))).astype(np.uint8)
        mesh = np.broadcast_to(grey, (3, size, size))
        painted = mesh
        if texture is not None:
            painted = sample_texture(raster, self.triangles, MESH.uv, texture).transpose(2, 0, 1)
        return {"mesh": mesh, "texture": painted, "coverage": raster.coverage[None].astype(np.uint8) * np.uint8(255)}


class CountsFromOne(Mask):
    def __init__(self, coefficients):
        super().__init__(coefficients)
        self.triangles = self.triangles.copy()
        self.triangles[-1] = (1, 1, 2)


class HasNoEyes(Mask):
    def __init__(self, coefficients):
        super().__init__(coefficients)
        self.eyes = self.eyes[:0]


class IsInMillimetres(Mask):
    def __init__(self, coefficients):
        super().__init__(coefficients)
        self.millimetres = 1.0


class ForgetsThePose(Mask):
    def identity(self, tracks):
        return np.median(np.concatenate([track.vertices for track in tracks]), axis=0).astype(np.float32)


class EncodesDouble(Mask):
    def encode(self, track, identity):
        return super().encode(track, identity).astype(np.float64)


class FlattensTheBatch(Mask):
    def decode(self, expression, identity):
        vertices = super().decode(expression, identity)
        return vertices.flatten(0, 1) if expression.ndim > 2 else vertices


class Detaches(Mask):
    def decode(self, expression, identity):
        return super().decode(expression.detach(), identity)


class Exaggerates(Mask):
    def encode(self, track, identity):
        return 1.1 * super().encode(track, identity)


class LearnsTheFirstMotion(Mask):
    def fit(self, tracks, identities):
        super().fit(tracks, identities)
        self.basis[1:] = 0


class MeasuresPixels(Mask):
    def encode(self, track, identity):
        scale = np.cbrt(np.linalg.det(track.pose[:, :, :3]))[:, None]
        return super().encode(track, identity) * (1 + 0.05 * (scale < 2)).astype(np.float32)


class KeepsItsMeanToItself(Mask):
    offset = 0.0

    def fit(self, tracks, identities):
        super().fit(tracks, identities)
        self.offset = 0.01

    def decode(self, expression, identity):
        return super().decode(expression, identity) + self.offset


class TossesSigns(Mask):
    def fit(self, tracks, identities):
        super().fit(tracks, identities)
        self.basis *= torch.randn(len(self.basis)).sign()[:, None, None]


class BlanksInvalidFrames(Mask):
    def fit(self, tracks, identities):
        for track in tracks:
            track.vertices[~track.valid] = 0
        super().fit(tracks, identities)


class MeasuresTheMouthsWidth(Mask):
    def lip_opening(self, vertices):
        right, left = (vertices[..., at, :] for at in (78, 308))
        (a, b) = MESH.eye_corners
        return (right - left).norm(dim=-1) / (vertices[..., a, :] - vertices[..., b, :]).norm(dim=-1)


class MeasuresCentimetres(Mask):
    def lip_opening(self, vertices):
        upper, lower = MESH.inner_lip_pair
        return (vertices[..., upper, :] - vertices[..., lower, :]).norm(dim=-1)


class DrawsFloats(Mask):
    def draw(self, vertices, size, texture=None):
        drawn = super().draw(vertices, size, texture)
        return drawn if texture is None else attrs.evolve(drawn, mesh=drawn.mesh / np.float32(255))


class CoversTheShadow(Mask):
    def draw(self, vertices, size, texture=None):
        drawn = super().draw(vertices, size, texture)
        wider = np.maximum(drawn.coverage, np.roll(drawn.coverage, 1, axis=2))
        return attrs.evolve(drawn, coverage=wider)


class DrawsNothingWithoutATexture(Mask):
    def draw(self, vertices, size, texture=None):
        drawn = super().draw(vertices, size, texture)
        return attrs.evolve(drawn, texture=0 * drawn.texture) if texture is None else drawn


class WrapsAround(Mask):
    def draw(self, vertices, size, texture=None):
        inside = vertices.copy()
        inside[..., 0] -= size * (inside[..., 0].min(1, keepdims=True) > size)
        inside[..., 0] -= 2 * size * (inside[..., 0].min(1, keepdims=True) > size)
        return super().draw(inside, size, texture)


class SwapsRedAndBlue(Mask):
    def unwrap(self, frames, vertices):
        return np.ascontiguousarray(super().unwrap(frames, vertices)[..., ::-1])


class FindsNothing(Mask):
    def track(self, frames, fps):
        return []


class LooksWhetherItWasFitted(Mask):
    def decode(self, expression, identity):
        if not self.basis.abs().sum().item() >= 0:
            raise ValueError("fit first")
        return super().decode(expression, identity)


# ------------------------------------------------------------------------------------------- a fixed basis


def fixed_config():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class FixedConfig:
        def sizes(self) -> dict[str, int]:
            return {"expression": 4, "vertices": 468}

    return FixedConfig


FIXED = attrs.evolve(COMPONENT, name="fixed", config=fixed_config())


class Fixed(Mask):
    """Its basis is made of sines over the face; its tracker measures blinks, which are the last coefficient; sound."""

    fits = False
    coefficients: ClassVar = {"blink": 2}

    def __init__(self, coefficients=4):
        super().__init__(coefficients)
        height = torch.tensor(MESH.vertices[:, 1]).to(self.basis.device)
        waves = torch.arange(1, 1 + coefficients)[:, None] * height
        self.basis[..., 1] = torch.sin(waves)

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def fit(self, tracks, identities):
        raise AssertionError("fits is False")

    def encode(self, track, identity):
        found = super().encode(track, identity)
        if "blink" in track.coefficients:
            found[:, -1] = self.blink(track.coefficients["blink"])
        return found

    def blink(self, rows):
        return rows.mean(1)


class DrawsItsBasis(Fixed):
    def __init__(self, coefficients=4):
        super().__init__(coefficients)
        self.basis += 0.1 * torch.randn(coefficients, 468, 3)


class BlinksInDoubt(Fixed):
    def blink(self, rows):
        return np.log(rows.mean(1) - 0.5)


OF_A_FIXED_BASIS = {"fixed basis": DrawsItsBasis, "further coefficients": BlinksInDoubt}
MUTANTS = {
    "triangles": CountsFromOne,
    "regions": HasNoEyes,
    "unit": IsInMillimetres,
    "neutral face": ForgetsThePose,
    "expression of a track": EncodesDouble,
    "decodes any shape": FlattensTheBatch,
    "differentiable": Detaches,
    "encode undoes decode": Exaggerates,
    "gives back what it was shown": LearnsTheFirstMotion,
    "pose is not expression": MeasuresPixels,
    "what it learns is saved": KeepsItsMeanToItself,
    "fit is repeatable": TossesSigns,
    "leaves tracks alone": BlanksInvalidFrames,
    "lips that open": MeasuresTheMouthsWidth,
    "lip opening has no unit": MeasuresCentimetres,
    "drawing": DrawsFloats,
    "coverage": CoversTheShadow,
    "no texture": DrawsNothingWithoutATexture,
    "beyond the edge": WrapsAround,
    "texture of frames": SwapsRedAndBlue,
    "refuses what shows no face": FindsNothing,
    "shape without data": LooksWhetherItWasFitted,
}


def outcomes(implementation):
    return check(Subject.of(COMPONENT, implementation=implementation))


def test_a_sound_component_keeps_every_rule():
    found = outcomes(Mask)
    assert {o.rule.name: o.detail for o in found if o.state == "broken"} == {}
    assert {o.rule.name for o in found if o.state == "kept"} >= set(MUTANTS)


def test_each_rule_has_its_mutant():
    own = {rule.name for rule in rules("face") if rule.check.__module__.endswith(".face")}
    assert own == {*MUTANTS, *OF_A_FIXED_BASIS}


def of_a_fixed_basis(implementation):
    return check(Subject.of(FIXED, implementation=implementation))


def test_a_sound_fixed_basis_keeps_every_rule_but_that_of_fitting():
    found = of_a_fixed_basis(Fixed)
    assert {o.rule.name: o.detail for o in found if o.state == "broken"} == {}
    kept = {o.rule.name for o in found if o.state == "kept"}
    assert kept >= {*MUTANTS, *OF_A_FIXED_BASIS} - {"fit is repeatable"}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("rule", OF_A_FIXED_BASIS)
def test_a_mutant_of_a_fixed_basis_falls_to_its_own_rule_alone(rule):
    found = of_a_fixed_basis(OF_A_FIXED_BASIS[rule])
    assert {o.rule.name: o.detail for o in found if o.state == "broken"}.keys() == {rule}


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant_falls_to_its_own_rule_alone(rule):
    assert {o.rule.name: o.detail for o in outcomes(MUTANTS[rule]) if o.state == "broken"}.keys() == {rule}
