"""Metrics by networks that users bring: small ONNX files, made here, take the real way; plain code checks the rest."""

import types

import attrs
import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from scipy.linalg import sqrtm

from vast_core.errors import NotComputed, WeightsError
from vast_core.interfaces import Performance, Sizes
from vast_core.mesh import canonical_face
from vast_core.runs import weight_files
from vast_metrics.config import CSIMConfig, EmotionAccuracyConfig, FVDConfig, LipReadingConfig
from vast_metrics.networks.csim import CSIM
from vast_metrics.networks.emotion import EmotionAccuracy, Shown
from vast_metrics.networks.fvd import FVD
from vast_metrics.networks.lip_reading import LipReading

KINDS = {
    CSIM: (CSIMConfig, "arcface.onnx"),
    EmotionAccuracy: (EmotionAccuracyConfig, "emotion.onnx"),
    LipReading: (LipReadingConfig, "lip_reading.onnx"),
    FVD: (FVDConfig, "i3d.onnx"),
}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No networks but those that a test puts there."""
    monkeypatch.delenv("VAST_WEIGHTS", raising=False)
    monkeypatch.setattr(weight_files, "downloads", lambda: tmp_path / "cache")


def write(path, shape, *nodes, **constants):
    """An ONNX file with input ``x`` of this shape, these nodes, and output ``y``."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def mean_over(path, shape, axes, keep=0):
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=keep)
    return write(path, shape, node, axes=np.array(axes, np.int64))


def made(kind, path, **options):
    return kind.from_config(KINDS[kind][0](weights=path, **options), Sizes(fps=25.0))


