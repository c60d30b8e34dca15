"""The avatar's footage as training data of the renderer: cropped, drawn and masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np
import torch
from numpy.typing import NDArray
from rich.text import Text
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import InputError
from ..files.atomic import remove_left, replacing, write_text
from ..files.names import composed
from ..files.remote import fetched, sent
from ..interfaces import Clip, Corpus, RendererBatch, place
from ..mesh.close_up import MouthPlace, Mouths, traits
from ..mesh.scene import Crop, Image, as_images, eyes_masks, hull_masks, make_scene, most_neutral, mouth_masks
from ..places import cache_root
from ..registry.core_stages import RendererStage
from ..runs.keys import code_digest, digest
from ..runs.lock import awaited
from ..runs.store import PreparedClip
from ..speak.base_clip import BaseClip, Video
from .context import StageContext

__all__ = ["AvatarPictures", "Piece", "as_base", "find_clip", "footage_of", "image_vertices", "make_avatar"]

PICTURES = ("frames", "mesh", "texture", "coverage", "hull", "mouth", "eyes")
GEOMETRY = ("vertices", "pose", "expression")
CLOSE_UPS = ("close_ups", "close_up_vertices")


def choose_avatar(context: StageContext) -> str:
    """The speaker on which the renderer is trained: that of the recipe, or the one with most training footage.

    In a union of corpora, without a speaker in the recipe, it is one of the first corpus.

    Raises :class:`InputError` if the recipe names a speaker that is not in the corpus.
    """
    amount: dict[str, int] = {}
    own: set[str] = set()
    for clip in context.store.of("train"):
        amount[clip.speaker] = amount.get(clip.speaker, 0) + clip.frames
        if clip.group == context.store.main_group:
            own.add(clip.speaker)
    wanted = context.options("renderer", RendererStage).avatar
    if wanted is None:
        return max(own or amount, key=lambda speaker: amount[speaker])
    same = [speaker for speaker in amount if composed(speaker) == composed(wanted)]
    if not same:
        raise InputError(f"stages.renderer.avatar: no speaker {wanted!r}; the corpus has {', '.join(sorted(amount))}")
    return same[0]


def footage_of(context: StageContext, clip: PreparedClip) -> Iterator[Image]:
    """The frames of one prepared clip, read again from the corpus."""
    source = find_clip(context.pipeline.corpus, clip.source)
    return islice(source.footage.frames(), clip.start, clip.start + clip.frames)


def find_clip(corpus: Corpus, name: str) -> Clip:
    """The clip of this name in the corpus. Raises :class:`InputError` if there is none."""
    for clip in corpus.clips():
        if clip.name == name:
            return clip
    raise InputError(f"{name}: the corpus no longer has this clip; put it back, or prepare again")


@attrs.frozen(kw_only=True)
class Piece:
    """Pictures of one clip on disk, cropped."""

    clip: PreparedClip
    crop: Crop
    file: str


@attrs.frozen(slots=False)
class AvatarPictures:
    """The folder of one avatar's pictures: training and held-out pieces, mean texture and reference."""

    path: Path

    @property
    def complete(self) -> bool:
        """Whether everything is written."""
        return (self.path / "index.json").is_file()

    @cached_property
    def _index(self) -> dict[str, Any]:
        index: dict[str, Any] = json.loads((self.path / "index.json").read_text(encoding="utf-8"))
        return index

    @property
    def name(self) -> str:
        """Name of the speaker."""
        return str(self._index["name"])

    @cached_property
    def pieces(self) -> list[Piece]:
        """All pieces, training ones first."""
        return cattrs.structure(self._index["pieces"], list[Piece])

    @cached_property
    def look(self) -> dict[str, Tensor]:
        """Mean ``texture`` (U, U, 3), ``reference`` (3, Y, X), both uint8, and ``reference_vertices`` (V, 3)."""
        return load_file(self.path / "look.safetensors")

    @cached_property
    def mouths(self) -> Mouths:
        """The mouths that the avatar remembers, if its renderer draws close-ups."""
        return Mouths.of_tensors(load_file(self.path / "mouths.safetensors"))

    @cached_property
    def mouth_origins(self) -> NDArray[np.int64]:
        """(N, 2): the piece from which each remembered mouth comes, and its frame there."""
        return load_file(self.path / "mouths.safetensors")["origins"].numpy()

    @cached_property
    def close_up_side(self) -> float:
        """Side of the mouth's square in the footage, in pixels; median over the first piece's frames."""
        piece = self.pieces[0]
        poses = self.read(piece, 0, piece.clip.frames, ("pose",))["pose"][0]
        return float(self.mouths.place.places(poses)[:, 2].median()) / piece.crop.scale

    def of(self, split: str) -> list[Piece]:
        """The pieces of one split."""
        return [piece for piece in self.pieces if piece.clip.split == split]

    def read(
        self, piece: Piece, start: int, stop: int, names: Sequence[str] = (*PICTURES, *GEOMETRY, "audio")
    ) -> dict[str, Tensor]:
        """Pictures (1, T, C, Y, X), uint8, audio (1, T, A) and geometry of some of a piece's frames."""
        with safe_open(self.path / piece.file, framework="pt") as file:
            return {name: file.get_slice(name)[start:stop][None] for name in names}

    def batch(self, piece: Piece, start: int, stop: int, radius: int, device: torch.device) -> RendererBatch:
        """Frames ``start`` to ``stop`` of a piece as a batch; the hole is ``radius`` pixels wider than the face."""
        rows = {name: value.to(device) for name, value in self.read(piece, start, stop).items()}
        scene = make_scene(
            rows["frames"],
            rows["hull"],
            rows["mesh"],
            rows["texture"],
            rows["coverage"],
            rows["audio"],
            radius,
            **{name: rows[name] for name in GEOMETRY},
            reference=as_images(self.look["reference"])[None].to(device),
            reference_vertices=self.look["reference_vertices"][None].to(device),
        )
        return RendererBatch(
            scene=scene,
            frames=as_images(rows["frames"]),
            face=rows["hull"].float(),
            mouth=rows["mouth"].float(),
            eyes=rows["eyes"].float(),
        )


