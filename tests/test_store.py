"""Prepared clips are read back as written, and only the requested rows are read."""

import pytest
import torch

from vast_core.runs import PreparedClip, RejectedClip, Store
from vast_core.runs.store import reasons


def clip(number, **other):
    facts = {
        "file": f"clips/{number}.safetensors",
        "name": f"c{number}",
        "source": f"c{number}",
        "start": 0,
        "frames": 20,
        "speaker": "ann",
        "group": "",
        "weight": 1.0,
        "split": "train",
        "style": None,
        "heard": True,
        "offset_ms": 0.0,
        "image_size": (4, 5),
        "notes": (),
    }
    return PreparedClip(**facts | other)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_round_trip(store):
    own = [clip(0), clip(1, speaker="bo", split="held_out", style="happy", notes=("two faces",), offset_ms=66.5)]
    displacement = torch.randn(20, 7, 3)
    arrays = {"expression": torch.randn(20, 4), "valid": torch.rand(20) > 0.5, "displacement": displacement.half()}
    for one in own:
        store.write_clip(one, arrays)
    assert not store.complete
    identities = {"ann": torch.randn(7, 3), "bo": torch.randn(7, 3)}
    store.write_identities(identities)
    store.write_index(own, [RejectedClip(clip="bad", reason="no face")])
    again = Store(store.path)
    assert again.complete
    assert again.clips == own
    assert again.rejected == [RejectedClip(clip="bad", reason="no face")]
    assert torch.equal(again.read(own[0], "expression", 3, 9), arrays["expression"][3:9])
    assert again.read(own[0], "valid").dtype == torch.bool
    assert torch.allclose(again.vertices(own[1]), identities["bo"] + displacement, atol=2e-3)


def test_clips_are_found_by_what_they_are(store):
    own = [clip(0), clip(1, speaker="bo"), clip(2, split="held_out"), clip(3, style="sad")]
    store.write_index(own, [])
    assert [c.name for c in store.of("train")] == ["c0", "c1", "c3"]
    assert [c.name for c in store.of("train", speaker="ann", style="sad")] == ["c3"]
    assert [c.name for c in store.of("held_out")] == ["c2"]


def test_a_reason_of_many_clips_is_told_once():
    many = [RejectedClip(clip=f"clip{number}", reason="no sound") for number in range(200)]
    lines = reasons([*many, RejectedClip(clip="other", reason="no face")])
    assert lines == ["clip0, clip1, clip2, clip3, clip4 and 195 more: no sound", "other: no face"]
