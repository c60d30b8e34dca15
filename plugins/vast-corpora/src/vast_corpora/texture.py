"""Painting of a speaker's texture atlas: skin, lips, brows, hair, eyes and teeth in one texture.

Skin is painted by position in space: every texel of the face knows its canonical position, so that the blush of a
cheek is a bump around the cheek. Colours are sRGB in [0, 1]; all proportions are our choice.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from vast_core.mesh import canonical_face, interpolate, rasterise

from .look import Colour, Look

Image = NDArray[np.float32]
Field = NDArray[np.floating[Any]]

SIZE = 1024
"""U = W, height and width of the atlas in texels."""


@attrs.frozen
class Patch:
    """A rectangle of the atlas, in texels."""

    left: int
    top: int
    width: int
    height: int

    def place(self, uv: Field) -> Image:
        """Coordinates ``uv`` (n, 2) of the patch in the atlas, half a texel inside the patch."""
        inner = np.clip(uv, 0.0, 1.0) * [self.width - 1, self.height - 1] + [self.left + 0.5, self.top + 0.5]
        return np.asarray(inner / SIZE, np.float32)

    def paste(self, atlas: Image, image: Image) -> None:
        """Write ``image`` (height, width, 3) into the atlas."""
        atlas[self.top : self.top + self.height, self.left : self.left + self.width] = image


FACE = Patch(0, 0, 768, 768)
EYE = Patch(768, 0, 192, 192)
UPPER_TEETH = Patch(768, 192, 256, 96)
LOWER_TEETH = Patch(768, 288, 256, 96)
CAVITY = Patch(768, 384, 64, 64)
TONGUE = Patch(832, 384, 64, 64)
EAR = Patch(896, 384, 64, 64)
COLLAR = Patch(960, 384, 64, 64)
NECK = Patch(768, 448, 256, 256)
SHELL = Patch(0, 768, 1024, 128)
CURTAIN = Patch(0, 896, 512, 128)


def noise(shape: tuple[int, int], cells: tuple[float, float], generator: np.random.Generator) -> Image:
    """Smooth noise (Y, X) of about unit variance, with ``cells`` down and across."""
    rows, columns = (max(2, round(n)) for n in cells)
    coarse = generator.normal(size=(rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _ramp(value: Field, low: float, high: float) -> Image:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _mix(image: Field, colour: Colour | Field, amount: Field) -> Image:
    """``image`` (Y, X, 3) blended with ``amount`` (Y, X) of ``colour``."""
    amount = amount[..., None]
    return np.asarray(image * (1 - amount) + np.asarray(colour, np.float32) * amount, np.float32)


def _bump(position: Image, place: tuple[float, float, float], width: tuple[float, float, float]) -> Image:
    """1 at canonical ``place`` and its mirror image, falling off as a Gaussian of ``width`` along x, y, z."""
    x, y, z = (position[..., k] for k in range(3))
    away = (
        ((np.abs(x) - place[0]) / width[0]) ** 2 + ((y - place[1]) / width[1]) ** 2 + ((z - place[2]) / width[2]) ** 2
    )
    return np.asarray(np.exp(-0.5 * away), np.float32)


def hairline(look: Look) -> tuple[float, float]:
    """Half axes (cm) of the ellipse around (0, -0.5) above which hair grows."""
    return (7.15 if look.length < 0.5 else 7.35), 8.35 - 0.9 * look.fringe


def _strands(shape: tuple[int, int], across: float, generator: np.random.Generator) -> Image:
    """Strands of hair down the image: noise (Y, X), long in y and fine in x."""
    fine = noise(shape, (3, across), generator)
    broad = noise(shape, (2, across / 5), generator)
    return np.asarray(0.55 * fine + 0.6 * broad, np.float32)


def _hair(look: Look, strands: Field) -> Image:
    base = np.asarray(look.hair, np.float32)
    light = np.clip(1.0 + 0.26 * strands, 0.45, 1.9)[..., None]
    return np.asarray(np.clip(base * light + 0.035 * np.maximum(strands, 0)[..., None], 0, 1), np.float32)


def _skin_field(look: Look, shape: tuple[int, int], generator: np.random.Generator) -> Image:
    """Bare skin with blotches and pores."""
    rows, columns = shape
    blotch = noise(shape, (rows / 90, columns / 90), generator)
    grain = noise(shape, (rows / 4, columns / 4), generator)
    light = 1.0 + 0.018 * blotch + 0.018 * grain
    image = np.asarray(look.skin, np.float32) * light[..., None]
    redder = noise(shape, (rows / 50, columns / 50), generator)
    tint = 1 + 0.02 * redder[..., None] * np.array([1, -0.6, -0.5], np.float32)
    return np.asarray(image * tint, np.float32)


def _polygon(uv: NDArray[np.float32], shape: tuple[int, int], soft: float) -> Image:
    """Filled polygon (Y, X) with corners ``uv`` (n, 2), its edge softened by ``soft`` texels."""
    mask = np.zeros(shape, np.float32)
    points = np.round(uv * [shape[1], shape[0]] * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 1.0, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32)


def _lines(paths: list[NDArray[np.float32]], widths: list[int], shape: tuple[int, int], soft: float) -> Image:
    mask = np.zeros(shape, np.uint8)
    for path, width in zip(paths, widths, strict=True):
        points = np.round(path * [shape[1], shape[0]] * 16).astype(np.int32)
        cv2.polylines(mask, [points], False, 255, width, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft) / 255, np.float32)


def _brow_strokes(
    uv: NDArray[np.float32], look: Look, generator: np.random.Generator
) -> tuple[list[NDArray[np.float32]], list[int]]:
    """Short hairs along both brows: from the lower edge up and outward."""
    strokes: list[NDArray[np.float32]] = []
    for lower, upper in (
        ((55, 65, 52, 53, 46), (107, 66, 105, 63, 70)),
        ((285, 295, 282, 283, 276), (336, 296, 334, 293, 300)),
    ):
        # Both edges as parabolas: with only five vertices a brow would have corners.
        edges = [np.polyfit(np.arange(5), uv[list(ring)], 2) for ring in (lower, upper)]
        for _ in range(int(150 * look.brows)):
            along = generator.uniform(0.0, 4.0)
            powers = np.array([along**2, along, 1.0])
            a, b = (powers @ edge for edge in edges)
            outward = np.array([2 * along, 1.0, 0.0]) @ edges[0]
            taper = 0.62 - 0.42 * (along / 4) ** 1.5
            start = a + (b - a) * (0.42 + generator.uniform(-taper, taper) * 0.5)
            lean = 0.15 + 0.85 * along / 4
            tip = start + (b - a) * 0.30 * (1 - 0.8 * lean) + outward * (0.10 + 0.26 * lean)
            strokes.append(np.stack([start, tip]))
    return strokes, [2] * len(strokes)


def _paint_face(look: Look, strands: Image, generator: np.random.Generator) -> Image:
    face = canonical_face()
    shape = (FACE.height, FACE.width)
    flat = np.concatenate([face.uv * [FACE.width, FACE.height], np.zeros((len(face.uv), 1))], axis=1)
    triangles = np.concatenate([face.triangles, face.fillers])
    raster = rasterise(flat, triangles, shape)
    position = interpolate(raster, triangles, face.vertices)
    x, y = position[..., 0], position[..., 1]

    image = _skin_field(look, shape, generator)
    skin = np.asarray(look.skin, np.float32)
    red = skin * np.array([1.0, 0.70, 0.66], np.float32)
    dark = skin * np.array([0.62, 0.50, 0.47], np.float32)

    blush = 0.9 * _bump(position, (4.1, -0.6, 4.0), (1.7, 1.3, 2.5)) + 0.5 * _bump(
        position, (0.0, -1.0, 7.4), (0.9, 0.8, 0.9)
    )
    image = _mix(image, red, 0.38 * look.blush * blush)
    image = _mix(image, skin * 1.06, 0.5 * _bump(position, (0.0, 6.0, 5.0), (2.5, 1.2, 2.0)))
    socket = _bump(position, (2.2, 2.9, 4.0), (0.9, 0.75, 1.5)) + 0.7 * _bump(
        position, (3.6, 3.3, 3.9), (1.4, 0.5, 1.5)
    )
    image = _mix(image, dark, 0.30 * np.clip(socket, 0, 1))
    image = _mix(image, dark, 0.16 * _bump(position, (2.6, 1.5, 4.2), (1.2, 0.25, 1.5)))  # under the eyes
    fold = _bump(position, (1.55, -1.7, 5.2), (0.22, 0.55, 0.9))  # beside the wings of the nose
    image = _mix(image, dark, 0.38 * fold)
    image = _mix(image, dark, 0.80 * _bump(position, (0.60, -2.12, 6.1), (0.26, 0.16, 0.5)))  # nostrils
    image = _mix(image, dark, 0.25 * _bump(position, (0.0, -2.7, 6.0), (0.22, 0.35, 0.6)))  # groove above the lip
    image = _mix(image, dark, 0.28 * _bump(position, (0.0, -5.85, 5.2), (1.1, 0.22, 0.8)))  # below the lower lip
    image = _mix(image, dark, 0.35 * _bump(position, (2.55, -4.3, 4.1), (0.22, 0.22, 0.5)))  # corners of the mouth

    for _ in range(int(60 * look.freckles)):
        centre = generator.uniform([0.28, 0.40], [0.72, 0.62]) * [FACE.width, FACE.height]
        spot = np.zeros(shape, np.float32)
        cv2.circle(spot, (int(centre[0]), int(centre[1])), int(generator.integers(1, 3)), 1.0, -1, cv2.LINE_AA)
        image = _mix(image, dark, 0.30 * spot)

    if look.stubble:
        beard = _ramp(-y, 2.2, 4.2) * (1 - 0.85 * _bump(position, (0.0, -4.4, 5.2), (2.3, 0.8, 2.0)))
        beard = np.maximum(beard, 0.9 * _bump(position, (1.0, -3.0, 5.4), (1.2, 0.30, 1.2)))
        beard *= 1 - 0.9 * _bump(position, (4.4, -2.0, 3.4), (1.6, 1.4, 1.8))
        beard = np.maximum(beard, _ramp(np.abs(x), 6.5, 7.2) * _ramp(-y, -1.5, 0.5))
        hairs = np.clip(0.75 + 0.35 * noise(shape, (shape[0] / 3, shape[1] / 3), generator), 0, 1.2)
        image = _mix(
            image, np.asarray(look.hair, np.float32) * 0.9 + 0.04, np.clip(look.stubble * beard * hairs, 0, 0.92)
        )

    # The red of the lips: outer ring minus inner ring, darker where they meet.
    lips = _polygon(face.uv[face.lips_outer], shape, 2.2)
    groove = noise(shape, (6, shape[1] / 5), generator)
    red_of_lips = np.asarray(look.lips, np.float32) * (1 + 0.045 * groove[..., None])
    upper = (y > -4.27).astype(np.float32) * 0.10
    image = _mix(image, red_of_lips * (1 - upper[..., None]), 0.86 * lips)
    meeting = _polygon(face.uv[face.lips_inner], shape, 3.0)
    image = _mix(image, np.asarray(look.lips, np.float32) * 0.45, 0.8 * meeting)

    # Lids: crease, lashes, and the pink rim.
    uppers = [[33, 246, 161, 160, 159, 158, 157, 173, 133], [263, 466, 388, 387, 386, 385, 384, 398, 362]]
    lowers = [[33, 7, 163, 144, 145, 153, 154, 155, 133], [263, 249, 390, 373, 374, 380, 381, 382, 362]]
    creases = [[247, 30, 29, 27, 28, 56], [467, 260, 259, 257, 258, 286]]
    image = _mix(image, dark, 0.55 * _lines([face.uv[c] for c in creases], [3, 3], shape, 1.6))
    image = _mix(image, red * 0.9, 0.55 * _lines([face.uv[c] for c in lowers], [5, 5], shape, 1.5))
    lash = np.array([0.10, 0.07, 0.06], np.float32)
    image = _mix(image, lash, 0.92 * _lines([face.uv[c] for c in uppers], [look.lashes + 2] * 2, shape, 0.9))
    image = _mix(image, lash, 0.45 * _lines([face.uv[c] for c in lowers], [2, 2], shape, 0.9))

    # Brows: a soft shade under single hairs.
    strokes, widths = _brow_strokes(face.uv, look, generator)
    hairs = _lines(strokes, widths, shape, 0.7)
    shade = cv2.GaussianBlur(hairs, (0, 0), 5)
    brow = np.asarray(look.hair, np.float32) * 0.62
    image = _mix(image, brow, np.clip(0.55 * shade, 0, 1))
    image = _mix(image, brow, np.clip(0.85 * hairs, 0, 1))

    # Hair above the hairline, running outward from the face.
    wide, high = hairline(look)
    angle = np.arctan2(y + 0.5, x)
    ragged = 0.013 * noise((1, 2048), (1, 420), generator)[0] + 0.014 * noise((1, 2048), (1, 24), generator)[0]
    edge = np.interp(angle, np.linspace(-np.pi, np.pi, 2048), ragged)
    reach = np.sqrt((x / wide) ** 2 + ((y + 0.5) / high) ** 2) + edge
    hair = _ramp(reach, 0.96, 1.03) * _ramp(y, 0.7, 2.3)
    # The strands continue in the shell, whose columns are the vertices of the rim.
    rim = face.vertices[face.face_oval]
    columns = np.unwrap(np.arctan2(rim[:, 1] + 0.5, rim[:, 0]))
    turn = np.where(angle > columns[0], angle - 2 * np.pi, angle)
    column = np.interp(-turn, np.append(-columns, 2 * np.pi - columns[0]), np.linspace(0, strands.shape[1] - 1, 37))
    at_rim = np.hypot(rim[:, 0] / wide, (rim[:, 1] + 0.5) / high)
    at_rim = np.interp(column, np.linspace(0, strands.shape[1] - 1, 37), np.append(at_rim, at_rim[0]))
    row = np.clip((at_rim + edge - reach) * 200, 0, SHELL.height - 1)
    strands = cv2.remap(strands, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)
    image = _mix(image, _hair(look, strands - 0.35 * (1 - _ramp(reach, 1.0, 1.1))), hair)

    # Outside the mesh the nearest colour continues, so that bilinear sampling at the rim picks up no other colour.
    outside = (~raster.coverage).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.zeros(labels.max() + 1, np.int64)
    inside = np.flatnonzero(outside.ravel() == 0)
    nearest[labels.ravel()[inside]] = inside
    return np.asarray(image.reshape(-1, 3)[nearest[labels.ravel()]].reshape(image.shape), np.float32)


def _paint_eye(look: Look, generator: np.random.Generator) -> Image:
    shape = (EYE.height, EYE.width)
    y, x = (np.mgrid[: shape[0], : shape[1]] + 0.5 - shape[0] / 2) / (shape[0] / 2)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    image = np.ones((*shape, 3), np.float32) * np.array([0.93, 0.91, 0.89], np.float32)
    veins = np.abs(noise(shape, (14, 14), generator))
    image = _mix(image, (0.85, 0.55, 0.52), (0.20 * _ramp(radius, 0.55, 1.0) * veins))
    rays = np.interp(angle, np.linspace(-np.pi, np.pi, 256), noise((1, 256), (1, 60), generator)[0])
    tone = 1 + 0.18 * rays - 0.5 * _ramp(radius, 0.30, 0.40)
    iris = np.asarray(look.eyes, np.float32) * tone[..., None]
    image = _mix(image, iris, 1 - _ramp(radius, 0.385, 0.42))
    image = _mix(image, (0.02, 0.02, 0.02), 1 - _ramp(radius, 0.15, 0.18))
    window = np.hypot(x + 0.13, y + 0.15)
    return _mix(image, (1.0, 1.0, 1.0), 0.9 * (1 - _ramp(window, 0.05, 0.10)))


def _paint_teeth(shape: tuple[int, int], widths: list[float], generator: np.random.Generator) -> Image:
    """A row of teeth from the middle to both sides; gum at the top, biting edge at the bottom."""
    rows, columns = shape
    v = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    place = np.abs(np.linspace(-1, 1, columns))
    edges = np.concatenate([[0.0], np.cumsum(widths)]) / sum(widths)
    tooth = np.clip(np.searchsorted(edges, place, side="right") - 1, 0, len(widths) - 1)
    within = (place - edges[tooth]) / np.diff(edges)[tooth]
    gap = np.minimum(within, 1 - within) * np.asarray(widths)[tooth]
    light = (0.99 + 0.02 * generator.normal(size=len(widths)))[tooth] * (1 - 0.25 * place**2)
    light = light * (1 - 0.36 * np.exp(-((gap / 0.045) ** 2)))
    image = np.ones((rows, columns, 3), np.float32) * np.array([0.93, 0.89, 0.81], np.float32)
    image *= light[None, :, None].astype(np.float32) * (0.90 + 0.10 * v)[..., None]
    arch = 0.18 + 0.10 * (2 * within - 1) ** 2
    gum = _ramp(arch[None, :] - v, -0.05, 0.05)
    return _mix(image, (0.72, 0.38, 0.38), gum)


def _paint_shell(look: Look, heights: NDArray[np.float64], strands: Image, generator: np.random.Generator) -> Image:
    """Surroundings of the face: hair beside and above it, skin below; ``heights`` (36,) of the rim of the face, in
    cm."""
    shape = (SHELL.height, SHELL.width)
    around = np.interp(np.linspace(0, 36, shape[1]), np.arange(37), np.append(heights, heights[0])).astype(np.float32)
    skin = _skin_field(look, shape, generator)
    start = 1.2 if look.length < 0.5 else -6.0
    edge = around[None] + 0.5 * noise(shape, (2, 60), generator)
    hair = _hair(look, strands)
    return _mix(skin, hair, _ramp(np.asarray(edge, np.float32), start - 0.6, start + 0.6))


def paint_atlas(look: Look, heights: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.uint8]:
    """The atlas (SIZE, SIZE, 3) of a speaker; ``heights`` (36,) of the rim of the face, in cm."""
    atlas = np.zeros((SIZE, SIZE, 3), np.float32)
    strands = _strands((SHELL.height, SHELL.width), 400, generator)
    FACE.paste(atlas, _paint_face(look, strands, generator))
    EYE.paste(atlas, _paint_eye(look, generator))
    row = [0.86, 0.66, 0.78, 0.70, 0.70]
    UPPER_TEETH.paste(atlas, _paint_teeth((UPPER_TEETH.height, UPPER_TEETH.width), row, generator))
    row = [0.52, 0.58, 0.66, 0.70, 0.72]
    LOWER_TEETH.paste(atlas, _paint_teeth((LOWER_TEETH.height, LOWER_TEETH.width), row, generator))
    CAVITY.paste(atlas, np.ones((64, 64, 3), np.float32) * np.array([0.16, 0.045, 0.045], np.float32))
    TONGUE.paste(atlas, np.ones((64, 64, 3), np.float32) * np.array([0.66, 0.30, 0.30], np.float32))
    rows, columns = (np.mgrid[:64, :64] + 0.5) / 32 - 1
    hollow = np.exp(-((rows / 0.5) ** 2) - ((columns / 0.45) ** 2)).astype(np.float32)
    skin = np.asarray(look.skin, np.float32)
    EAR.paste(
        atlas,
        _mix(
            np.ones((64, 64, 3), np.float32) * skin * np.array([1.0, 0.88, 0.86], np.float32), skin * 0.55, 0.7 * hollow
        ),
    )
    COLLAR.paste(atlas, np.ones((64, 64, 3), np.float32) * np.asarray(look.shirt, np.float32) * 0.8)
    NECK.paste(atlas, _skin_field(look, (NECK.height, NECK.width), generator))
    SHELL.paste(atlas, _paint_shell(look, heights, strands, generator))
    CURTAIN.paste(atlas, _hair(look, _strands((CURTAIN.height, CURTAIN.width), 150, generator)))
    return np.asarray(np.clip(atlas * 255, 0, 255), np.uint8)