def trained_audio(context: StageContext) -> str | None:
    """Inputs of trained audio features; None if they are not trained."""
    trained = context.trains_audio and context.recipe.runs("style")
    return context.key("style") if trained else None


def avatar_key(context: StageContext) -> str:
    """Digest of everything that an avatar's pictures depend on."""
    settings = context.options("renderer", RendererStage)
    own: list[Any] = [settings.avatar, settings.margin, settings.max_seconds, context.pipeline.sizes.image]
    own.append(settings.close_up if context.pipeline.renderer.draws_close_up else None)
    return digest([context.key("prepare"), trained_audio(context), code_digest(__name__), *own])


def make_avatar(context: StageContext) -> AvatarPictures:
    """Crop, draw and mask the avatar's footage, unless an earlier run did."""
    avatar = AvatarPictures(cache_root() / "avatars" / avatar_key(context))
    if not avatar.complete:
        fetched(avatar.path, missing=True)
    if not avatar.complete:
        with awaited(avatar.path, context.say):
            if not avatar.complete:  # nor has another run drawn it meanwhile
                remove_left(avatar.path, alone=True)
                _draw(context, avatar)
    sent(avatar.path)
    return avatar


def _draw(context: StageContext, avatar: AvatarPictures) -> None:
    """Write all pieces of an avatar, and last its index."""
    name, settings, fps = choose_avatar(context), context.options("renderer", RendererStage), context.run.recipe.fps
    chosen: list[PreparedClip] = []
    for split, seconds in (("train", settings.max_seconds), ("held_out", settings.max_seconds / 4)):
        left = seconds * fps
        # the longest clips first: the avatar's base clip is one of them
        for clip in sorted(context.store.of(split, speaker=name), key=lambda c: -c.frames):
            if left > fps:
                chosen.append(
                    attrs.evolve(clip, frames=min(clip.frames, round(left)) if left < clip.frames else clip.frames)
                )
                left -= chosen[-1].frames
    size = context.pipeline.sizes.image
    crops, positions = [], []
    for clip in chosen:
        where = image_vertices(context, clip)
        crop = Crop.around(where, settings.margin, size)
        crops.append(crop)
        positions.append(crop.vertices(where))
    with context.console.status(f"drawing {name}") as status:
        texture = _texture(context, chosen, crops, positions)
        reference = _reference(context, chosen[0], crops[0], positions[0])
        with replacing(avatar.path / "look.safetensors") as temporary:
            save_file({"texture": torch.from_numpy(texture), **reference}, temporary)
        pieces = []
        for number, (clip, crop, position) in enumerate(zip(chosen, crops, positions, strict=True)):
            status.update(Text(f"drawing {name}: {clip.name}"))
            piece = Piece(clip=clip, crop=crop, file=f"{number:04d}.safetensors")
            _write_piece(context, avatar, piece, position, texture)
            pieces.append(piece)
        if context.pipeline.renderer.draws_close_up:
            _write_mouths(context, avatar, pieces)
    write_text(avatar.path / "index.json", json.dumps({"name": name, "pieces": cattrs.unstructure(pieces)}))


