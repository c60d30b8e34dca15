"""LPIPS and FID: their networks against torchmetrics' and torch-fidelity's with the same weights, drawn at random here,
their arithmetic against closed forms, scipy and torchmetrics, and the way that weights take."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.functional.image.lpips import _LPIPS
from torchmetrics.image import fid as torchmetrics_fid

from vast_core.errors import NotComputed, WeightsError
from vast_core.runs import weight_files
from vast_metrics import inception
from vast_metrics.config import FIDConfig, LPIPSConfig
from vast_metrics.fid import FID, frechet_distance
from vast_metrics.lpips import LPIPS, PerceptualDistance


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No weights but those that a test puts there."""
    monkeypatch.delenv("VAST_WEIGHTS", raising=False)
    monkeypatch.setattr(weight_files, "downloads", lambda: tmp_path / "cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


def torchmetrics_lpips(name):
    """Torchmetrics' LPIPS with the authors' heads and a random backbone, of which nothing is downloaded."""
    torch.manual_seed(0)
    return _LPIPS(net=name, pretrained=True, pnet_rand=True)


def backbone_of(lpips):
    """Its tensors by torchvision's names."""
    tensors = lpips.net.state_dict()
    return {re.sub(r"slice\d+", "features", name): tensor.contiguous() for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def alex(folder):
    """Torchmetrics' LPIPS, and its backbone as a file with a classifier, as torchvision's has."""
    lpips = torchmetrics_lpips("alex")
    save_file(backbone_of(lpips) | {"classifier.1.weight": torch.zeros(2)}, folder / "alexnet.safetensors")
    return lpips


@pytest.fixture(scope="module")
def pictures():
    """(20, 3, 80, 64) twice: smooth, and the same with another grain."""
    draw = torch.Generator().manual_seed(1)
    coarse = torch.rand(20, 3, 10, 8, generator=draw)
    smooth = nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")
    return smooth, (smooth + 0.1 * torch.randn(smooth.shape, generator=draw)).clamp(0, 1)


@pytest.fixture
def shown(performance):
    return lambda frames, region=None: performance(frames=frames, region=region)


# ---------------------------------------------------------------------------------------------- LPIPS


def test_lpips_is_that_of_torchmetrics(alex, folder, pictures, shown):
    x, y = pictures
    found = LPIPS.from_config(LPIPSConfig(weights=folder), None)(shown(x), shown(y))
    assert found["lpips"] == pytest.approx(float(alex(x, y, normalize=True).mean()), rel=1e-5)
    assert found["lpips"] > 1e-4


def test_lpips_of_vgg_is_that_of_torchmetrics(tmp_path, pictures, shown):
    vgg = torchmetrics_lpips("vgg")
    save_file(backbone_of(vgg), tmp_path / "vgg16.safetensors")
    x, y = (side[:2] for side in pictures)
    found = LPIPS.from_config(LPIPSConfig(backbone="vgg16", weights=tmp_path), None)(shown(x), shown(y))
    assert found["lpips"] == pytest.approx(float(vgg(x, y, normalize=True).mean()), rel=1e-5)


def test_lpips_by_hand(alex, folder, pictures):
    """The definition in numpy, of the features that torchmetrics' network gives."""
    x, y = (side[:1] for side in pictures)
    total = 0.0
    layers = [alex.net(alex.scaling_layer(2 * side - 1)) for side in (x, y)]
    for a, b, head in zip(*layers, alex.lins, strict=True):
        a, b = (layer[0].double().numpy() for layer in (a, b))
        weights = head.model[1].weight.flatten().double().numpy()
        apart = (a / np.sqrt((a**2).sum(0) + 1e-8) - b / np.sqrt((b**2).sum(0) + 1e-8)) ** 2
        total += (weights[:, None, None] * apart).sum(0).mean()
    network = PerceptualDistance("alexnet", folder)
    assert float(network(x, y, torch.ones(1, 1, 80, 64))) == pytest.approx(total, rel=1e-5)


def test_lpips_of_the_halves_make_that_of_the_whole(alex, folder, pictures, shown):
    metric = LPIPS.from_config(LPIPSConfig(weights=folder / "alexnet.safetensors"), None)
    x, y = pictures
    left = torch.zeros(20, 1, 80, 64)
    left[..., :32] = 1
    halves = [metric(shown(x), shown(y, region))["lpips"] for region in (left, 1 - left)]
    assert sum(halves) / 2 == pytest.approx(metric(shown(x), shown(y))["lpips"], rel=1e-5)
    far = x.clone()
    far[..., 56:] = y[..., 56:]
    edge = torch.zeros(20, 1, 80, 64)
    edge[..., :4] = 1  # deep layers see the other end of the picture even there
    assert metric(shown(far), shown(x, edge))["lpips"] < 0.25 * metric(shown(far), shown(x, 1 - left))["lpips"]


def test_lpips_leaves_out_frames_without_a_face(alex, folder, pictures, shown):
    metric = LPIPS.from_config(LPIPSConfig(weights=folder), None)
    x, y = pictures
    region = torch.ones(20, 1, 80, 64)
    region[5:] = 0
    assert metric(shown(x), shown(y, region)) == pytest.approx(metric(shown(x[:5]), shown(y[:5])), rel=1e-5)
    assert metric(shown(x), shown(x)) == {"lpips": 0.0}


def test_lpips_keeps_the_rules_of_metrics(alex, folder, rules_that_do_not_apply):
    assert rules_that_do_not_apply("metric/lpips", LPIPSConfig(weights=folder)) == ["it is not a PooledMetric"]


def test_lpips_refuses_what_its_backbone_cannot_see(alex, folder, shown):
    tiny = shown(torch.zeros(2, 3, 31, 64))
    with pytest.raises(ValueError, match=r"\(2, 3, 31, 64\) are smaller than the minimum of 32"):
        LPIPS.from_config(LPIPSConfig(weights=folder), None)(tiny, tiny)


# ------------------------------------------------------------------------------------------------ FID


def published():
    """Random weights of the network of FID, with statistics that keep its features alive, as files have them."""
    torch.manual_seed(0)
    tensors = inception.network().state_dict()
    for name, tensor in tensors.items():
        if name.endswith("bn.running_var"):
            tensor.uniform_(0.02, 0.1)
        elif name.endswith("bn.bias"):
            tensor.uniform_(-0.2, 0.5)
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def inception_file(folder):
    save_file(published(), folder / "inception-2015-12-05.safetensors")
    return folder / "inception-2015-12-05.safetensors"


def test_features_are_those_of_torchmetrics(monkeypatch, inception_file, pictures):
    """Its network is torch-fidelity's; only its weights, which would be downloaded, are ours."""
    fidelity = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3", reason="pip install 'vast-avatar[oracles]'"
    )
    monkeypatch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: load_file(inception_file))
    theirs = torchmetrics_fid.NoTrainInceptionV3(name="inception-v3-compat", features_list=["2048"])
    frames = pictures[1][:3]
    expected = theirs((255 * frames).round().byte())
    found = inception.Inception(inception_file)(frames)
    assert found.shape == (3, 2048)
    assert (expected > 0).float().mean() > 0.2
    assert expected.std(0).mean() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def normal(draw, frames, mean, covariance):
    """Samples (N, D) whose own mean and covariance are those given, to rounding."""
    raw = draw.normal(size=(frames, len(mean)))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    return mean + white @ np.linalg.cholesky(covariance).T


