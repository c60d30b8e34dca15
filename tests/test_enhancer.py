"""Training with and without the variational enhancer, reconstructing from zK or z0: losses, gradients and codes."""

from types import SimpleNamespace

import attrs
import pytest
import torch
from torch.distributions import Normal

from vast_core.interfaces import FlowOutput, Posterior
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry, StyleStage
from vast_core.runs.weights import save_weights
from vast_core.speak.prompt import SAMPLE, read_style
from vast_core.speak.style_model import StyleModel
from vast_core.speak.trained import load_style
from vast_core.stages import style
from vast_core.stages.style import objectives
from vast_core.stages.windows import StyleBatch
from vast_core.training import bound

B, T, PROGRESS = 3, 12, 0.9
PLAIN = ["stages.style.velocity=0", "stages.style.lips=0", "stages.style.free_bits=0", "stages.style.beta=0.3"]
WINDOWS = SimpleNamespace(features=lambda audio, frames: audio)


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


def make(registry, flow, *options):
    """The style model of vast_tiny with another flow and small sizes, in evaluation mode, and its context."""
    steps = "" if flow == "none" else ", steps: 3"
    recipe = load_recipe("vast_tiny", registry, [*PLAIN, f"flow={{use: {flow}{steps}}}", *options])
    pipeline = assemble(recipe, registry)
    settings = recipe.options("style", StyleStage)
    model = StyleModel(pipeline, settings.enhancer, settings.reconstruct).eval()
    torch.manual_seed(4)
    for parameter in model.flow.parameters():
        parameter.data.normal_(0, 0.5)
    return model, SimpleNamespace(options=recipe.options, pipeline=pipeline)


def example(sizes):
    chance = torch.Generator().manual_seed(5)
    expression, prompt = (torch.randn(B, T, sizes.expression, generator=chance) for _ in range(2))
    audio, heard = (torch.randn(B, T, sizes.audio, generator=chance) for _ in range(2))
    whole = torch.ones(B, T, dtype=torch.bool)
    return StyleBatch(
        expression=expression,
        audio=audio,
        mask=whole,
        motion=None,
        prompt=prompt,
        prompt_audio=heard,
        prompt_mask=whole,
        heard=torch.ones(B, dtype=torch.bool),
        labels=[None] * B,
        shut=~whole,
        parted=~whole,
        limit=torch.zeros(B, 1),
        spoken=None,
    )


def trained(registry, flow, *options):
    """The only objective of one step, after its backward pass, with the model and its batch."""
    model, context = make(registry, flow, *options)
    batch = example(context.pipeline.sizes)
    identity = torch.zeros(context.pipeline.sizes.vertices, 3)
    torch.manual_seed(6)
    (found,) = objectives(model, context, WINDOWS, identity, batch, PROGRESS)
    found.loss.backward()
    return found, model, batch


def likelihood(model, batch, code):
    """ln p(X | code, A) (B,), mean over frames, by torch.distributions."""
    made = model.decoder.reconstruct(model.hear(batch.audio), code, batch.mask, batch.expression, PROGRESS)
    rows = [Normal(one, model.log_std.exp()).log_prob(batch.expression).sum(-1).mean(1) for one in made]
    return rows[-1] if len(rows) == 1 else (2 * rows[-1] + torch.stack(rows[:-1]).mean(0)) / 3


def posterior_of(model, batch):
    return model.posterior(batch.prompt, batch.prompt_audio, batch.prompt_mask, batch.heard, batch.labels)


def learned(module):
    """Whether a module has a gradient other than 0."""
    return any(p.grad is not None and bool(p.grad.abs().max() > 0) for p in module.parameters())