def as_base(context: StageContext, avatar: AvatarPictures, piece: Piece, video: Video) -> BaseClip:
    """A piece of the avatar's footage, whose frames are in ``video``, as base clip."""
    clip, store = piece.clip, context.store
    return BaseClip(
        avatar=avatar.name,
        source=clip.source,
        start=clip.start,
        crop=piece.crop,
        video=video,
        identity=store.identities[clip.speaker],
        pose=store.read(clip, "pose", 0, clip.frames),
        displacement=store.read(clip, "displacement", 0, clip.frames).half(),
        **avatar.look,
        mouths=avatar.mouths if context.pipeline.renderer.draws_close_up else None,
    )


def image_vertices(context: StageContext, clip: PreparedClip) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The tracked face (T, V, 3) in pixels of the footage."""
    store = context.store
    vertices = store.identities[clip.speaker] + store.read(clip, "displacement", 0, clip.frames)
    return place(vertices, store.read(clip, "pose", 0, clip.frames)).numpy()


def _texture(context: StageContext, clips: list[PreparedClip], crops: list[Crop], positions: list[Any]) -> Image:
    """Mean texture of about 80 frames, spread over all training clips."""
    wanted = 80
    total = sum(clip.frames for clip in clips if clip.split == "train")
    every = max(1, total // wanted)
    frames, vertices = [], []
    for clip, crop, position in zip(clips, crops, positions, strict=True):
        if clip.split != "train":
            continue
        for number, frame in enumerate(footage_of(context, clip)):
            if number % every == 0:
                frames.append(crop.cut(frame))
                vertices.append(position[number])
    return context.pipeline.face.unwrap(frames, np.stack(vertices))


def _reference(context: StageContext, clip: PreparedClip, crop: Crop, position: Any) -> dict[str, Tensor]:
    """The most neutral frame of a clip, cut, and the face in it."""
    displacement, valid = (context.store.read(clip, name, 0, clip.frames) for name in ("displacement", "valid"))
    number = most_neutral(displacement, valid)
    cut = crop.cut(next(islice(footage_of(context, clip), number, None)))
    return {
        "reference": torch.from_numpy(cut).permute(2, 0, 1).contiguous(),
        "reference_vertices": torch.from_numpy(position[number]),
    }


def mouth_place(context: StageContext, clip: PreparedClip) -> MouthPlace:
    """Where the close-up is on the head of a clip's speaker."""
    widths = context.options("renderer", RendererStage).close_up
    identity = context.store.identities[clip.speaker]
    return MouthPlace.of(context.pipeline.face, identity, widths, context.pipeline.sizes.image)


