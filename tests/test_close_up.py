"""The close-up follows the head, remembers like mouths, and goes back to where it was cut."""

import json
import re
from types import SimpleNamespace

import cattrs
import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from vast_core.mesh.close_up import MOST_MOUTHS, REMEMBERED, MouthPlace, Mouths, paste_close_up
from vast_core.mesh.scene import Crop
from vast_core.runs.store import PreparedClip
from vast_core.stages.avatar_pictures import AvatarPictures, Piece
from vast_core.stages.renderer import compare_sizes

PLACE = MouthPlace(torch.tensor([0.0, -4.0, 5.0]), side=10.0, width=5.0, size=64)


def mouths(traits):
    count = len(traits)
    return Mouths(
        PLACE, np.zeros((count, 64, 64, 3), np.uint8), np.zeros((count, 9, 3), np.float32), np.float32(traits)
    )


def pose(scale, x, y):
    return torch.tensor([[scale, 0, 0, x], [0, -scale, 0, y], [0, 0, -scale, 0.0]])


def test_the_square_is_around_the_mouth_and_grows_with_the_head():
    small, large = PLACE.crop(pose(5.0, 100.0, 100.0)), PLACE.crop(pose(10.0, 100.0, 100.0))
    assert (small.side, large.side) == pytest.approx((50.0, 100.0))
    assert (small.x + small.side / 2, small.y + small.side / 2) == pytest.approx((100.0, 120.0))
    assert PLACE.places(torch.stack([pose(5.0, 100.0, 100.0)]))[0].tolist() == pytest.approx([75.0, 95.0, 50.0])


def test_the_nearest_mouths_come_first_and_come_and_go_without_a_jump():
    bank = mouths([[0.0], [1.0], [2.0], [3.0], [10.0]])
    found, weight = bank.nearest(np.float32([0.1]))
    assert found.tolist() == [0, 1, 2]
    assert weight.sum() == pytest.approx(1)
    assert weight[0] > weight[1] > weight[2]
    # halfway, the third and the fourth are equally near: neither counts
    _, before = bank.nearest(np.float32([1.499]))
    assert before[-1] < 0.01


def test_mouths_that_are_not_allowed_are_not_remembered():
    bank = mouths([[0.0], [1.0], [2.0], [3.0], [10.0]])
    found, _ = bank.nearest(np.float32([0.1]), np.array([False, True, False, True, True]))
    assert found.tolist() == [1, 3, 4]
    found, weight = bank.nearest(np.float32([0.1]), np.array([True, False, False, False, False]))
    assert found.tolist() == [0] * REMEMBERED
    assert weight.tolist() == [1.0, 0.0, 0.0]


def test_the_mouths_that_are_kept_are_unlike():
    values = np.concatenate([np.zeros(50), np.full(50, 1.0), [7.0]])[:, None]
    kept = values[mouths(values).spread(3)].ravel()
    assert sorted(kept) == [0.0, 1.0, 7.0]
    assert len(mouths(np.random.default_rng(0).random((400, 2))).spread()) == MOST_MOUTHS


def test_mouths_survive_a_file():
    bank = mouths([[0.0], [1.0]])
    again = Mouths.of_tensors(bank.tensors)
    assert np.array_equal(again.traits, bank.traits)
    assert (again.place.side, again.place.width, again.place.size) == (10.0, 5.0, 64)
    assert again.place.centre.tolist() == bank.place.centre.tolist()


def test_a_close_up_returns_to_its_square():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    own = torch.stack([0.5 + 0.4 * torch.sin(x / 9), 0.5 + 0.4 * torch.cos(y / 7), 0.5 + 0 * x])[None]
    cut = torch.nn.functional.interpolate(own[..., 16:48, 20:52], size=(64, 64), mode="bilinear")
    region = torch.nn.functional.pad(torch.ones(1, 1, 48, 48), (8, 8, 8, 8))
    where = torch.tensor([[20.0, 16.0, 32.0]])
    assert (paste_close_up(own, cut, region, where) - own).abs().max() < 0.02
    red = paste_close_up(own, torch.ones_like(cut), region, where)
    assert (red[..., 21:43, 25:47] == 1).all()
    assert torch.equal(red[..., :19, :], own[..., :19, :])


@pytest.mark.parametrize(
    ("head", "said"), [(9.0, None), (30.0, "with 300 pixels, but it is drawn with 64.*=320 keeps")]
)
def test_a_mouth_that_the_footage_shows_larger_than_it_is_drawn_is_said(tmp_path, head, said):
    crop = Crop(10.0, 20.0, 40 * head, 128)
    save_file({"pose": crop.pose(pose(head, 300.0, 300.0).expand(5, 3, 4))}, tmp_path / "0.safetensors")
    save_file({**mouths([[0.0]]).tensors, "origins": torch.zeros(1, 2)}, tmp_path / "mouths.safetensors")
    clip = PreparedClip(
        file="0",
        name="a",
        source="a",
        start=0,
        frames=5,
        speaker="ann",
        group="",
        weight=1.0,
        split="train",
        style=None,
        heard=True,
        offset_ms=0.0,
        image_size=(720, 720),
        notes=(),
    )
    piece = Piece(clip=clip, crop=crop, file="0.safetensors")
    (tmp_path / "index.json").write_text(json.dumps({"name": "ann", "pieces": [cattrs.unstructure(piece)]}))
    avatar = AvatarPictures(tmp_path)
    assert avatar.close_up_side == pytest.approx(10 * head)
    console = Console(record=True, width=300)
    sizes = SimpleNamespace(image=64)
    compare_sizes(SimpleNamespace(console=console, pipeline=SimpleNamespace(sizes=sizes)), avatar)
    text = console.export_text()
    assert re.search(said, text) if said else not text
