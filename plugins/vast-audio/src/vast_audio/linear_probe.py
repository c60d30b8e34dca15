"""Multinomial logistic regression on features, with its penalty chosen on training data."""

from __future__ import annotations

from typing import Self

import attrs
import torch
from torch import Tensor
from torch.nn import functional

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Penalties that :meth:`LinearProbe.tuned` tries; they apply to columns of unit variance."""
_ITERATIONS = 200
_SMALLEST = 1e-6


@attrs.frozen(kw_only=True, eq=False)
class Examples:
    """Rows with classes, to train or test on."""

    rows: Tensor
    """(N, A)."""
    classes: Tensor
    """(N,), int64, from 0."""

    def counts(self, classes: int) -> Tensor:
        """Number of rows of each class (K,), float64."""
        return torch.bincount(self.classes, minlength=classes).double()

    def shares(self, classes: int) -> Tensor:
        """Weight of each row (N,), float64: equal for all classes that have rows, and 1 in total."""
        counts = self.counts(classes)
        return (1 / counts / (counts > 0).sum())[self.classes]

    def and_also(self, other: Examples) -> Examples:
        """Both sets of examples together."""
        return Examples(rows=torch.cat([self.rows, other.rows]), classes=torch.cat([self.classes, other.classes]))


@attrs.frozen(kw_only=True, eq=False)
class LinearProbe:
    """Classifier argmax over k of (row - mean) / scale @ weight + bias."""

    weight: Tensor
    """(A, K), float64."""
    bias: Tensor
    """(K,)."""
    mean: Tensor
    """(A,), mean of the training rows."""
    scale: Tensor
    """(A,), their standard deviation."""
    penalty: float

    @classmethod
    def fitted(cls, train: Examples, penalty: float) -> Self:
        """Minimise mean_k mean_(n in k) -ln p(k | row n) + penalty / 2 ||weight||^2 by L-BFGS.

        Classes have equal weight, however many rows they have. Raises ValueError if a class has no row.
        """
        classes = int(train.classes.max()) + 1
        counts = train.counts(classes)
        if not counts.all():
            raise ValueError(f"class {int(counts.argmin())} of {classes} has no training rows")
        rows = train.rows.double()
        mean, scale = rows.mean(0), rows.std(0).clamp_min(_SMALLEST)
        rows = (rows - mean) / scale
        shares = train.shares(classes)
        weight = torch.zeros(rows.shape[1], classes, dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS(
            [weight, bias],
            max_iter=_ITERATIONS,
            tolerance_grad=1e-6,
            tolerance_change=1e-8,
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            optimiser.zero_grad()
            total = _surprise(rows @ weight + bias, train.classes, shares) + penalty / 2 * weight.square().sum()
            total.backward()  # type: ignore[no-untyped-call]
            return total

        with torch.enable_grad():
            optimiser.step(loss)  # type: ignore[no-untyped-call]
        return cls(weight=weight.detach(), bias=bias.detach(), mean=mean, scale=scale, penalty=penalty)

    @classmethod
    def tuned(cls, learn: Examples, tune: Examples) -> Self:
        """Fit to both sets, with the penalty of :data:`PENALTIES` that gives ``tune`` the least loss after fitting
        ``learn``."""
        penalty = min(PENALTIES, key=lambda penalty: cls.fitted(learn, penalty).surprise(tune))
        return cls.fitted(learn.and_also(tune), penalty)

    def logits(self, rows: Tensor) -> Tensor:
        """ln p (N, K), up to a constant, for rows (N, A)."""
        return (rows.double() - self.mean) / self.scale @ self.weight + self.bias

    def surprise(self, test: Examples) -> float:
        """Mean -ln p of the true class in nats, averaged over classes."""
        return float(_surprise(self.logits(test.rows), test.classes, test.shares(len(self.bias))))

    def accuracy(self, test: Examples) -> float:
        """Share of rows classified correctly, averaged over classes; chance is 1 / K."""
        right = (self.logits(test.rows).argmax(1) == test.classes).double()
        return float((right * test.shares(len(self.bias))).sum())


def _surprise(logits: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
    return (functional.cross_entropy(logits, classes, reduction="none") * shares).sum()
