"""The training loop, and the bound that it minimises."""

from __future__ import annotations

from .bound import beta_at, bound, gaussian_kl, gaussian_log_likelihood, standard_normal_log_prob
from .loop import Diverged, Trainer
from .parts import Part

__all__ = [
    "Diverged",
    "Part",
    "Trainer",
    "beta_at",
    "bound",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "standard_normal_log_prob",
]