@pytest.mark.parametrize("reconstruct", ["zK", "z0"])
@pytest.mark.parametrize("flow", ["householder", "planar"])
def test_variational_loss_is_eq_7_written_out(registry, flow, reconstruct):
    found, model, batch = trained(registry, flow, f"stages.style.reconstruct={reconstruct}")
    q = posterior_of(model, batch)
    torch.manual_seed(6)
    z0 = q.mean + q.log_std.exp() * torch.randn_like(q.mean)
    output = model.flow(z0, q.context)
    if flow == "householder":
        kl = torch.distributions.kl_divergence(Normal(q.mean, q.log_std.exp()), Normal(0.0, 1.0)).sum(-1)
    else:
        kl = Normal(q.mean, q.log_std.exp()).log_prob(z0).sum(-1)
        kl = kl - output.log_det - Normal(0.0, 1.0).log_prob(output.z).sum(-1)
    code, other = (z0, output.z) if reconstruct == "z0" else (output.z, z0)
    expected = (-likelihood(model, batch, code) + 0.3 * kl).mean()
    torch.testing.assert_close(found.loss, expected, rtol=1e-4, atol=1e-4)
    assert (found.loss - (-likelihood(model, batch, other) + 0.3 * kl).mean()).abs() > 1e-3


@pytest.mark.parametrize("reconstruct", ["zK", "z0"])
def test_deterministic_loss_is_the_likelihood_at_the_mean(registry, reconstruct):
    options = ("stages.style.enhancer=deterministic", f"stages.style.reconstruct={reconstruct}")
    found, model, batch = trained(registry, "planar", *options)
    q = posterior_of(model, batch)
    code = q.mean if reconstruct == "z0" else model.flow(q.mean, q.context).z
    torch.testing.assert_close(found.loss, -likelihood(model, batch, code).mean(), rtol=1e-4, atol=1e-4)
    assert "reconstruction" in found.terms
    assert not {"kl", "log_det"} & set(found.terms)
    again, _, _ = trained(registry, "planar", *options, "stages.style.beta_warmup=1")
    assert again.loss == found.loss
    assert torch.equal(model.draw(q), q.mean)


@pytest.mark.parametrize(
    ("flow", "enhancer", "reconstruct", "expected"),
    [
        ("householder", "variational", "zK", True),
        ("householder", "variational", "z0", False),
        ("householder", "deterministic", "zK", True),
        ("householder", "deterministic", "z0", False),
        ("planar", "variational", "zK", True),
        ("planar", "variational", "z0", True),
        ("planar", "deterministic", "zK", True),
        ("planar", "deterministic", "z0", False),
    ],
)
def test_which_flows_learn(registry, flow, enhancer, reconstruct, expected):
    options = (f"stages.style.enhancer={enhancer}", f"stages.style.reconstruct={reconstruct}")
    _, model, _ = trained(registry, flow, *options)
    assert learned(model.flow) is expected
    assert learned(model.style)
    said = StyleStage(enhancer=enhancer, reconstruct=reconstruct).enhancer_in_words(flow, model.flow.orthogonal)
    assert ("learns nothing" in said) is not expected
    assert (enhancer in said, f"reads {reconstruct}" in said) == (True, True)


def test_an_orthogonal_flow_that_the_decoder_does_not_see_is_no_flow(registry):
    one, _, _ = trained(registry, "householder", "stages.style.reconstruct=z0")
    other, _, _ = trained(registry, "none")
    assert one.loss == other.loss


def test_with_z0_a_flow_can_make_the_kl_zero_whatever_the_code_tells():
    """H maps q0 to N(0, I): the prior pulled back through it is q0 itself."""
    q = Posterior(torch.tensor([[3.0, -9.0]]), torch.tensor([[-2.0, -4.0]]), torch.zeros(1, 1))
    z0 = q.sample(torch.tensor([[0.3, -1.2]]))
    output = FlowOutput((z0 - q.mean) / q.log_std.exp(), -q.log_std.sum(-1))
    found = bound(q, z0, output, torch.zeros(1), flow=SimpleNamespace(orthogonal=False))
    assert found.kl.abs() < 1e-4


