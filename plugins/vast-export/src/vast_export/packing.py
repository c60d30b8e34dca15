"""``vast pack --format onnx``: an avatar in one file that vast-runtime lets speak.

A zip whose members are stored, not compressed: ``avatar.json`` (how to use the rest, and the SHA-256 of each member),
the graphs, ``tables.npz`` (poses, mesh, texture, remembered mouths), and the video of the avatar's own footage.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.api import Avatar, load
from vast_core.errors import VastError
from vast_core.files import replacing
from vast_core.media import file_digest
from vast_core.mesh import canonical_face, erosion_radius
from vast_core.registry import Registry
from vast_core.runs import read_header

from .exporting import FACTS, export, require_passed
from .sounds import check_sound

FORMAT = 1

TABLES, VIDEO = "tables.npz", "base.mp4"

DRAWN = ("background", "hole", "mesh", "texture", "coverage")
"""Inputs of a renderer that depend on the face as :meth:`vast_core.interfaces.Face.draw` draws it."""


def pack(*, run: Path, out: Path, registry: Registry, look_ahead: float | None = None) -> None:
    """Write the avatar of a finished run to ``out``.

    Raises :class:`VastError` that names the component if one cannot be exported, and the errors of
    :func:`vast_core.load`.
    """
    avatar = load(run, device="cpu", look_ahead=look_ahead, registry=registry)
    with tempfile.TemporaryDirectory(prefix="vast-pack-") as name:
        folder = Path(name)
        require_passed(list(export(avatar, check_sound(None), "onnx", folder, without=("style",))))
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        _check_drawing(avatar, facts)
        tables = io.BytesIO()
        np.savez(tables, **_tables(avatar))
        (folder / TABLES).write_bytes(tables.getvalue())
        files = {graph["file"]: folder / graph["file"] for graph in facts["graphs"].values()}
        files |= {TABLES: folder / TABLES, VIDEO: avatar.cast.video}
        facts |= {
            "format": FORMAT,
            **_footage(avatar),
            "metadata": avatar.marks.metadata(),
            "consent": ends_of(read_header(run / "weights" / "avatar.safetensors")),
            "sha256": {n: file_digest(p) for n, p in files.items()},
        }
        with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
            packed.writestr(FACTS, json.dumps(facts, indent=1))
            for member, path in files.items():
                packed.write(path, member)


def ends_of(header: Mapping[str, Any]) -> dict[str, str | None]:
    """When the consent of the speaker ends or was withdrawn, from the header of the avatar's weights; None if never."""
    consent = header.get("consent") or {}
    return {name: consent.get(name) for name in ("until", "withdrawn")}


def _check_drawing(avatar: Avatar, facts: dict[str, Any]) -> None:
    """Raise :class:`VastError` if the renderer needs a drawing of the face that the runtime cannot make."""
    graph, cast = facts["graphs"]["renderer"], avatar.cast
    drawn = not cast.renderer.draws_close_up or not set(DRAWN).isdisjoint(graph["inputs"])
    if drawn and not np.array_equal(cast.pipeline.face.triangles, canonical_face().triangles):
        raise VastError(
            f"{facts['graphs']['face']['component']}: cannot be packed as onnx: {graph['component']} needs it drawn, "
            "and vast-runtime draws only the mesh of face/landmarks; a renderer of close-ups needs no drawing"
        )


def _footage(avatar: Avatar) -> dict[str, Any]:
    """What must be known of the avatar's own footage."""
    base = avatar.cast.base
    place = None if base.mouths is None else base.mouths.place
    return {
        "size": list(base.video.size),
        "frames": len(base),
        "crop": attrs.asdict(base.crop),
        "erosion": erosion_radius(base.crop.size),
        "draws_close_up": avatar.cast.renderer.draws_close_up,
        "mouth": None
        if place is None
        else {"centre": place.centre.tolist(), "side": place.side, "width": place.width, "size": place.size},
    }


def _watermark(avatar: Avatar) -> NDArray[np.int16]:
    """What the marks of the avatar's videos add to each frame (Y, X, 3).

    Raises :class:`VastError` if they depend on the frame, because then vast-runtime could not mark its videos.
    """
    grey = np.full((*avatar.size, 3), 128, np.uint8)
    added = avatar.marks.frame(grey).astype(np.int16) - 128
    picture = next(avatar.cast.play())[1]
    if not np.array_equal(avatar.marks.frame(picture), (picture + added).clip(0, 255)):
        raise VastError(
            "cannot be packed as onnx: the watermark of this avatar's videos depends on the picture; switch it off in "
            "the recipe, or pack without --format"
        )
    return added


def _tables(avatar: Avatar) -> dict[str, Any]:
    """Poses, mesh, texture and remembered mouths."""
    base, face, mesh = avatar.cast.base, avatar.cast.pipeline.face, canonical_face()
    eyes = np.isin(mesh.fillers, [*mesh.eye_left, *mesh.eye_right]).all(1)
    tables: dict[str, Any] = {
        "pose": base.pose.numpy(),
        "triangles": face.triangles,
        "lips": face.lips,
        "eyes": face.eyes,
        "between_lids": mesh.fillers[eyes],
        "uv": mesh.uv,
        "texture": base.texture.numpy(),
        "reference": base.reference.numpy(),
        "reference_vertices": base.reference_vertices.numpy(),
    }
    added = _watermark(avatar)
    tables |= {f"watermark_{name}": own.clip(0).astype(np.uint8) for name, own in (("more", added), ("less", -added))}
    if base.mouths is not None:
        own = {
            "pictures": base.mouths.pictures,
            "vertices": base.mouths.vertices,
            "traits": base.mouths.traits,
        }
        tables |= {f"mouth_{name}": table for name, table in own.items()}
    return tables
