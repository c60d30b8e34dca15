"""SyncNet's cepstra against the program that its authors use, its network against plain calls, LSE against loops."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from vast_core.errors import NotComputed, WeightsError
from vast_core.interfaces import Performance
from vast_core.media import VideoFile
from vast_metrics import lse
from vast_metrics.config import LSEConfig
from vast_metrics.lse import LSE, distances
from vast_metrics.syncnet import SyncNet, cepstra, windows

SOUND = 0.2 * np.random.default_rng(0).standard_normal(40_000).astype(np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of the real shapes, drawn at random, as a user would have converted them."""
    torch.manual_seed(0)
    network = SyncNet()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.safetensors"
    save_file(network.state_dict(), path)
    return path


def talking(face, frames=40, size=96, seconds=None):
    draw = torch.Generator().manual_seed(0)
    pictures = torch.rand(frames, 3, size // 8, size // 8, generator=draw)
    region = torch.zeros(frames, 1, size, size)
    region[:, :, 16:86, 24:74] = 1
    return Performance(
        face=face,
        fps=25.0,
        frames=functional.interpolate(pictures, size=(size, size), mode="bilinear"),
        region=region,
        wave=torch.from_numpy(SOUND[: round(16_000 * (seconds or frames / 25))]),
    )


# ------------------------------------------------------------------------------------------------------- cepstra


@pytest.mark.parametrize("samples", [300, 400, 401, 16_000, 39_999])
def test_cepstra_are_those_of_python_speech_features(samples):
    theirs = pytest.importorskip("python_speech_features", reason="pip install 'vast-avatar[oracles]'")
    steps = np.round(SOUND[:samples] * 32768).clip(-32768, 32767).astype(np.int16)
    expected = theirs.mfcc(steps, 16_000)
    assert cepstra(SOUND[:samples]).shape == expected.shape
    np.testing.assert_allclose(cepstra(SOUND[:samples]), expected, atol=1e-8)


def test_silence_has_cepstra():
    assert np.isfinite(cepstra(np.zeros(8_000, np.float32))).all()


def test_sound_stays_with_its_pictures():
    rows = np.arange(200.0)[:, None] * np.ones(13)
    picked = windows(rows, 40)
    assert picked.shape == (35, 1, 13, 20)
    assert picked[:, 0, 0, 0].tolist() == [4.0 * frame for frame in range(35)]
    assert len(windows(rows[:60], 40)) == 11, "sound that ends early"


# ------------------------------------------------------------------------------------------------------- network


def convolve(state, prefix, x, at, **options):
    """A convolution, its normalisation and ReLU by plain calls."""
    conv = functional.conv2d if x.ndim == 4 else functional.conv3d
    x = conv(x, state[f"{prefix}.{at}.weight"], state[f"{prefix}.{at}.bias"], **options)
    norm = {name: state[f"{prefix}.{at + 1}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")}
    return functional.batch_norm(x, **norm).relu()


def head(state, prefix, x):
    x = functional.linear(x.flatten(1), state[f"{prefix}.0.weight"], state[f"{prefix}.0.bias"])
    norm = {name: state[f"{prefix}.1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")}
    return functional.linear(
        functional.batch_norm(x, **norm).relu(), state[f"{prefix}.3.weight"], state[f"{prefix}.3.bias"]
    )


@torch.no_grad()
def test_the_network_is_the_released_one(weights):
    """Layer by layer under the released names: numbers in a Sequential count pooling and ReLU, too."""
    network = LSE(weights).network
    state = network.state_dict()
    x = torch.randn(2, 1, 13, 20)
    y = convolve(state, "netcnnaud", x, 0, padding=1)
    y = functional.max_pool2d(convolve(state, "netcnnaud", y, 4, padding=1), 3, (1, 2))
    y = convolve(state, "netcnnaud", convolve(state, "netcnnaud", y, 8, padding=1), 11, padding=1)
    y = functional.max_pool2d(convolve(state, "netcnnaud", y, 14, padding=1), 3, 2)
    y = convolve(state, "netcnnaud", y, 18)
    torch.testing.assert_close(network.hear(x), head(state, "netfcaud", y))

    x = torch.rand(1, 3, 5, 224, 224) * 255
    y = functional.max_pool3d(convolve(state, "netcnnlip", x, 0, stride=(1, 2, 2)), (1, 3, 3), (1, 2, 2))
    y = convolve(state, "netcnnlip", y, 4, stride=(1, 2, 2), padding=(0, 1, 1))
    y = functional.max_pool3d(y, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for at in (8, 11, 14):
        y = convolve(state, "netcnnlip", y, at, padding=(0, 1, 1))
    y = convolve(state, "netcnnlip", functional.max_pool3d(y, (1, 3, 3), (1, 2, 2)), 18)
    torch.testing.assert_close(network.see(x), head(state, "netfclip", y), rtol=1e-4, atol=1e-4)
    assert sum(tensor.numel() for name, tensor in state.items() if "num_batches" not in name) * 4 == pytest.approx(
        54e6, rel=0.02
    )


# ----------------------------------------------------------------------------------------------------- distances


def test_distances_are_those_of_a_loop():
    draw = torch.Generator().manual_seed(1)
    seen, heard = torch.randn(40, 16, generator=draw), torch.randn(40, 16, generator=draw)
    mean = []
    for shift in range(-15, 16):
        total = 0.0
        for t in range(40):
            other = heard[t + shift] if 0 <= t + shift < 40 else torch.zeros(16)
            total += float((seen[t] - other).norm())
        mean.append(total / 40)
    found = distances(seen, heard)
    assert found["lse_d"] == pytest.approx(min(mean), rel=1e-4)
    assert found["lse_c"] == pytest.approx(statistics.median(mean) - min(mean), rel=1e-3)


@pytest.mark.parametrize("late", [-7, 0, 3])
def test_a_planted_shift_is_found(late):
    heard = torch.randn(80, 64, generator=torch.Generator().manual_seed(2))
    found = distances(heard.roll(-late, 0), heard)
    assert found["lse_offset"] == late * 40
    assert found["lse_c"] > 3


# -------------------------------------------------------------------------------------------------------- metric


@pytest.fixture(scope="module")
def plain_weights(tmp_path_factory):
    """Weights by which a picture is its third frame's blue, and sound its loudness at that time, alike in scale."""
    network = SyncNet()
    for name, parameter in network.named_parameters():
        normalises = isinstance(network.get_submodule(name.rpartition(".")[0]), torch.nn.modules.batchnorm._BatchNorm)
        parameter.data.fill_(1.0 if normalises and name.endswith("weight") else 0.0)
    with torch.no_grad():
        network.netcnnlip[0].weight[0, 0, 2, 3, 3] = 1
        network.netcnnlip[4].weight[0, 0, 0, 2, 2] = 1
        network.netcnnlip[18].weight[0, 0, 0, 3, 3] = 1
        network.netcnnaud[18].weight[0, 0, 0, 1] = 1  # rows 4 to 10, about 80 ms, where the third frame starts
        for convolutions, places in ((network.netcnnaud, (0, 4, 8, 11, 14)), (network.netcnnlip, (8, 11, 14))):
            for at in places:
                convolutions[at].weight[0, 0, ..., 1, 1] = 1
        for ends, one, nothing in ((network.netfclip, 255, 0), (network.netfcaud, 4, 17.5)):
            ends[0].weight[0, 0] = 1
            ends[3].weight[0, 0], ends[3].bias[0] = 1 / one, -nothing / one - 0.5
    path = tmp_path_factory.mktemp("plain") / "syncnet_v2.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.mark.parametrize("late", [-3, 2])
def test_a_shift_of_real_sound_is_found_by_weights_that_know_it(plain_weights, face, late):
    """From files of pictures and sound to milliseconds: blue, not red, follows the loudness, ``late`` frames before."""
    draw, frames = np.random.default_rng(4), 45
    level = np.convolve(draw.normal(size=frames + 20), np.hanning(11), "valid")[: frames + 10]
    level = (level - level.min()) / np.ptp(level)
    seconds = np.arange(frames * 640) / 640 + 5 - late
    loud = 300 * np.exp(2 * np.interp(seconds, np.arange(len(level)), level)) * draw.normal(size=frames * 640)
    pictures = torch.rand(frames, 3, 1, 1, generator=torch.Generator().manual_seed(0)).repeat(1, 1, 128, 128)
    pictures[:, 2] = torch.from_numpy(level[5 : 5 + frames])[:, None, None]
    one = Performance(face=face, fps=25.0, frames=pictures, wave=torch.from_numpy(loud / 32768).float())
    found = LSE(plain_weights)(one, one)
    assert found["lse_offset"] == late * 40
    assert found["lse_d"] < 0.1 < found["lse_c"]


@pytest.mark.parametrize("frames", [29, 40])
def test_no_frame_is_lost_to_rounding(face, frames):
    """As in the public evaluation, of T frames T - 5 windows are compared; 29 * 640 / 16000 * 25 is 28.999..."""
    asked = []

    class Counting(torch.nn.Module):
        def see(self, pictures):
            asked.extend(pictures)
            return torch.zeros(len(pictures), 2)

        hear = see

    metric = LSE(None)
    metric.__dict__["network"] = Counting()
    metric(talking(face, frames), talking(face, frames))
    assert len(asked) == 2 * (frames - 5)


def test_weights_as_a_user_has_them(weights, face):
    metric = LSE.from_config(LSEConfig(weights=weights.parent), None)
    found = metric(talking(face), talking(face))
    assert set(found) == {"lse_d", "lse_c", "lse_offset"}
    assert all(np.isfinite(value) for value in found.values())
    assert found == metric(talking(face), talking(face))


def test_without_weights_it_says_what_to_do(face, monkeypatch, tmp_path):
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("vast_core.runs.weight_files.downloads", lambda: tmp_path / "cache")
    with pytest.raises(NotComputed, match=r"syncnet_v2\.safetensors"):
        LSE(None)(talking(face), talking(face))
    save_file({"other": torch.zeros(1)}, tmp_path / "syncnet_v2.safetensors")
    with pytest.raises(WeightsError, match="is missing"):
        LSE(None)(talking(face), talking(face))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"wave": None}, "no sound"),
        ({"fps": 30.0}, "only supports 25 fps"),
        ({"wave": torch.zeros(8_000)}, "a second of pictures and sound"),
    ],
)
def test_what_cannot_be_judged(weights, face, change, why):
    one = talking(face)
    with pytest.raises(NotComputed, match=why):
        LSE(weights)(attrs.evolve(one, **change), one)


