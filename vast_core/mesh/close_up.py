"""The mouth's close-up: its place, its masks, and the avatar's remembered mouths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import attrs
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..interfaces import Face, place
from .scene import Crop, Image, as_images, hull_masks
from .warp import Wanted, known, warped

Floats = NDArray[np.float32]

REMEMBERED = 3
"""Number of remembered mouths in a scene, K."""

MOST_MOUTHS = 300
"""Number of mouths that an avatar keeps: 15 MB at 128 pixels."""

OPENING_WEIGHT, TURN_WEIGHT = 1.8, 0.3
"""How much a difference in opening (in distances of the eyes) and in rotation counts beside one of the lips' shape (in
widths of the mouth)."""

_ROWS = ("pictures", "vertices", "traits")

REGION, SOFT = 0.19, 0.06
"""How far the drawn region reaches around the lips, and the width of its border, in widths of the mouth."""


@attrs.frozen(eq=False)
class MouthPlace:
    """Where the mouth's square is on a head: the same for all frames of one avatar."""

    centre: Tensor
    """(3,), canonical."""
    side: float
    """Canonical."""
    width: float
    """Width of the closed mouth, canonical."""
    size: int
    """Y = X of the close-up, in pixels."""

    @classmethod
    def of(cls, face: Face, identity: Tensor, widths: float, size: int) -> Self:
        """The square around the neutral mouth of ``identity`` (V, 3), ``widths`` times as wide as the mouth."""
        lips = identity[face.lips].float()
        width = float(lips[:, 0].max() - lips[:, 0].min())
        return cls(lips.mean(0), widths * width, width, size)

    def crop(self, pose: Tensor) -> Crop:
        """The square in a picture in which the head has this ``pose`` (3, 4)."""
        centre = place(self.centre[None], pose)[0]
        side = self.side * float(torch.linalg.det(pose[:, :3].double()).abs()) ** (1 / 3)
        return Crop(float(centre[0]) - side / 2, float(centre[1]) - side / 2, side, self.size)

    def places(self, poses: Tensor) -> Tensor:
        """The squares (T, 3) for poses (T, 3, 4), as :attr:`CloseUp.place`."""
        crops = [self.crop(pose) for pose in poses]
        return torch.tensor([[crop.x, crop.y, crop.side] for crop in crops])

    @property
    def pixels(self) -> float:
        """Width of the mouth in pixels of the close-up."""
        return self.width / self.side * self.size