@pytest.mark.parametrize("reconstruct", ["zK", "z0"])
def test_every_consumer_has_the_code_that_the_decoder_was_trained_on(registry, tmp_path, reconstruct):
    own, context = make(registry, "planar", f"stages.style.reconstruct={reconstruct}")
    pipeline = context.pipeline
    batch = example(pipeline.sizes)
    made = {"sizes": pipeline.sizes.known(), "components": pipeline.recipe.components()}
    choice = {"enhancer": own.enhancer, "reconstruct": own.reconstruct}
    save_weights(tmp_path / "style.safetensors", own.state_dict(), {**made, **choice})
    # loaded as by a packed avatar, whose recipe has no stages
    fresh = assemble(load_recipe("vast_tiny", registry, ["flow={use: planar, steps: 3}"]), registry)
    model = load_style(tmp_path, fresh)
    assert (model.enhancer, model.reconstruct) == ("variational", reconstruct)
    with torch.no_grad():
        q = posterior_of(model, batch)
        expected = q.mean if reconstruct == "z0" else model.flow(q.mean, q.context).z
        assert torch.equal(model.code(batch.prompt, batch.prompt_audio, batch.prompt_mask, batch.heard), expected)
        assert torch.equal(model.code_of(q), expected)
        assert torch.equal(model.chosen(q.mean, model.flow(q.mean, q.context)), expected)


@pytest.mark.parametrize(
    ("flow", "enhancer", "reconstruct", "expected"),
    [
        ("planar", "variational", "zK", True),
        ("planar", "variational", "z0", False),
        ("householder", "variational", "z0", True),
        ("householder", "deterministic", "zK", False),
    ],
)
def test_which_models_have_a_prior(registry, flow, enhancer, reconstruct, expected):
    model, context = make(registry, flow)
    model.enhancer, model.reconstruct = enhancer, reconstruct
    assert model.has_prior is expected
    noise = torch.randn(context.pipeline.sizes.style, generator=torch.Generator().manual_seed(2 * 1_009 + 3))
    plain = read_style(SAMPLE, context.pipeline, model, "", {}, seed=2, number=3)
    assert torch.equal(plain.code, noise)
    model.fit_prior(7 + torch.zeros(2, len(noise)))
    assert torch.allclose(read_style(SAMPLE, context.pipeline, model, "", {}).code, torch.tensor(7.0))


@pytest.mark.parametrize("enhancer", ["variational", "deterministic"])
def test_density_is_fitted_to_codes_drawn_as_in_training(registry, monkeypatch, enhancer):
    """Of 200 equal clips: the spread of their codes is that of the posterior, or none."""
    model, context = make(registry, "planar", f"stages.style.enhancer={enhancer}", "stages.style.reconstruct=z0")
    batch = example(context.pipeline.sizes)
    q = Posterior(*(part[:1].detach() for part in attrs.astuple(posterior_of(model, batch), recurse=False)))
    monkeypatch.setattr(style, "posterior_of", lambda *_: q)
    store = SimpleNamespace(of=lambda split: [split] * 401)
    torch.manual_seed(0)
    codes = style.drawn_codes(model, store, torch.device("cpu"), most=201)
    assert len(codes) == 201
    expected = q.log_std.exp() if enhancer == "variational" else torch.zeros_like(q.log_std)
    assert torch.allclose(codes.std(0), expected[0], rtol=0.3, atol=1e-6)
    assert torch.allclose(codes.mean(0), q.mean[0], atol=0.5)


def test_fitted_density_has_mean_and_covariance_of_the_codes(registry):
    model, context = make(registry, "none")
    width = context.pipeline.sizes.style
    chance = torch.Generator().manual_seed(0)
    codes = 2 + torch.randn(40, width, generator=chance) @ torch.randn(width, width, generator=chance)
    model.fit_prior(codes)
    assert torch.allclose(model.code_from(torch.zeros(width)), codes.mean(0), atol=1e-5)
    covariance = model.prior_factor @ model.prior_factor.mT
    assert torch.allclose(covariance, torch.cov(codes.mT, correction=0), rtol=1e-3, atol=1e-2)
