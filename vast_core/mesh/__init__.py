"""Geometry that corpora, faces and renderers share."""

from __future__ import annotations

from .canonical import CanonicalFace, canonical_face
from .close_up import paste_close_up
from .rasterise import Raster, interpolate, rasterise, sample_texture, shade, texel_positions, vertex_normals
from .scene import Crop, Image, as_images, dilate, erosion_radius, eyes_masks, hull_masks, make_scene

__all__ = [
    "CanonicalFace",
    "Crop",
    "Image",
    "Raster",
    "as_images",
    "canonical_face",
    "dilate",
    "erosion_radius",
    "eyes_masks",
    "hull_masks",
    "interpolate",
    "make_scene",
    "paste_close_up",
    "rasterise",
    "sample_texture",
    "shade",
    "texel_positions",
    "vertex_normals",
]