@attrs.frozen(eq=False)
class Mouths:
    """Mouths of one avatar in close-up, and what is known of each."""

    place: MouthPlace
    pictures: Image
    """(N, size, size, 3)."""
    vertices: Floats
    """(N, V, 3): the face, in pixels of the close-up."""
    traits: Floats
    """(N, D): what makes mouths alike, see :func:`traits`."""

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, rows: Any) -> Mouths:
        return Mouths(self.place, self.pictures[rows], self.vertices[rows], self.traits[rows])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of it as tensors, for a file."""
        own = {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in _ROWS}
        return {**own, "place": torch.tensor([*self.place.centre.tolist(), self.place.side, self.place.width])}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """What :attr:`tensors` gave."""
        pictures, vertices, own = (tensors[name].numpy() for name in _ROWS)
        x, y, z, side, width = tensors["place"].tolist()
        return cls(MouthPlace(torch.tensor([x, y, z]), side, width, pictures.shape[1]), pictures, vertices, own)

    def nearest(self, wanted: Floats, allowed: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.int64], Floats]:
        """The ``REMEMBERED`` mouths of which the traits are nearest to ``wanted`` (D,), and weights with sum 1.

        A weight falls to 0 at the distance of the next mouth, so that mouths come and go without a jump. Only those
        that are ``allowed`` (N,) are considered; if there are too few, the last is repeated.
        """
        distance = np.linalg.norm(self.traits - wanted, axis=1)
        if allowed is not None:
            distance = np.where(allowed, distance, np.inf)
        order = np.argsort(distance, kind="stable")[: REMEMBERED + 1]
        order = order[np.isfinite(distance[order])]
        beyond = distance[order[-1]] if len(order) > REMEMBERED else 2 * distance[order[-1]] + 1e-6
        found = order[:REMEMBERED]
        weight = np.maximum(1 - distance[found] / max(beyond, 1e-6), 1e-3)
        missing = REMEMBERED - len(found)
        found, weight = np.pad(found, (0, missing), "edge"), np.pad(weight, (0, missing))
        return found, np.asarray(weight / weight.sum(), np.float32)

    def spread(self, most: int = MOST_MOUTHS) -> NDArray[np.int64]:
        """Rows of at most ``most`` mouths, each as unlike all before it as possible (farthest point sampling)."""
        chosen = [int(np.linalg.norm(self.traits - self.traits.mean(0), axis=1).argmin())]
        away = np.linalg.norm(self.traits - self.traits[chosen[0]], axis=1)
        while len(chosen) < most and away.max() > 0:
            chosen.append(int(away.argmax()))
            away = np.minimum(away, np.linalg.norm(self.traits - self.traits[chosen[-1]], axis=1))
        return np.array(chosen)


def traits(face: Face, vertices: Floats, pose: Tensor, mouth: MouthPlace) -> Floats:
    """What makes mouths alike (N, D), of faces (N, V, 3) in close-up: the lips, their opening and the head's turn.

    The root mean square distance of the lips is in widths of the mouth.
    """
    lips = (vertices[:, face.lips, :2] - mouth.size / 2) / mouth.pixels
    scale = torch.linalg.det(pose[:, :, :3].double()).abs().pow(1 / 3).float()
    turn = (pose[:, :, :3] / scale[:, None, None]).flatten(1).numpy()
    opening = face.lip_opening(torch.from_numpy(vertices)).numpy()[:, None]
    shape = lips.reshape(len(lips), -1) / np.sqrt(lips.shape[1])
    return np.concatenate([shape, OPENING_WEIGHT * opening, TURN_WEIGHT * turn], axis=1).astype(np.float32)


def close_ups(
    face: Face,
    bank: Mouths,
    wanted: Floats,
    wanted_traits: Floats,
    own: Sequence[Image],
    own_vertices: Floats,
    allowed: Sequence[NDArray[np.bool_]] | None = None,
) -> dict[str, Tensor]:
    """The fields of a :class:`CloseUp` but its place, of T frames (T, ...), for the faces ``wanted`` (T, V, 3).

    ``own`` are the close-ups of the moments' own frames, in which the face is ``own_vertices`` (T, V, 3).
    ``allowed[t]`` (N,) says which mouths of the bank may be remembered.
    """
    size, pixels = bank.place.size, bank.place.pixels
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in ("own", "known", "remembered", "likeness", "opening")}
    lips = hull_masks(wanted[:, face.lips], size)
    region, around = [], []
    for mask in lips[:, 0]:
        region.append(_soft(_grown(mask, (REGION - SOFT) * pixels), SOFT * pixels))
        around.append(_grown(mask, 0.25 * pixels) - _grown(mask, 0.04 * pixels))
    for number, target in enumerate(wanted):
        face_there = Wanted(target, face, size, same_pose=False)
        found, likeness = bank.nearest(wanted_traits[number], None if allowed is None else allowed[number])
        shift, *shifts = face_there.shifts_from([own_vertices[number], *bank.vertices[found]])
        mine = warped(own[number], shift)
        opening = lips[number, 0] * ~face_there.covered
        others = [warped(picture, way) for picture, way in zip(bank.pictures[found], shifts, strict=True)]
        rows["own"].append(mine)
        rows["known"].append(known(shift) * (1 - opening))
        rows["remembered"].append(np.stack([_recoloured(other, mine, around[number]) for other in others]))
        rows["likeness"].append(likeness)
        rows["opening"].append(opening)
    stacked = {name: torch.from_numpy(np.stack(values)) for name, values in rows.items()}
    return {
        "own": as_images(stacked["own"].movedim(-1, 1)),
        "remembered": as_images(stacked["remembered"].movedim(-1, 2)),
        "likeness": stacked["likeness"],
        "known": stacked["known"][:, None],
        "opening": stacked["opening"][:, None].float(),
        "lips": torch.from_numpy(lips).float(),
        "region": torch.from_numpy(np.stack(region))[:, None],
    }


def _grown(mask: Image, pixels: float) -> Image:
    """A mask (Y, X) of 0 and 1, grown by a disc."""
    radius = round(pixels)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask, disc))


def _soft(mask: Image, pixels: float) -> Floats:
    """A mask (Y, X) with a border that is about twice ``pixels`` wide, and 0 at the edge of the picture."""
    framed = np.pad(mask[1:-1, 1:-1], 1).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(framed, (0, 0), max(0.5, pixels / 2), borderType=cv2.BORDER_CONSTANT))


def _recoloured(other: Image, mine: Image, around: Image) -> Image:
    """``other`` with the mean colour that ``mine`` has where ``around`` (Y, X) is 1."""
    if not around.any():
        return other
    change = np.subtract(cv2.mean(mine, around)[:3], cv2.mean(other, around)[:3])
    return np.asarray(np.clip(np.rint(other + change), 0, 255), np.uint8)


def paste_close_up(own: Tensor, picture: Tensor, region: Tensor, where: Tensor) -> Tensor:
    """Pictures ``own`` (..., 3, Y, X) with close-ups (..., 3, y, x) in them, each in its square ``where`` (..., 3).

    ``region`` (..., 1, y, x) is the weight of the close-up, ``where`` as :attr:`CloseUp.place`.
    """
    shape, size = own.shape, own.shape[-1]
    flat, corner = own.flatten(0, -4), where.reshape(-1, 1, 3).to(own.dtype)
    # two samples a pixel along each axis, because the close-up may be twice as fine
    axis = (torch.arange(2 * size, device=own.device, dtype=own.dtype) + 0.5) / 2
    x, y = (2 * (axis - corner[..., 0]) / corner[..., 2] - 1, 2 * (axis - corner[..., 1]) / corner[..., 2] - 1)
    grid = torch.stack([x[:, None, :].expand(-1, 2 * size, -1), y[:, :, None].expand(-1, -1, 2 * size)], dim=-1)
    both = torch.cat([picture, region], dim=-3).flatten(0, -4)
    seen = F.avg_pool2d(F.grid_sample(both, grid, align_corners=False, padding_mode="zeros"), 2)
    weight = seen[:, 3:]
    return (flat + weight * (seen[:, :3] - flat)).reshape(shape)