def test_a_face_of_few_pixels_is_not_judged(weights, face):
    small = attrs.evolve(talking(face), frames=torch.zeros(40, 3, 48, 48), region=None)
    with pytest.raises(NotComputed, match="a face of 64 pixels is needed, but this one has 48"):
        LSE(weights)(small, small)


EXAMPLE = Path(os.environ.get("VAST_WEIGHTS", "")) / "example.avi"


@pytest.mark.slow
@pytest.mark.skipif(
    not (EXAMPLE.is_file() and EXAMPLE.with_name("syncnet_v2.safetensors").is_file()),
    reason="VAST_WEIGHTS names no folder with syncnet_v2.safetensors and example.avi, which download_model.sh fetches",
)
@torch.no_grad()
def test_the_public_example_has_the_figures_of_its_readme():
    """Its pictures are faces already; the public program judges them as JPEGs, so the figures may differ a little."""
    video = VideoFile(EXAMPLE, 25.0)
    faces = torch.from_numpy(np.stack(list(video.frames()))).permute(0, 3, 1, 2) / 255
    found = LSE(None).compare(faces, video.wave())
    assert found["lse_offset"] == -3 * 40
    assert found["lse_d"] == pytest.approx(5.353, abs=0.3)
    assert found["lse_c"] == pytest.approx(10.021, abs=0.5)


def test_the_face_is_cut_as_the_public_pipeline_does():
    """A box of 36 x 50 about (48, 45): half of 25, so 70 pixels from 13 to 83 and from 20 to 90."""
    region = torch.zeros(20, 1, 96, 96, dtype=torch.bool)
    region[:, :, 20:70, 30:66] = True
    region[3] = False
    column = torch.arange(96.0).expand(20, 3, 96, 96) / 96
    row = column.transpose(-1, -2)
    metric = LSE(None)
    boxes = lse._boxes(region)
    across, down = metric._faces(column, boxes)[3, 0, 100], metric._faces(row, boxes)[3, 0, :, 100]
    expected = lambda start: (start + (torch.arange(224) + 0.5) / 224 * 70 - 0.5) / 96  # noqa: E731
    torch.testing.assert_close(across, expected(13.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(down, expected(20.0), atol=1e-4, rtol=0)
    beyond = lse._boxes(torch.ones(20, 1, 96, 96, dtype=torch.bool))
    assert metric._faces(torch.ones(20, 3, 96, 96), beyond)[0, 0, 223, 0] == pytest.approx(lse.LSE.grey)
