"""The game: who learns from which objective, when it starts, and that it leads somewhere."""

from __future__ import annotations

import attrs
import pytest
import torch

from vast_core.interfaces import RendererBatch
from vast_renderers.cgan_convlstm import CganConvLstm
from vast_renderers.config import CganConvLstmConfig
from vast_renderers.discriminator import least_squares


@pytest.fixture
def make_renderer(sizes):
    def make(**options) -> CganConvLstm:
        torch.manual_seed(0)
        return CganConvLstm.from_config(CganConvLstmConfig(size=32, width=8, discriminator_width=4, **options), sizes)

    return make


def train(renderer, batch: RendererBatch, steps: int, progress: float, rate: float = 3e-3) -> list[dict[str, float]]:
    """As the core does it: each objective is stepped before the next one is asked for."""
    optimiser = torch.optim.AdamW(renderer.parameters(), rate, betas=(0.5, 0.99))
    history = []
    for _ in range(steps):
        terms = {}
        for objective in renderer.training_objectives(batch, progress):
            optimiser.zero_grad(set_to_none=True)
            objective.loss.backward()
            optimiser.step()
            terms |= {f"{objective.name}/{name}": value.item() for name, value in objective.terms.items()}
        history.append(terms)
    return history


@pytest.mark.parametrize("letter", [False, True])
def test_each_objective_reaches_all_its_parameters_and_no_others(make_renderer, make_batch, letter):
    renderer = make_renderer(
        **({"texture": False, "skips": False, "residual": False, "upsampling": "transposed"} if letter else {})
    )
    owners = {"discriminator": renderer.discriminators, "generator": renderer.generator}
    names = []
    for objective in renderer.training_objectives(make_batch(3), 1.0):
        names.append(objective.name)
        renderer.zero_grad(set_to_none=True)
        objective.loss.backward()
        mine = {id(parameter) for parameter in objective.parameters}
        assert mine == {id(parameter) for parameter in owners[objective.name].parameters()}
        for name, parameter in renderer.named_parameters():
            if id(parameter) in mine:
                assert parameter.grad is not None, name
                assert parameter.grad.abs().sum() > 0, name
            else:
                assert parameter.grad is None, name
    assert names == ["discriminator", "generator"]
    assert all(parameter.requires_grad for parameter in renderer.parameters())


def test_the_game_starts_late(make_renderer, make_batch):
    renderer, batch = make_renderer(adversarial_start=0.5), make_batch(2)
    early = list(renderer.training_objectives(batch, 0.49))
    assert [(objective.name, set(objective.terms)) for objective in early] == [("generator", {"l1"})]
    late = {objective.name: set(objective.terms) for objective in renderer.training_objectives(batch, 0.5)}
    assert late == {"discriminator": {"real", "fake"}, "generator": {"l1", "adversarial", "feature_matching"}}


def test_the_generator_plays_against_the_discriminators_as_just_stepped(make_renderer, make_batch):
    renderer = make_renderer()
    game = renderer.training_objectives(make_batch(2), 1.0)
    next(game)
    with torch.no_grad():
        for parameter in renderer.discriminators.parameters():
            parameter.zero_()
    # All scores are now 0, so the generator misses its goal of 1 by exactly 1, and no feature differs.
    terms = next(game).terms
    assert terms["adversarial"].item() == pytest.approx(1.0)
    assert terms["feature_matching"].item() == 0.0


def test_the_losses_add_up(make_renderer, make_batch):
    renderer = make_renderer(l1=2.0, adversarial=0.3, feature_matching=0.7)
    judge, player = renderer.training_objectives(make_batch(3), 1.0)
    assert judge.loss.item() == pytest.approx(0.5 * (judge.terms["real"] + judge.terms["fake"]).item())
    weighted = 2.0 * player.terms["l1"] + 0.3 * player.terms["adversarial"] + 0.7 * player.terms["feature_matching"]
    assert player.loss.item() == pytest.approx(weighted.item(), rel=1e-5)


