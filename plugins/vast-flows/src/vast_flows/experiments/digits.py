"""A variational autoencoder of scikit-learn's handwritten digits with a flow posterior."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vast_core.errors import InputError
from vast_core.interfaces import Flow, Posterior
from vast_core.training import beta_at, bound, standard_normal_log_prob

PIXELS, LEVELS = 64, 16
"""Each of the 8 x 8 pixels is the number of black pixels among 4 x 4 of a finer picture: an integer from 0 to 16."""

TRAINING = 1437
"""Training digits; the other 360 are held out."""


def digits() -> tuple[Tensor, Tensor]:
    """Training and held-out digits (B, 64), always with the same split.

    UCI's Optical Recognition of Handwritten Digits (Alpaydin & Kaynak 1998; CC-BY-4.0), as scikit-learn ships it.

    Raises:
        InputError: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError('the digits are part of scikit-learn: pip install "vast-avatar[digits]"') from error
    counts = np.asarray(load_digits().data, np.float32)
    shuffled = torch.from_numpy(counts[np.random.default_rng(0).permutation(len(counts))])
    return shuffled[:TRAINING], shuffled[TRAINING:]


class DigitsModel(nn.Module):
    """p(x | z_K) of Binomial(16, sigmoid(decoder(z_K))) pixels, q(z_0 | x) a diagonal Gaussian, and a flow in between.

    Encoder and decoder have two hidden layers; the last one of the encoder is the flow's context.
    """

    def __init__(self, flow: Flow, code: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(PIXELS, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.moments = nn.Linear(hidden, 2 * code)
        self.flow = flow
        self.decoder = nn.Sequential(
            nn.Linear(code, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, PIXELS)
        )

    def posterior(self, x: Tensor) -> Posterior:
        """q(z_0 | x) of digits (B, 64)."""
        context = self.encoder(x / LEVELS)
        mean, log_std = self.moments(context).chunk(2, -1)
        return Posterior(mean, log_std, context)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """ln p(x | z) (B,) of digits (B, 64) and codes (B, Z), in nats."""
        logits = self.decoder(z)
        ways = torch.lgamma(torch.tensor(LEVELS + 1.0)) - torch.lgamma(x + 1) - torch.lgamma(LEVELS - x + 1)
        return (ways + x * functional.logsigmoid(logits) + (LEVELS - x) * functional.logsigmoid(-logits)).sum(-1)


def train(model: DigitsModel, x: Tensor, *, epochs: int, batch: int, learning_rate: float, seed: int) -> None:
    """Maximise the bound of VAST, eq. 7, by Adam; the weight of the KL rises over the first tenth (our choice)."""
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for step in range(steps):
        if step % (len(x) // batch) == 0:
            order = torch.randperm(len(x), generator=generator)
        start = step % (len(x) // batch) * batch
        given = x[order[start : start + batch]]
        q0 = model.posterior(given)
        z0 = q0.sample(torch.randn(q0.mean.shape, generator=generator))
        output = model.flow(z0, q0.context)
        beta = beta_at(step, steps=steps, beta=1.0, warmup=0.1)
        found = bound(q0, z0, output, model.log_likelihood(given, output.z), flow=model.flow, beta=beta)
        optimiser.zero_grad()
        torch.autograd.backward(found.loss)
        optimiser.step()
        schedule.step()


@attrs.frozen(eq=False)
class DigitBounds:
    """Bounds of ln p(x) for each digit (B,), in nats."""

    bound: Tensor
    """-ELBO, the mean over samples of ln q0(z_0) - ln|det| - ln p(z_K) - ln p(x | z_K)."""
    reconstruction: Tensor
    """-E[ln p(x | z_K)]."""
    kl: Tensor
    """The remainder: KL(q(z_K) || p), sampled."""
    importance: Tensor
    """-ln of the mean over samples of p(x, z_K) / q(z_K): closer to -ln p(x) than the bound (Burda et al. 2016)."""

    def rows(self) -> list[Mapping[str, float]]:
        """The values of each digit."""
        names = [field.name for field in attrs.fields(DigitBounds)]
        columns = [getattr(self, name).tolist() for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


@torch.no_grad()
def measure(model: DigitsModel, x: Tensor, *, samples: int, seed: int) -> DigitBounds:
    """The bounds of digits (B, 64), each from ``samples`` samples."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    q0 = model.posterior(x)
    likelihoods, kls = [], []
    for _ in range(samples):
        z0 = q0.sample(torch.randn(q0.mean.shape, generator=generator))
        output = model.flow(z0, q0.context)
        likelihoods.append(model.log_likelihood(x, output.z))
        kls.append(q0.log_prob(z0) - output.log_det - standard_normal_log_prob(output.z))
    likelihood, kl = torch.stack(likelihoods).double(), torch.stack(kls).double()
    weights = likelihood - kl
    return DigitBounds(
        bound=-weights.mean(0),
        reconstruction=-likelihood.mean(0),
        kl=kl.mean(0),
        importance=-(torch.logsumexp(weights, 0) - torch.tensor(float(samples)).log()),
    )