def test_frechet_distance_of_known_gaussians():
    """In one direction it is (m - n)^2 + (s - t)^2, and axes that agree add up."""
    draw = np.random.default_rng(0)
    m, n, s, t = draw.normal(size=6), draw.normal(size=6), draw.uniform(0.5, 2, 6), draw.uniform(0.5, 2, 6)
    turn = np.linalg.qr(draw.normal(size=(6, 6)))[0]
    x = normal(draw, 50, m, np.diag(s**2)) @ turn
    y = normal(draw, 80, n, np.diag(t**2)) @ turn
    assert frechet_distance(x, y) == pytest.approx(((m - n) ** 2).sum() + ((s - t) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(300, 200), (30, 300), (20, 25)], ids=["full", "half", "low rank"])
def test_frechet_distance_is_that_of_scipy_and_torchmetrics(n, m):
    draw = np.random.default_rng(1)
    mixed = draw.normal(size=(40, 40))
    x, y = draw.normal(size=(n, 40)) @ mixed, 1 + draw.normal(size=(m, 40))
    means, covariances = [side.mean(0) for side in (x, y)], [np.cov(side.T) for side in (x, y)]
    found = frechet_distance(x, y)
    assert found == frechet_distance(y, x) or found == pytest.approx(frechet_distance(y, x), rel=1e-9)
    moments = [torch.from_numpy(part) for part in (means[0], covariances[0], means[1], covariances[1])]
    assert found == pytest.approx(float(torchmetrics_fid._compute_fid(*moments)), rel=1e-6)
    if min(n, m) > 40:  # scipy's root of a matrix of low rank is not to be had
        root = sqrtm(covariances[0] @ covariances[1])
        expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * root.real)
        assert found == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9 * np.square(x).sum())


class FewFeatures(nn.Module):
    """Means over a grid, in place of the network."""

    def forward(self, frames):
        return nn.functional.adaptive_avg_pool2d(frames, 2).flatten(1)


@pytest.fixture
def few():
    return FID(FewFeatures, min_frames=30)


def test_fid_pools_clips_as_one_set(few, pictures, shown):
    x, y = pictures
    whole = few.pool([few.part(shown(x), shown(y)), few.part(shown(x[:12]), shown(y[8:]))])
    parts = [few.part(shown(x[i : i + 4]), shown(y[i : i + 4])) for i in range(0, 20, 4)]
    parts += [few.part(shown(x[i : i + 4]), shown(y[i + 8 : i + 12])) for i in range(0, 12, 4)]
    features = FewFeatures()
    expected = frechet_distance(
        features(torch.cat([x, x[:12]])).double().numpy(), features(torch.cat([y, y[8:]])).double().numpy()
    )
    assert whole["fid"] == pytest.approx(expected, rel=1e-5)
    assert few.pool(parts) == pytest.approx(whole, rel=1e-9)
    assert few.each(parts) == [{}] * len(parts)