def seen(frames=12, seed=0, size=96):
    """A smooth video with a canonical face upright in its middle, which the pictures do not show."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(frames, 3, 12, 12, generator=draw)
    pictures = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    pose = torch.zeros(frames, 3, 4)
    pose[:, :, :3] = 4.0 * torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose[:, :2, 3] = size / 2
    region = torch.zeros(frames, 1, size, size)
    region[..., 20:80, 30:70] = 1
    mouth = torch.tensor([size / 2, 60.0, 20.0, 8.0]).repeat(frames, 1)
    mouth[:, 0] += torch.arange(frames) / 2
    vertices = torch.tensor(canonical_face().vertices).expand(frames, -1, -1)
    face = types.SimpleNamespace(template=None, millimetres=10.0)
    return Performance(
        face=face, fps=25.0, frames=pictures, pose=pose, region=region, mouth=mouth, vertices=vertices, name="ada"
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_missing_network_is_described_and_a_wrong_one_refused(kind, tmp_path):
    config, name = KINDS[kind]
    clip = seen(16)
    with pytest.raises(NotComputed, match=rf"{name} is missing: .*\n(.*\n)*.*Bring one as ONNX: input"):
        kind.from_config(config(), Sizes(fps=25.0))(clip, clip)
    assert kind.files(config()) == []
    with pytest.raises(WeightsError, match="is at none of these places"):
        made(kind, tmp_path / "none.onnx")(clip, clip)
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match="not an ONNX file, or damaged"):
        made(kind, tmp_path / "bad.onnx")(clip, clip)
    other = mean_over(tmp_path / "other.onnx", ["n", 3, 7, 7], [1])
    with pytest.raises(WeightsError, match=r"its input is x \[.*\], but .* takes one: input"):
        made(kind, other)(clip, clip)
    assert kind.files(config(weights=other)) == [other]


def test_networks_are_found_in_the_folder_of_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path))
    mean_over(tmp_path / "lip_reading.onnx", [1, 1, "t", "y", "x"], [1, 4])
    clip = seen()
    assert LipReading.from_config(LipReadingConfig(), Sizes(fps=25.0))(clip, clip) == {"lip_reading": pytest.approx(1)}


def test_csim_is_the_cosine_of_aligned_faces(tmp_path):
    weights = np.random.default_rng(0).standard_normal((3 * 112 * 112, 6)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    path = write(tmp_path / "face.onnx", ["n", 3, 112, 112], *nodes, w=weights)
    one, other = seen(seed=1), seen(seed=2)
    face = canonical_face()
    marks = [face.vertices[ring].mean(0) for ring in (face.eye_right, face.eye_left)]
    marks = np.array([*marks, *face.vertices[[1, 61, 291]]])[:, :2] * [4.0, -4.0] + 48
    wanted = np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    # the least-squares similarity, by its normal equations
    rows = [[x, -y, 1, 0] for x, y in marks] + [[y, x, 0, 1] for x, y in marks]
    a, b, across, down = np.linalg.lstsq(np.array(rows), np.concatenate([wanted[:, 0], wanted[:, 1]]), rcond=None)[0]
    matrix = np.array([[a, -b, across], [b, a, down]])
    cosines = []
    for t in range(0, 12, 5):
        codes = []
        for side in (one, other):
            picture = cv2.warpAffine(side.frames[t].permute(1, 2, 0).numpy(), matrix, (112, 112))
            codes.append(((picture.transpose(2, 0, 1) - 0.5) / 0.5).reshape(-1) @ weights)
        cosines.append(codes[0] @ codes[1] / np.linalg.norm(codes[0]) / np.linalg.norm(codes[1]))
    metric = made(CSIM, path)
    assert metric(one, other)["csim"] == pytest.approx(np.mean(cosines), abs=1e-4)
    assert metric(one, one)["csim"] == pytest.approx(1)
    drawn = attrs.evolve(one, pose=None)  # into the footage of the reference
    assert metric(drawn, other)["csim"] == pytest.approx(np.mean(cosines), abs=1e-4)
    with pytest.raises(NotComputed, match="place in the frames"):
        metric(drawn, attrs.evolve(other, pose=None))
    with pytest.raises(NotComputed, match="another mesh"):
        metric(attrs.evolve(one, vertices=one.vertices[:, :9]), other)


def test_emotions_are_seen_in_the_face_and_compared_with_the_style(tmp_path):
    """A network whose emotions are the colours: its logits are the mean red, green and blue."""
    path = mean_over(tmp_path / "emotion.onnx", [4, 3, 224, 224], [2, 3])
    metric = made(EmotionAccuracy, path, emotions=("anger", "fear", "happiness"))

    def tinted(channel, style=""):
        clip = seen(frames=30)
        frames = torch.zeros_like(clip.frames)
        frames[:, (channel + 1) % 3] = 1  # beside the face, another emotion
        frames[:, :, 20:80, 30:70] = torch.eye(3)[channel][:, None, None]
        return attrs.evolve(clip, frames=frames, style=style)

    assert metric.part(tinted(0), tinted(2, "Happy")) == Shown("anger", "happiness")
    assert metric.part(tinted(1), tinted(1)) == Shown("fear", "fear")
    assert metric.part(tinted(1), tinted(0, "lively")) == Shown("fear", "anger")  # no emotion: what the network sees
    parts = [metric.part(tinted(2), tinted(0, "happy")), metric.part(tinted(0), tinted(0, "happy"))]
    assert metric.pool(parts) == {"emotion_accuracy": 0.5}
    assert [row["emotion_accuracy"] for row in metric.each(parts)] == [1, 0]
    with pytest.raises(WeightsError, match="set the option `emotions`"):
        made(EmotionAccuracy, path).part(tinted(0), tinted(0))


@pytest.mark.parametrize("length", ["t", 5])
def test_a_lip_reader_sees_the_mouth(length, tmp_path):
    path = mean_over(tmp_path / "reader.onnx", [1, 1, length, 44, 44], [1, 4])
    one, other = seen(seed=1), seen(seed=2)
    rows = []
    for t in range(12 if length == "t" else 10):
        codes = []
        for side in (one, other):
            grey = np.tensordot(side.frames[t].numpy(), [0.299, 0.587, 0.114], ([0], [0]))
            centre = np.array([48 + t / 2, 60.0])
            # a square of 40 pixels around the mouth, sampled at 44 x 44 pixel centres
            at = (np.arange(44) - 21.5) / 44 * 40
            x, y = (np.float32(grid) for grid in np.meshgrid(centre[0] + at, centre[1] + at))
            crop = cv2.remap(grey.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            codes.append(((crop - 0.421) / 0.165).mean(1))
        rows.append(codes[0] @ codes[1] / np.linalg.norm(codes[0]) / np.linalg.norm(codes[1]))
    metric = made(LipReading, path)
    assert metric(one, other)["lip_reading"] == pytest.approx(np.mean(rows), abs=0.01)
    assert metric(one, one)["lip_reading"] == pytest.approx(1)
    if length == 5:
        with pytest.raises(NotComputed, match="needs 5"):
            metric(seen(4), seen(4))
    with pytest.raises(NotComputed, match="where the mouth is"):
        metric(attrs.evolve(one, mouth=None), other)


def test_fvd_is_the_frechet_distance_of_windows(tmp_path):
    path = mean_over(tmp_path / "video.onnx", ["n", 3, 16, 224, 224], [2, 3, 4])
    clips = [[attrs.evolve(seen(56, seed), region=None) for seed in pair] for pair in ((0, 9), (1, 8))]
    metric = made(FVD, path, min_windows=12)
    parts = [metric.part(*(attrs.evolve(side, frames=side.frames[:48]) for side in pair)) for pair in clips]
    assert [len(part.prediction) for part in parts] == [5, 5]
    with pytest.raises(NotComputed, match="10 windows of 16 frames, but FVD needs at least 12"):
        metric.pool(parts)
    parts = [metric.part(*pair) for pair in clips]
    sides = []
    for side in (0, 1):
        windows = [pair[side].frames[s : s + 16] for pair in clips for s in range(0, 41, 8)]
        sides.append(np.stack([2 * window.double().mean((0, 2, 3)).numpy() - 1 for window in windows]))
    x, y = sides
    s_x, s_y = np.cov(x.T), np.cov(y.T)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s_x + s_y - 2 * sqrtm(s_x @ s_y).real)
    assert metric.pool(parts)["fvd"] == pytest.approx(expected, rel=1e-2)
    assert metric.pool([metric.part(b, b) for _, b in clips])["fvd"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(NotComputed, match="but a window 16"):
        metric.part(seen(15), seen(15))


def test_a_network_that_gives_no_numbers_is_refused(tmp_path):
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Log", ["f"], ["y"])]
    path = write(tmp_path / "log.onnx", ["n", 3, 112, 112], *nodes)
    with pytest.raises(WeightsError, match="not finite"):
        made(CSIM, path)(seen(), seen())
