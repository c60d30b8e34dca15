"""Appearance of a speaker, apart from the shape of the face."""

from __future__ import annotations

from typing import Self

import attrs
import numpy as np

Colour = tuple[float, float, float]
"""sRGB in [0, 1]."""

# Skin with lips of similar tone, hair, eyes: choices and pairings are ours.
_SKINS: tuple[tuple[Colour, Colour], ...] = (
    ((0.93, 0.74, 0.64), (0.78, 0.40, 0.40)),
    ((0.78, 0.57, 0.44), (0.64, 0.35, 0.33)),
    ((0.50, 0.33, 0.25), (0.46, 0.24, 0.24)),
    ((0.89, 0.70, 0.57), (0.70, 0.42, 0.40)),
    ((0.85, 0.65, 0.52), (0.72, 0.38, 0.38)),
    ((0.42, 0.28, 0.21), (0.40, 0.22, 0.22)),
    ((0.72, 0.51, 0.38), (0.62, 0.32, 0.32)),
    ((0.91, 0.72, 0.63), (0.70, 0.43, 0.42)),
)
_HAIR: tuple[Colour, ...] = (
    (0.33, 0.20, 0.12),
    (0.13, 0.10, 0.09),
    (0.10, 0.08, 0.08),
    (0.42, 0.29, 0.17),
    (0.55, 0.27, 0.12),
    (0.09, 0.08, 0.08),
    (0.20, 0.13, 0.10),
    (0.56, 0.54, 0.52),
)
_EYES: tuple[Colour, ...] = ((0.30, 0.42, 0.50), (0.33, 0.20, 0.11), (0.24, 0.14, 0.08), (0.34, 0.40, 0.26))
_SHIRTS: tuple[Colour, ...] = ((0.20, 0.30, 0.42), (0.36, 0.40, 0.36), (0.55, 0.22, 0.22), (0.26, 0.26, 0.30))
_ROOMS: tuple[Colour, ...] = ((0.66, 0.68, 0.66), (0.50, 0.55, 0.60), (0.70, 0.64, 0.56), (0.42, 0.48, 0.46))


@attrs.frozen(kw_only=True)
class Look:
    """Colours and hair of a speaker."""

    skin: Colour
    lips: Colour
    hair: Colour
    eyes: Colour
    shirt: Colour
    room: Colour
    """The background's main colour."""
    length: float
    """Length of the hair: 0 short, from 0.5 to the chin, 1 to the shoulders."""
    parting: float
    """Position of the parting of long hair, in centimetres to the speaker's left of the middle."""
    volume: float
    """Thickness of the hair above the skull, in centimetres."""
    fringe: float
    """How far hair falls onto the forehead, in about centimetres."""
    neck: float
    """Radius of the neck, in centimetres."""
    brows: float
    """Density of the brows."""
    lashes: int
    """Thickness of the lashes, in texels."""
    stubble: float
    """Beard: 0 none, 1 full."""
    blush: float
    freckles: float

    @classmethod
    def draw(cls, index: int, pitch: float, generator: np.random.Generator) -> Self:
        """The look of speaker ``index``, whose voice has this ``pitch``: speakers with low voices have short hair or a
        beard."""
        skin, lips = _SKINS[index % len(_SKINS)]
        low = pitch < 0.8
        return cls(
            skin=skin,
            lips=lips,
            hair=_HAIR[index % len(_HAIR)],
            eyes=_EYES[index % len(_EYES)],
            shirt=_SHIRTS[index % len(_SHIRTS)],
            room=_ROOMS[index % len(_ROOMS)],
            length=0.0 if low else float(generator.uniform(0.55, 1.0)),
            parting=float(generator.uniform(-1.6, 1.6)),
            volume=float(generator.uniform(0.9, 1.5)) if low else float(generator.uniform(1.4, 2.0)),
            fringe=float(generator.uniform(-0.4, 0.5)) if low else float(generator.uniform(-0.2, 0.4)),
            neck=4.9 if low else 4.2,
            brows=float(generator.uniform(1.1, 1.4)) if low else float(generator.uniform(0.75, 1.0)),
            lashes=2 if low else 4,
            stubble=float(generator.choice([0.12, 0.3, 0.75])) if low else 0.0,
            blush=float(generator.uniform(0.5, 1.0)),
            freckles=float(generator.uniform(0.0, 1.0)) ** 2,
        )
