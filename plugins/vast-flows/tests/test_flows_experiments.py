"""The classic experiments: their figures against quadrature, closed forms and the paper."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from vast_core.errors import ComponentError, InputError
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_flows.experiments.config import DensitiesStage
from vast_flows.experiments.densities import (
    ENERGIES,
    Approximation,
    Divergence,
    divergence,
    fit,
    log_normaliser,
)
from vast_flows.experiments.digits import DigitsModel, digits, measure, train
from vast_flows.experiments.named_flow import named_flow

REGISTRY = Registry.discover()


def flow(name: str, steps: int | None = None, style: int = 2, context: int = 1):
    return named_flow(REGISTRY, name, steps, style=style, context=context, seed=1)


def fitted(density: str, length: int, steps: int) -> Divergence:
    energy = ENERGIES[density]
    rate = DensitiesStage().learning_rate
    approximation = fit(flow("planar", length), energy, steps=steps, batch=256, learning_rate=rate, seed=1)
    return divergence(approximation, energy, seed=1)


# ------------------------------------------------------------------------------------------- densities


@pytest.mark.parametrize("density", ENERGIES)
def test_normaliser_agrees_with_gauss_legendre_quadrature(density):
    nodes, weights = np.polynomial.legendre.leggauss(8)
    middles = np.arange(-6, 6, 0.2) + 0.1
    line, weight = (middles[:, None] + 0.1 * nodes).ravel(), np.tile(0.1 * weights, len(middles))
    z = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    total = np.outer(weight, weight).ravel() @ np.exp(-ENERGIES[density](torch.from_numpy(z)).numpy())
    assert log_normaliser(ENERGIES[density]) == pytest.approx(math.log(total), abs=1e-4)


def test_ring_and_wave_are_those_of_the_paper():
    """By hand from table 1: on the ring at a lobe; in the trough of the wave; one lift of each of the two others."""
    z = torch.tensor([[2.0, 0.0], [1.0, 1.0], [1.0, -2.0], [4.0, -3.0]], dtype=torch.float64)
    ring = -math.log(1 + math.exp(-0.5 * (4 / 0.6) ** 2))
    assert ENERGIES["ring"](z)[0].item() == pytest.approx(ring)
    assert ENERGIES["wave"](z)[1].item() == pytest.approx(0.0)
    assert ENERGIES["split wave"](z)[2].item() == pytest.approx(0.0, abs=1e-9)  # w_2(1) = 3
    assert ENERGIES["forked wave"](z)[3].item() == pytest.approx(0.0, abs=1e-3)  # w_3(4) = 3 to 1e-4


def test_divergence_of_two_gaussians_is_the_closed_form():
    approximation = Approximation(flow("none"))
    with torch.no_grad():
        approximation.mean.copy_(torch.tensor([0.5, -0.25]))
        approximation.log_std.copy_(torch.tensor([-1.0, -0.5]))
    found = divergence(approximation, lambda z: 0.5 * (z / 0.9).square().sum(-1), samples=200_000)
    mean, std = np.array([0.5, -0.25]), np.exp([-1.0, -0.5])
    exact = float((np.log(0.9 / std) + (std**2 + mean**2) / (2 * 0.81) - 0.5).sum())
    # the quadrature's [-6, 6]^2 holds all of this Gaussian but 1e-10
    assert abs(found.mean - exact) < 4 * found.standard_error
    assert found.standard_error < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("density", ENERGIES)
def test_32_planar_maps_beat_2_by_far(density):
    """In the paper's figure 3, K = 2 misses the shape and K = 32 is hard to tell from the truth."""
    short, long = fitted(density, 2, 800), fitted(density, 32, 800)
    assert long.mean + 3 * long.standard_error < short.mean - 3 * short.standard_error
    assert long.mean < 0.2
    assert long.mean > -3 * long.standard_error  # no divergence is below 0


def test_stage_draws_what_it_fits(tmp_path):
    overrides = ["stages.densities.steps=2", "stages.densities.lengths=[1, 2]", "stages.densities.densities=[wave]"]
    recipe = load_recipe("recipes/ablations/densities.yaml", REGISTRY, overrides)
    run = run_recipe(recipe, REGISTRY, tmp_path / "run")
    assert list(run.figures("densities")["densities"]["wave"]) == ["1", "2"]
    assert "data:image/png" in (run.path / "report.html").read_text()


def test_lengths_must_be_whole():
    with pytest.raises((TypeError, ValueError)):
        DensitiesStage(lengths=(2, 0))


def test_an_unknown_flow_and_idle_steps_are_refused():
    with pytest.raises(ComponentError, match="'glow'"):
        flow("glow")
    with pytest.raises(InputError, match="no option `steps`"):
        flow("none", 4)


# ---------------------------------------------------------------------------------------------- digits


def test_likelihood_is_scipys_binomial():
    training, held_out = digits()
    assert (len(training), len(held_out)) == (1437, 360)
    model = DigitsModel(flow("none", style=3, context=16), 3, 16)
    x, z = held_out[:5], torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    p = torch.sigmoid(model.decoder(z)).detach().numpy()
    expected = stats.binom.logpmf(x.numpy(), 16, p).sum(-1)
    np.testing.assert_allclose(model.log_likelihood(x, z).detach().numpy(), expected, rtol=1e-5)


def test_bounds_are_in_order_and_add_up():
    """The bound is above -ln p(x), which quadrature gives for a code of two dimensions; importance weights help."""
    training, held_out = digits()
    model = DigitsModel(flow("planar", 4, style=2, context=16), 2, 16)
    train(model, training, epochs=6, batch=64, learning_rate=3e-3, seed=0)
    x = held_out[:3]
    found = measure(model, x, samples=2000, seed=0)
    torch.testing.assert_close(found.bound, found.reconstruction + found.kl)
    line = torch.linspace(-8, 8, 201)
    z = torch.cartesian_prod(line, line)
    prior = -0.5 * z.square().sum(-1) - math.log(2 * math.pi) + 2 * math.log(16 / 200)
    with torch.no_grad():
        exact = torch.stack([-torch.logsumexp(model.log_likelihood(one.expand(len(z), -1), z) + prior, 0) for one in x])
    assert bool((found.importance < found.bound).all())
    assert bool((found.bound > exact).all())
    gain = (found.bound - found.importance) / (found.bound - exact)  # 1 where the estimate is exact
    assert 0.5 < float(gain.mean()) < 1.2


def test_stage_keeps_every_digit(tmp_path):
    overrides = ["stages.digits.epochs=1", "stages.digits.samples=2", "stages.digits.flow=householder"]
    recipe = load_recipe("recipes/ablations/digits.yaml", REGISTRY, overrides)
    run = run_recipe(recipe, REGISTRY, tmp_path / "run")
    figures = run.figures("digits")
    assert len(figures["clips"]) == 360
    values = [own["bound"] for own in figures["clips"].values()]
    assert np.mean(values) == pytest.approx(figures["bound"])
    assert "Digits" in (run.path / "report.html").read_text()
