"""The bound of eq. 7, term by term."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
import torch
from torch import Tensor

from ..interfaces import Flow, FlowOutput, Posterior
from ..processes import everywhere


@attrs.frozen(eq=False, kw_only=True)
class Bound:
    """The negative bound of one batch and its terms; each (), in nats, mean over the batch."""

    loss: Tensor
    """-E[ln p(X | z, A)] + beta * KL after free bits, z being zK or z0: the loss to minimise."""
    reconstruction: Tensor
    """-E[ln p(X | z, A)]."""
    kl: Tensor
    """KL(q(zK) || p(zK)) before beta and free bits; a sampled KL may be negative by chance."""
    counted: Tensor
    """The KL after free bits."""
    log_det: Tensor
    """The sum over the chain of ln|det|."""

    @property
    def terms(self) -> Mapping[str, Tensor]:
        """The terms to log, by name."""
        return {
            "reconstruction": self.reconstruction,
            "kl": self.kl,
            "kl_counted": self.counted,
            "log_det": self.log_det,
        }


def bound(
    posterior: Posterior,
    z0: Tensor,
    flow_output: FlowOutput,
    log_likelihood: Tensor,
    *,
    flow: Flow,
    beta: float = 1.0,
    free_bits: float = 0.0,
) -> Bound:
    """Eq. 7: loss = -ln p(X | zK, A) + beta (ln q0(z0 | X, A) - sum_k ln|det dH_k/dz_(k-1)| - ln p(zK)).

    With the reconstruction at z0 (the paper's alternative), ``log_likelihood`` is ln p(X | z0, A). The bracket is the
    same, and equals KL(q0 || p_h), where p_h(z0) = p(H(z0; h)) |det dH/dz0| is the prior pulled back through the flow H
    with the context h: the flow makes the prior flexible, not the posterior, and learns from the KL alone. An
    orthogonal flow leaves N(0, I) as it is, and learns nothing. Any other flow can learn to map the q0 of each prompt
    to N(0, I), because h depends on the prompt X. The KL then no longer limits how much the code tells about X, and
    since p_h depends on X, eq. 7 is no longer a bound on ln p(X | A).

    If ``flow`` is orthogonal, the bracket is computed in closed form for p(z) = N(0, I); for any other flow it is
    computed at the sample.

    Args:
        posterior: q0, its mean and log_std (B, Z).
        z0: the sample (B, Z) of ``posterior`` that the flow was given.
        flow_output: z_K (B, Z) and log_det (B,).
        log_likelihood: ln p(X | zK, A) or ln p(X | z0, A) (B,), in nats.
        flow: the flow that gave ``flow_output``; only its ``orthogonal`` is read.
        beta: weight of the KL, at least 0.
        free_bits: nats (despite the name) of each dimension's KL, mean over the batch, that cost nothing. A sampled KL
            is not known by dimension; then Z * ``free_bits`` of the total cost nothing (our choice).

    Raises:
        ValueError: if the shapes do not match, or ``beta`` or ``free_bits`` is negative.

    Source: VAST (Chen et al., 2023), eq. 7; free bits after Kingma et al. 2016, appendix C.8.
    """
    batch, width = posterior.mean.shape
    for name, tensor, shape in (
        ("posterior.log_std", posterior.log_std, (batch, width)),
        ("z0", z0, (batch, width)),
        ("flow_output.z", flow_output.z, (batch, width)),
        ("flow_output.log_det", flow_output.log_det, (batch,)),
        ("log_likelihood", log_likelihood, (batch,)),
    ):
        if tensor.shape != shape:
            raise ValueError(
                f"{name} is {tuple(tensor.shape)}; with posterior.mean {(batch, width)} it must be {shape}"
            )
    if beta < 0 or free_bits < 0:
        raise ValueError(f"beta is {beta} and free_bits {free_bits}; neither may be negative")

    q0 = Posterior(_wide(posterior.mean), _wide(posterior.log_std), posterior.context)
    log_det = _wide(flow_output.log_det)
    if flow.orthogonal:
        by_dimension = everywhere(gaussian_kl(q0).mean(0))
        kl, counted = by_dimension.sum(), by_dimension.clamp_min(free_bits).sum()
    else:
        kl = everywhere((q0.log_prob(_wide(z0)) - log_det - standard_normal_log_prob(_wide(flow_output.z))).mean())
        counted = kl.clamp_min(width * free_bits) if free_bits > 0 else kl
    reconstruction = -_wide(log_likelihood).mean()
    return Bound(
        loss=reconstruction + beta * counted,
        reconstruction=reconstruction,
        kl=kl,
        counted=counted,
        log_det=log_det.mean(),
    )


def gaussian_kl(posterior: Posterior) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) of each dimension (B, Z), (mean^2 + std^2 - 1) / 2 - ln std, in nats."""
    return 0.5 * (posterior.mean.square() + torch.expm1(2 * posterior.log_std)) - posterior.log_std


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """ln N(z; 0, I) (B,) of z (B, Z), in nats."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


def gaussian_log_likelihood(prediction: Tensor, target: Tensor, mask: Tensor, log_std: Tensor) -> Tensor:
    """ln N(target; prediction, exp(log_std)^2) (B,), summed over E and averaged over the frames in ``mask``.

    The mean over frames is our choice: the length of a clip then does not change the balance with the KL, and beta
    weighs the KL against one frame. A row without frames gives 0. Masked frames may have any value, even NaN.

    Args:
        prediction: (B, T, E).
        target: (B, T, E).
        mask: (B, T), False on frames to ignore.
        log_std: (E,), ln of the observation noise of each coefficient.
    """
    error = torch.where(mask[..., None], _wide(target) - _wide(prediction), 0.0)
    log_std = _wide(log_std)
    frames = -(0.5 * (error * torch.exp(-log_std)).square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)
    return (frames * mask).sum(-1) / mask.sum(-1).clamp_min(1)


def beta_at(step: int, *, steps: int, beta: float, warmup: float) -> float:
    """The weight of the KL at ``step`` of ``steps``: rises linearly from 0 to ``beta`` over the share ``warmup``.

    Raises:
        ValueError: if ``warmup`` is outside [0, 1].
    """
    if not 0 <= warmup <= 1:
        raise ValueError(f"warmup is {warmup}; it is the share of the training, in [0, 1]")
    length = warmup * steps
    return beta if step >= length else beta * step / length


def _wide(tensor: Tensor) -> Tensor:
    """At least float32, because the terms are sums of many small numbers."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