def test_errors_over_mouth_and_eyes_count_most_and_outside_the_hole_nothing(make_renderer, make_batch):
    renderer = make_renderer(face=3.0, mouth=6.0, eyes=5.0)
    batch = make_batch(1)
    with torch.no_grad():
        drawn, _ = renderer._draw(batch.scene, None)
    hole, face, mouth, eyes = batch.scene.hole, batch.face, batch.mouth, batch.eyes
    assert not (mouth * eyes).any()

    def error(region: torch.Tensor) -> float:
        wrong = attrs.evolve(batch, frames=drawn + region)
        (objective,) = renderer.training_objectives(wrong, 0.0)
        return objective.terms["l1"].item() / region.sum().item()

    unit = error(hole - face)
    assert error(face - mouth - eyes) == pytest.approx(4 * unit, rel=1e-3)
    assert error(mouth) == pytest.approx(10 * unit, rel=1e-3)
    assert error(eyes) == pytest.approx(9 * unit, rel=1e-3)
    assert error(1 - hole) == 0.0


def test_one_frame_trains_without_pairs(make_renderer, make_batch):
    for objective in make_renderer().training_objectives(make_batch(1), 1.0):
        assert torch.isfinite(objective.loss)


def test_training_is_finite_under_bfloat16(make_renderer, make_batch):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        objectives = list(make_renderer().training_objectives(make_batch(3), 1.0))
    for objective in objectives:
        assert torch.isfinite(objective.loss)
        assert objective.loss.dtype == torch.float32


def test_a_discriminator_learns_to_tell_real_from_drawn(make_renderer, make_batch):
    renderer, batch = make_renderer(), make_batch(3)
    with torch.no_grad():
        drawn, _ = renderer._draw(batch.scene, None)
    optimiser = torch.optim.AdamW(renderer.discriminators.parameters(), 2e-3, betas=(0.5, 0.99))
    for _ in range(40):
        judge = next(renderer.training_objectives(batch, 1.0))
        optimiser.zero_grad()
        judge.loss.backward()
        optimiser.step()
    with torch.no_grad():
        condition = renderer._condition(batch.scene)
        real = renderer.discriminators(batch.frames, condition)
        fake = renderer.discriminators(drawn, condition)
    for truth, forgery in zip(real, fake, strict=True):
        assert truth[-1].mean() > forgery[-1].mean()
    assert least_squares(real, batch.face, 1.0) < 0.5 * least_squares(fake, batch.face, 1.0)


def test_patches_of_background_do_not_count(make_batch):
    hole = torch.zeros(1, 1, 1, 32, 32)
    hole[..., :16, :16] = 1
    score = torch.full((1, 1, 4, 4), 9.0)
    score[..., :2, :2] = 0.25
    assert least_squares([[score]], hole, 1.0).item() == pytest.approx(0.75**2)


@pytest.mark.parametrize("letter", [False, True])
def test_it_learns_what_only_the_audio_tells(make_renderer, make_batch, letter):
    renderer = make_renderer(
        **({"texture": False, "skips": False, "residual": False, "upsampling": "transposed"} if letter else {})
    )
    batch = make_batch(6)
    scene = batch.scene
    grey = (0.5 * scene.coverage).expand_as(scene.mesh)
    loud = (torch.arange(6) % 3 == 0).float()
    background = (0.5 * (1 - scene.hole)).expand_as(scene.mesh)
    audio = torch.stack([loud, 1 - loud, 0 * loud, 0 * loud, 0 * loud], dim=-1)[None]
    face = (0.2 + 0.6 * loud)[None, :, None, None, None]
    batch = attrs.evolve(
        batch,
        scene=attrs.evolve(scene, background=background, audio=audio, mesh=grey, texture=grey),
        frames=background + scene.hole * face,
    )
    history = train(renderer, batch, 60, progress=0.0, rate=1e-3)
    assert history[-1]["generator/l1"] < history[0]["generator/l1"] / 4
    assert history[-1]["generator/l1"] < 0.05


def test_the_whole_game_stays_calm(make_renderer, make_batch):
    renderer, batch = make_renderer(), make_batch(4)
    before = train(renderer, batch, 40, progress=0.0)[-1]
    after = train(renderer, batch, 25, progress=1.0, rate=1e-3)[-1]
    assert all(value == value for value in after.values())
    assert after["generator/l1"] < 1.1 * before["generator/l1"]
