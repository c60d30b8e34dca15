"""Parts of a batch: blocks of its rows that processes compute at once, or one process one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import InputError

DRAWS = (
    *("aten::bernoulli", "aten::bernoulli_", "aten::exponential_", "aten::native_dropout", "aten::normal"),
    *("aten::normal_", "aten::rand", "aten::rand_like", "aten::randint", "aten::randint_like", "aten::randn"),
    *("aten::randn_like", "aten::random_", "aten::uniform_"),
)
"""Torch's operations that draw one number for each element."""


@attrs.frozen
class Part:
    """Block ``number`` of ``of`` equal blocks of rows."""

    number: int = 0
    of: int = 1

    def rows(self, batch: int, option: str) -> slice:
        """The block's rows of a batch. Raises :class:`InputError` with ``option`` if the blocks cannot be equal."""
        each, rest = divmod(batch, self.of)
        if rest:
            raise InputError(
                f"{option}: {batch} rows cannot be shared equally by {self.of} parts (processes times accumulate); "
                f"give a multiple of {self.of}"
            )
        return slice(self.number * each, (self.number + 1) * each)


class SharedDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, random tensors are this part's rows of those of the whole batch, so that parts equal the whole.

    Each draw is made for the whole batch and cut. Its first axis is taken for that of rows (or of rows times frames);
    numbers without an axis are the same in all parts. Draws inside fused kernels, such as the attention of GPUs, are
    not covered: they are then the same in each part.
    """

    def __init__(self, part: Part) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._part = part

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operation."""
        kwargs = kwargs or {}
        if func._schema.name not in DRAWS:
            return func(*args, **kwargs)
        names = [argument.name for argument in func._schema.arguments]
        wide = [self._widened(name, value) for name, value in zip(names, args, strict=False)]
        drawn = func(*wide, **kwargs)
        if func._schema.is_mutable:
            return args[0].copy_(self._own(drawn))
        return tuple(map(self._own, drawn)) if isinstance(drawn, tuple) else self._own(drawn)

    def _widened(self, name: str, value: Any) -> Any:
        """An argument for the whole batch."""
        if name == "size" and value:
            return [value[0] * self._part.of, *value[1:]]
        if isinstance(value, Tensor) and value.dim():
            return value.repeat(self._part.of, *[1] * (value.dim() - 1))
        return value

    def _own(self, drawn: Tensor) -> Tensor:
        """This part's rows."""
        return drawn.chunk(self._part.of)[self._part.number].clone() if drawn.dim() else drawn
