"""What a linear map can tell from features: multinomial logistic regression, its penalty chosen on training data."""

from __future__ import annotations

from typing import Self

import attrs
import torch
from torch import Tensor
from torch.nn import functional

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""What :meth:`LinearProbe.tuned` chooses from; of columns with unit variance."""
_ITERATIONS = 200
_SMALLEST = 1e-6


@attrs.frozen(kw_only=True, eq=False)
class Examples:
    """Rows to learn from or to be judged on."""

    rows: Tensor
    """(N, A)."""
    classes: Tensor
    """(N,), int64, from 0."""

    def counts(self, classes: int) -> Tensor:
        """Rows of each class (K,), float64."""
        return torch.bincount(self.classes, minlength=classes).double()

    def shares(self, classes: int) -> Tensor:
        """What each row counts (N,), float64: classes that have rows alike, all together 1."""
        counts = self.counts(classes)
        return (1 / counts / (counts > 0).sum())[self.classes]

    def and_also(self, other: Examples) -> Examples:
        """These and others."""
        return Examples(rows=torch.cat([self.rows, other.rows]), classes=torch.cat([self.classes, other.classes]))


@attrs.frozen(kw_only=True, eq=False)
class LinearProbe:
    """argmax over k of (row - mean) / scale @ weight + bias."""

    weight: Tensor
    """(A, K), float64."""
    bias: Tensor
    """(K,)."""
    mean: Tensor
    """(A,), of the rows it learned from."""
    scale: Tensor
    """(A,), their standard deviation."""
    penalty: float

    @classmethod
    def fitted(cls, train: Examples, penalty: float) -> Self:
        """The least of mean_k mean_(n in k) -ln p(k | row n) + penalty / 2 ||weight||^2, by L-BFGS.

        Each class counts alike, however many rows it has. ValueError where a class has no row.
        """
        classes = int(train.classes.max()) + 1
        counts = train.counts(classes)
        if not counts.all():
            raise ValueError(f"class {int(counts.argmin())} of {classes} has no row to learn from")
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
        """Fitted to both, with that of :data:`PENALTIES` which, fitted to ``learn``, is least surprised by ``tune``."""
        penalty = min(PENALTIES, key=lambda penalty: cls.fitted(learn, penalty).surprise(tune))
        return cls.fitted(learn.and_also(tune), penalty)

    def logits(self, rows: Tensor) -> Tensor:
        """ln p (N, K), up to a constant, of rows (N, A)."""
        return (rows.double() - self.mean) / self.scale @ self.weight + self.bias

    def surprise(self, test: Examples) -> float:
        """-ln p of the true class in nats, the mean over classes."""
        return float(_surprise(self.logits(test.rows), test.classes, test.shares(len(self.bias))))

    def accuracy(self, test: Examples) -> float:
        """Share of rows whose most probable class is theirs, the mean over classes; 1 / K is chance."""
        right = (self.logits(test.rows).argmax(1) == test.classes).double()
        return float((right * test.shares(len(self.bias))).sum())


def _surprise(logits: Tensor, classes: Tensor, shares: Tensor) -> Tensor:
    return (functional.cross_entropy(logits, classes, reduction="none") * shares).sum()