def test_fid_wants_enough_frames(few, pictures, shown):
    part = few.part(shown(pictures[0]), shown(pictures[1]))
    with pytest.raises(NotComputed, match="have 20 frames, but FID needs at least 30"):
        few.pool([part])
    assert FIDConfig().min_frames == 2049
    assert few.pool([part, part])["fid"] > 0


def test_fid_by_the_whole_path(inception_file, pictures, shown):
    metric = FID.from_config(FIDConfig(min_frames=2, weights=inception_file.parent), None)
    x, y = (side[:4] for side in pictures)
    network = inception.Inception(inception_file)
    expected = frechet_distance(network(x).numpy(), network(y).numpy())
    assert metric(shown(x), shown(y))["fid"] == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_fid_keeps_the_rules_of_metrics(monkeypatch, rules_that_do_not_apply):
    monkeypatch.setattr("vast_metrics.fid.Inception", lambda weights: FewFeatures())
    assert rules_that_do_not_apply("metric/fid", FIDConfig(min_frames=2)) == []


# -------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("metric", "file", "released"),
    [
        (LPIPS.from_config(LPIPSConfig(), None), "alexnet.safetensors", "AlexNet_Weights.IMAGENET1K_V1"),
        (LPIPS.from_config(LPIPSConfig(backbone="vgg16"), None), "vgg16.safetensors", "VGG16_Weights.IMAGENET1K_V1"),
        (FID.from_config(FIDConfig(), None), "inception-2015-12-05.safetensors", "6726825d.pth"),
    ],
    ids=["alexnet", "vgg16", "inception"],
)
def test_without_weights_nothing_is_computed(metric, file, released, monkeypatch, tmp_path, pictures, shown):
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path / "mine"))
    with pytest.raises(NotComputed) as caught:
        metric(shown(pictures[0]), shown(pictures[1]))
    said = str(caught.value)
    assert said.splitlines()[0] == f"{file} is missing: the README of vast-metrics says how to get it"
    assert f"{tmp_path / 'mine' / file}\n" in said
    assert f"{tmp_path / 'cache' / file}\n" in said
    (command,) = re.findall(r"^  (python -c .+)$", said, re.MULTILINE)
    program = shlex.split(command)[2]
    compile(program, "the command", "exec")
    assert released in program
    assert "check_hash=True, weights_only=True" in program
    assert str(tmp_path / "mine" / file) in program


def test_weights_are_found_by_the_variable_and_in_the_cache(alex, folder, monkeypatch, tmp_path, pictures, shown):
    found = LPIPS.from_config(LPIPSConfig(weights=folder), None)(shown(pictures[0]), shown(pictures[1]))
    monkeypatch.setenv("VAST_WEIGHTS", str(folder))
    assert LPIPS.from_config(LPIPSConfig(), None)(shown(pictures[0]), shown(pictures[1])) == found
    monkeypatch.delenv("VAST_WEIGHTS")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "alexnet.safetensors").symlink_to(folder / "alexnet.safetensors")
    assert LPIPS.from_config(LPIPSConfig(), None)(shown(pictures[0]), shown(pictures[1])) == found


def test_a_path_without_weights_is_a_mistake(tmp_path, pictures, shown):
    metric = LPIPS.from_config(LPIPSConfig(weights=tmp_path / "alex.safetensors"), None)
    with pytest.raises(WeightsError, match=r"alex\.safetensors"):
        metric(shown(pictures[0]), shown(pictures[1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {n: v for n, v in t.items() if n != "features.3.bias"}, r"features\.3\.bias is missing$"),
        (lambda t: t | {"features.3.bias": torch.zeros(7)}, r"features\.3\.bias is \(7,\), not \(192,\)$"),
        (lambda t: t | {"features.3.bias": torch.full((192,), torch.nan)}, r"features\.3\.bias is not finite$"),
        (lambda t: t | {"lin0": torch.zeros(1), "lin1": torch.zeros(1)}, "lin0 is unknown, and 1 more$"),
    ],
    ids=["missing", "shape", "nan", "unknown"],
)
def test_other_weights_are_refused(alex, change, message, tmp_path):
    save_file(change(backbone_of(alex)), tmp_path / "alexnet.safetensors")
    with pytest.raises(WeightsError, match="not torchvision's AlexNet.*" + message):
        PerceptualDistance("alexnet", tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "alexnet.safetensors").write_bytes(b"\x80\x02 a pickle")
    with pytest.raises(WeightsError, match="not a safetensors file, or damaged"):
        PerceptualDistance("alexnet", tmp_path)


def test_torchvisions_inception_is_not_taken_for_that_of_fid(tmp_path):
    """Its backbone has the same names and shapes, and other weights."""
    other = torchvision.models.Inception3(1000, aux_logits=False, init_weights=False)
    save_file(other.state_dict(), tmp_path / "inception-2015-12-05.safetensors")
    with pytest.raises(WeightsError, match=r"fc\.weight is \(1000, 2048\), not \(1008, 2048\)"):
        inception.Inception(tmp_path)
