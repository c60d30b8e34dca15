"""Weights on disk are complete or absent, and are loaded only into the components that they belong to."""

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vast_core.errors import StorageError, WeightsError
from vast_core.runs import check_header, load_into, load_weights, save_weights, weights


def test_round_trip_is_exact(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.randn(2, 6).t()}
    save_weights(tmp_path / "w.safetensors", tensors, {"what": "test", "nested": {"x": 1}})
    found, header = load_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert header["what"] == "test"
    assert header["nested"] == {"x": 1}


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x80\x04\x95pickle"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.safetensors: not a safetensors file"):
        load_weights(path)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.randn(100)}, {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(path)


def test_a_missing_and_a_foreign_file(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_weights(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="vast did not write"):
        load_weights(tmp_path / "foreign.safetensors")


def test_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FORMAT", 7)
    save_weights(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, {})
    monkeypatch.undo()
    with pytest.raises(WeightsError, match="format 7"):
        load_weights(tmp_path / "w.safetensors")


def test_weights_of_another_model_say_which_tensors_differ():
    with pytest.raises(WeightsError) as caught:
        load_into(nn.Linear(3, 2), {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}, "old.safetensors")
    message = str(caught.value)
    assert "weight: (2, 4) in the file, (2, 3) in this recipe" in message
    assert "bias: missing" in message
    assert "extra: unknown" in message


HEADER = {
    "components": {"face": "landmarks (vast-avatar 0.1.0)", "flow": "planar (vast-avatar 0.1.0)"},
    "sizes": {"expression": 32, "style": 32},
}


def test_a_header_of_the_same_components_and_sizes_is_silent(recwarn):
    check_header(HEADER, {"face": "landmarks (vast-avatar 0.1.0)"}, {"style": 32}, Path("w.safetensors"))
    assert not recwarn.list


def test_other_components_and_sizes_are_told_in_one_message():
    here = {"face": "landmarks (vast-avatar 0.2.0)", "flow": "householder (vast-avatar 0.1.0)", "audio": "ppg (a 1)"}
    with pytest.raises(WeightsError) as error:
        check_header(HEADER, here, {"expression": 32, "style": 16, "audio": 40}, Path("w.safetensors"))
    assert str(error.value).splitlines()[:-1] == [
        "w.safetensors: these weights belong to other components than the recipe names:",
        "  flow: planar (vast-avatar 0.1.0) in the weights, householder (vast-avatar 0.1.0) here",
        "  audio: none in the weights, ppg (a 1) here",
        "  size style: 32 in the weights, 16 here",
        "  size audio: none in the weights, 40 here",
        "  face: landmarks (vast-avatar 0.1.0) in the weights, landmarks (vast-avatar 0.2.0) here",
    ]
    with pytest.raises(WeightsError, match="planar"):
        check_header(HEADER, {"flow": "planar (vast-other 0.1.0)"}, {}, Path("w.safetensors"))


def test_other_versions_are_a_warning():
    with pytest.warns(UserWarning, match=r"w.safetensors: made by other versions:\n  face: .* 0\.1\.0.* 0\.2\.0"):
        check_header(HEADER, {"face": "landmarks (vast-avatar 0.2.0)"}, {"style": 32}, Path("w.safetensors"))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.zeros(1)}, {"n": 1})

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(StorageError, match=r"No space left .*free some space"):
        save_weights(path, {"a": torch.ones(1)}, {"n": 2})
    assert load_weights(path)[1]["n"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_no_changed_bit_goes_unnoticed(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3, dtype=torch.bfloat16)}, {"what": "test"})
    content, (tensors, header) = path.read_bytes(), load_weights(path)
    unnoticed = []
    for position in range(8 * len(content)):
        changed = bytearray(content)
        changed[position // 8] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found, told = load_weights(path)
        except WeightsError:
            continue
        same = found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)
        if not same or any(told.get(name) != value for name, value in header.items() if name != "sha256"):
            unnoticed.append(position)
    assert not unnoticed
