"""The bound on held-out clips against closed forms, with a model whose every integral is known."""

from types import SimpleNamespace

import pytest
import torch
from torch import distributions as of

from vast_core.interfaces import FlowOutput, Posterior
from vast_metrics.stages import measured_bound as bound

T, E, Z = 40, 3, 2
MIX = torch.tensor([[0.5, -1.0, 0.2], [0.3, 0.4, -0.8]])
NOISE = torch.tensor([0.3, 0.5, 0.8])
MEAN, STD = torch.tensor([[0.4, -0.7]]), torch.tensor([[0.6, 0.2]])


class Shelf:
    """A store of one clip; what is not valid is not a number."""

    def __init__(self):
        chance = torch.Generator().manual_seed(3)
        self.rows = {"expression": torch.randn(T, E, generator=chance), "audio": torch.zeros(T, 1)}
        self.rows["valid"] = torch.arange(T) < 30
        self.rows["expression"][30:] = torch.nan

    def read(self, clip, name, start=0, stop=None):
        return self.rows[name][start:stop]

    def features(self, clip, audio, start=0, stop=None):
        return self.read(clip, "audio", start, stop)


def model(flow, enhancer="variational", reconstruct="zK"):
    def chosen(z0, flowed):
        return z0 if reconstruct == "z0" else flowed.z

    return SimpleNamespace(
        enhancer=enhancer,
        chosen=chosen,
        code_of=lambda q: chosen(q.mean, flow(q.mean, q.context)),
        audio=None,
        style=SimpleNamespace(reads="clips"),
        posterior=lambda *_: Posterior(MEAN, STD.log(), torch.zeros(1, 1)),
        flow=flow,
        speak=lambda audio, z, mask: SimpleNamespace(expression=(z @ MIX)[:, None].expand(1, T, E)),
        log_std=NOISE.log(),
    )


def measured(flow, monkeypatch, samples=20_000, **choice):
    monkeypatch.setattr(bound, "KL_SAMPLES", samples)
    monkeypatch.setattr(bound, "LIKELIHOOD_SAMPLES", 500)
    clip, shelf = SimpleNamespace(name="a", frames=T, heard=True), Shelf()
    return bound.measured_bound(model(flow, **choice), shelf, clip, clip, torch.device("cpu")), shelf


def expected_reconstruction(shelf, mean, covariance):
    """-E[ln N(x; z MIX, NOISE^2)] of a frame for z ~ N(mean, covariance): that at the mean, and the spread's share."""
    seen = shelf.rows["expression"][:30]
    spread = (MIX.mT @ covariance @ MIX).diagonal()
    return float(-of.Normal(mean @ MIX, NOISE).log_prob(seen).sum(-1).mean() + (spread / NOISE**2).sum() / 2)


def test_without_a_flow_every_term_is_its_closed_form(monkeypatch):
    found, shelf = measured(lambda z, _: FlowOutput(z, torch.zeros(len(z))), monkeypatch)
    kl = float(of.kl_divergence(of.Normal(MEAN, STD), of.Normal(0.0, 1.0)).sum())
    assert found["kl_before_flow"] == pytest.approx(kl, rel=1e-5)
    assert found["kl_after_flow"] == found["kl_before_flow_sampled"] == pytest.approx(kl, abs=0.03)
    expected = expected_reconstruction(shelf, MEAN, torch.diag(STD[0] ** 2))
    assert found["reconstruction"] == pytest.approx(expected, rel=0.05)
    assert found["negative_bound"] == pytest.approx(found["reconstruction"] + found["kl_after_flow"] / 30)


def test_a_rotation_leaves_the_kl_as_it_is_and_an_affine_flow_does_not(monkeypatch):
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    found, shelf = measured(lambda z, _: FlowOutput(z @ turn, torch.zeros(len(z))), monkeypatch)
    assert found["kl_after_flow"] == pytest.approx(found["kl_before_flow_sampled"], abs=1e-5)
    covariance = turn.mT @ torch.diag(STD[0] ** 2) @ turn
    assert found["reconstruction"] == pytest.approx(expected_reconstruction(shelf, MEAN @ turn, covariance), rel=0.05)

    scale, shift = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 0.3])
    stretch = lambda z, _: FlowOutput(z * scale + shift, torch.full((len(z),), float(scale.log().sum())))  # noqa: E731
    found, _ = measured(stretch, monkeypatch)
    kl = float(of.kl_divergence(of.Normal(MEAN * scale + shift, STD * scale), of.Normal(0.0, 1.0)).sum())
    assert found["kl_after_flow"] == pytest.approx(kl, abs=0.05)
    assert abs(found["kl_after_flow"] - found["kl_before_flow"]) > 0.15


def test_reconstruction_is_at_the_code_that_the_decoder_reads(monkeypatch):
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    rotate = lambda z, _: FlowOutput(z @ turn, torch.zeros(len(z)))  # noqa: E731
    found, shelf = measured(rotate, monkeypatch, reconstruct="z0")
    expected = expected_reconstruction(shelf, MEAN, torch.diag(STD[0] ** 2))
    assert found["reconstruction"] == pytest.approx(expected, rel=0.05)
    for choice, mean in (("z0", MEAN), ("zK", MEAN @ turn)):
        found, shelf = measured(rotate, monkeypatch, enhancer="deterministic", reconstruct=choice)
        exact = expected_reconstruction(shelf, mean, torch.zeros(2, 2))
        assert found == {"reconstruction": pytest.approx(exact, rel=1e-5)}
