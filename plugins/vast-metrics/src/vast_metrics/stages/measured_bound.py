"""The bound of VAST, eq. 7, on held-out clips."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

from vast_core.interfaces import Posterior
from vast_core.runs import PreparedClip, Store
from vast_core.speak.style_model import StyleModel
from vast_core.stages.style import posterior_of
from vast_core.training import gaussian_kl, gaussian_log_likelihood, standard_normal_log_prob

KL_SAMPLES, LIKELIHOOD_SAMPLES = 512, 8
"""Samples of the style code for a clip's bound: fewer for the likelihood, because decoding is slow."""


@torch.no_grad()
def measured_bound(
    model: StyleModel, store: Store, clip: PreparedClip, prompt: PreparedClip, device: torch.device
) -> dict[str, float]:
    """The bound on -ln p(X | A) of a clip's T frames with q from ``prompt``, and its terms, in nats.

    Per frame, ``reconstruction`` = -E[ln p(X | z, A)] / T, z being zK or z0 as in training, and ``negative_bound`` =
    that + ``kl_after_flow`` / T. The KL divergences from N(0, I) are for the whole clip: of z0 in closed form, of z0
    and of zK at the same samples (which an orthogonal flow leaves equal). The samples depend only on the clip's name
    and Z, so that flows are compared at the same samples. A model without the variational enhancer has only
    ``reconstruction``, at the posterior's mean.
    """
    posterior = posterior_of(model, store, prompt, device)
    expression, valid = (store.read(clip, name)[None].to(device) for name in ("expression", "valid"))
    audio = store.features(clip, model.audio)[None].to(device)

    def reconstruction(codes: Tensor) -> float:
        said = [model.speak(audio, z[None], valid).expression for z in codes]
        likelihoods = [gaussian_log_likelihood(own, expression, valid, model.log_std) for own in said]
        return -float(torch.cat(likelihoods).mean())

    if model.enhancer == "deterministic":
        return {"reconstruction": reconstruction(model.code_of(posterior))}
    chance = torch.Generator().manual_seed(zlib.crc32(clip.name.encode()))
    noise = torch.randn(KL_SAMPLES, posterior.mean.shape[1], generator=chance).to(device)
    many = Posterior(*(part.expand(KL_SAMPLES, -1) for part in (posterior.mean, posterior.log_std, posterior.context)))
    z0 = many.sample(noise)
    flowed = model.flow(z0, many.context)
    log_q0 = many.log_prob(z0)
    at_z0 = log_q0 - standard_normal_log_prob(z0)
    at_zk = log_q0 - flowed.log_det - standard_normal_log_prob(flowed.z)
    error, kl = reconstruction(model.chosen(z0, flowed)[:LIKELIHOOD_SAMPLES]), float(at_zk.mean())
    return {
        "negative_bound": error + kl / max(int(valid.sum()), 1),
        "reconstruction": error,
        "kl_before_flow": float(gaussian_kl(posterior).sum()),
        "kl_before_flow_sampled": float(at_z0.mean()),
        "kl_after_flow": kl,
    }
