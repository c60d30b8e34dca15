"""Encoder, flow and decoder learn together to transfer an unseen style, on synthetic curves."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.interfaces import Sizes
from vast_core.registry import Registry
from vast_core.training import beta_at, bound, gaussian_log_likelihood

A, E, FACTORS = 10, 6, 3
SIZES = Sizes(fps=25, image=64, audio=A, expression=E, lower_face=3, vertices=9, style=8, context=12)
FRAMES, STEPS = 40, 250


class Curves:
    """Expression = gain(style) * saturated, filtered audio + offset(style); audio is a chain of soft phones."""

    def __init__(self):
        self.deviation = 0.8 ** torch.arange(E)
        self.mix, self.gain, self.offset = (
            torch.randn(A, E),
            0.35 * torch.randn(FACTORS, E),
            0.4 * torch.randn(FACTORS, E),
        )

    def audio(self, batch: int) -> Tensor:
        phones = torch.randint(0, A, (batch, FRAMES // 4)).repeat_interleave(4, 1)
        return functional.avg_pool1d(functional.one_hot(phones, A).float().mT, 3, 1, 1).mT

    def face(self, audio: Tensor, factors: Tensor) -> Tensor:
        neutral = torch.tanh(1.5 * (audio + audio.roll(1, 1)) @ self.mix / 2)
        curves = torch.exp(factors @ self.gain)[:, None] * neutral + (factors @ self.offset)[:, None]
        return curves * self.deviation


@pytest.mark.parametrize("name", ["householder", pytest.param("planar", marks=pytest.mark.slow)])
def test_transfer_to_unseen_styles_beats_the_zero_code_and_a_wrong_prompt(name):
    torch.manual_seed(0)
    registry = Registry.discover()
    style, flow, decoder = (
        registry.get(*key) for key in (("style", "attentive"), ("flow", name), ("decoder", "hybrid"))
    )
    encoder = style.load().from_config(style.config(size=8, context=12, width=32, layers=1, dropout=0.0), SIZES)
    flow = flow.load().from_config(flow.config(steps=4), SIZES)
    decoder = decoder.load().from_config(decoder.config(width=32, recurrent=24, dropout=0.0), SIZES)
    curves, batch = Curves(), 12
    log_std = nn.Parameter(curves.deviation.log() - 1)
    parameters = [*encoder.parameters(), *flow.parameters(), *decoder.parameters(), log_std]
    optimiser = torch.optim.AdamW(parameters, 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    mask, heard = torch.ones(batch, FRAMES, dtype=torch.bool), torch.ones(batch, dtype=torch.bool)
    seen = torch.randn(24, FACTORS)

    def pair(factors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Prompts and targets in the same styles."""
        prompt, audio = curves.audio(len(factors)), curves.audio(len(factors))
        return prompt, curves.face(prompt, factors), audio, curves.face(audio, factors)

    for step in range(STEPS):
        prompt, manner, audio, target = pair(seen[torch.randint(0, len(seen), (batch,))])
        posterior = encoder(manner, prompt, mask, heard)
        z0 = posterior.sample(torch.randn_like(posterior.mean))
        output = flow(z0, posterior.context)
        predictions = decoder.reconstruct(audio, output.z, mask, target, step / STEPS)
        likelihood = torch.stack([gaussian_log_likelihood(p, target, mask, log_std) for p in predictions]).mean(0)
        beta = beta_at(step, steps=STEPS, beta=0.02, warmup=0.3)
        optimiser.zero_grad()
        bound(posterior, z0, output, likelihood, flow=flow, beta=beta).loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()

    for module in (encoder, flow, decoder):
        module.eval()
    with torch.no_grad():
        prompt, manner, audio, target = pair(torch.randn(batch, FACTORS))
        posterior = encoder(manner, prompt, mask, heard)
        code = flow(posterior.mean, posterior.context).z
        ours, zero, wrong = (
            (decoder(audio, z, mask).expression - target).square().mean().sqrt().item()
            for z in (code, 0 * code, code.roll(1, 0))
        )
    print(ours, zero, wrong)
    assert ours < 0.5 * zero, (ours, zero)
    assert ours < 0.5 * wrong, (ours, wrong)