def _close_ups(context: StageContext, piece: Piece) -> dict[str, Tensor]:
    """The mouth of every frame, cut at the footage's own resolution, and the face in these pictures."""
    mouth = mouth_place(context, piece.clip)
    crops = [mouth.crop(pose) for pose in context.store.read(piece.clip, "pose", 0, piece.clip.frames)]
    frames, faces = footage_of(context, piece.clip), image_vertices(context, piece.clip)
    cut = np.stack([crop.cut(frame) for crop, frame in zip(crops, frames, strict=True)])
    return {
        "close_ups": torch.from_numpy(cut).permute(0, 3, 1, 2).contiguous(),
        "close_up_vertices": torch.from_numpy(np.stack([c.vertices(v) for c, v in zip(crops, faces, strict=True)])),
    }


def _write_mouths(context: StageContext, avatar: AvatarPictures, pieces: Sequence[Piece]) -> None:
    """Keep mouths of the training pieces, as unlike as possible."""
    pictures, vertices, own, origins = [], [], [], []
    mouth = mouth_place(context, pieces[0].clip)
    for number, piece in enumerate(pieces):
        if piece.clip.split != "train":
            continue
        rows = avatar.read(piece, 0, piece.clip.frames, (*CLOSE_UPS, "pose"))
        valid = context.store.read(piece.clip, "valid", 0, piece.clip.frames).numpy()
        faces = rows["close_up_vertices"][0].numpy()
        pictures.append(rows["close_ups"][0].permute(0, 2, 3, 1).numpy()[valid].copy())
        vertices.append(faces[valid])
        own.append(traits(context.pipeline.face, faces, rows["pose"][0], mouth)[valid])
        origins.append(np.stack([np.full(len(valid), number), np.arange(len(valid))], axis=1)[valid])
    every = Mouths(mouth, *(np.concatenate(part) for part in (pictures, vertices, own)))
    kept = every.spread()
    with replacing(avatar.path / "mouths.safetensors") as temporary:
        save_file({**every[kept].tensors, "origins": torch.from_numpy(np.concatenate(origins)[kept])}, temporary)


def _write_piece(context: StageContext, avatar: AvatarPictures, piece: Piece, position: Any, texture: Image) -> None:
    face, size = context.pipeline.face, context.pipeline.sizes.image
    cut = np.stack([piece.crop.cut(frame) for frame in footage_of(context, piece.clip)])
    if len(cut) != piece.clip.frames:
        raise InputError(
            f"{piece.clip.source}: {len(cut)} frames could be read, but {piece.clip.frames} were prepared; "
            "the file has changed since: prepare again"
        )
    drawing = face.draw(position, size, texture)
    arrays = {
        "frames": torch.from_numpy(cut).permute(0, 3, 1, 2).contiguous(),
        "mesh": torch.from_numpy(drawing.mesh),
        "texture": torch.from_numpy(drawing.texture),
        "coverage": torch.from_numpy(drawing.coverage),
        "hull": torch.from_numpy(hull_masks(position, size)),
        "mouth": torch.from_numpy(mouth_masks(face, position, size)),
        "eyes": torch.from_numpy(eyes_masks(face, position, size)),
        "audio": context.store.features(piece.clip, context.pipeline.audio, 0, piece.clip.frames),
        "vertices": torch.from_numpy(position),
        "pose": piece.crop.pose(context.store.read(piece.clip, "pose", 0, piece.clip.frames)),
        "expression": context.store.read(piece.clip, "expression", 0, piece.clip.frames),
    }
    if context.pipeline.renderer.draws_close_up:
        arrays |= _close_ups(context, piece)
    with replacing(avatar.path / piece.file) as temporary:
        save_file({name: array.contiguous() for name, array in arrays.items()}, temporary)
