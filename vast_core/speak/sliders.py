"""Sliders: the factors of a style that a corpus names, as directions among the style codes.

A corpus that generates its styles knows their factors, such as smile or brow. With each factor scaled to f in [-1, 1]
over the training clips, the code of a style is nearly linear in them:

    z = c0 + sum_i f_i d_i

where c0 is the code in the middle of all ranges. A slider adds a_i d_i to a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import attrs
import cattrs
from torch import Tensor

from ..errors import InputError, WeightsError
from ..runs.weights import load_weights, save_weights
from .style import Style, weights_digest
from .style_model import StyleModel

__all__ = ["SLIDERS_FILE", "Factor", "Sliders", "load_sliders"]

KIND = "style sliders"
"""Value of ``what`` in the header of the file."""

SLIDERS_FILE = "sliders.safetensors"
"""Name of the file beside the style weights."""

LEAST_R2 = 0.1
"""Factors whose R2 is below this have no slider: the codes hardly show them (our choice)."""


@attrs.frozen(kw_only=True)
class Factor:
    """A factor of a style, over the training clips."""

    low: float
    """Smallest value, at -1."""
    high: float
    """Largest value, at +1; 0 is the middle between the two."""
    r2: float
    """Share of its variance that the codes of styles left out of the fit tell: at most 1, and negative if they mislead.
    """


@attrs.frozen(kw_only=True, eq=False)
class Sliders:
    """The map from factors to style codes of one run's style model."""

    model: str
    """Digest of the style weights that it belongs to."""
    styles: int
    """Number of training styles that it was learned from."""
    learned: Mapping[str, Factor]
    """All F factors, in the order of ``directions``."""
    origin: Tensor
    """Code c0 in the middle of all ranges (Z,)."""
    directions: Tensor
    """Change d_i of the code from the middle of each range to its upper end (F, Z)."""

    @property
    def factors(self) -> dict[str, Factor]:
        """The factors that have a slider: the codes show them."""
        return {name: own for name, own in self.learned.items() if own.r2 >= LEAST_R2}

    def middle(self) -> Style:
        """The style in the middle of all ranges."""
        return Style(code=self.origin, model=self.model, source="the middle of all factors")

    def moved(self, style: Style, amounts: Mapping[str, float]) -> Style:
        """The style with ``amounts`` a_i added: z + sum_i a_i d_i.

        Raises :class:`InputError` for an unknown factor, one that the codes do not show, or an amount outside [-1, 1].
        """
        for name, amount in amounts.items():
            if name not in self.factors:
                shown = f"{name!r} hardly shows in its style codes" if name in self.learned else f"{name!r} is unknown"
                raise InputError(f"the factor {shown}; this avatar has {', '.join(self.factors) or 'none'}")
            if not -1 <= amount <= 1:
                raise InputError(
                    f"the factor {name} = {amount:g}: give a value from -1 to +1, the ends of its range in training"
                )
        rows = list(self.learned)
        change = sum((a * self.directions[rows.index(name)] for name, a in amounts.items()), start=0 * self.origin)
        what = ", ".join(f"{name} {amount:+g}" for name, amount in amounts.items())
        return attrs.evolve(style, code=style.code + change, source=f"{style.source} with {what}")

    def save(self, path: Path) -> None:
        """Write it as safetensors, with the factors and their ranges in the header."""
        header = {"what": KIND, "model": self.model, "styles": self.styles, "factors": cattrs.unstructure(self.learned)}
        save_weights(path, {"origin": self.origin, "directions": self.directions}, header)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote. Raises :class:`WeightsError` if the file is not a map of factors."""
        tensors, header = load_weights(path)
        if header.get("what") != KIND or set(tensors) != {"origin", "directions"}:
            raise WeightsError(f"{path}: is not a map from factors to style codes; the style stage writes one")
        try:
            learned = cattrs.structure(header["factors"], dict[str, Factor])
            model, styles = str(header["model"]), int(header["styles"])
        except (KeyError, TypeError, ValueError, AttributeError, cattrs.BaseValidationError) as error:
            raise WeightsError(f"{path}: its header is not one of a map of factors ({error!r})") from error
        if tensors["origin"].ndim != 1 or tensors["directions"].shape != (len(learned), *tensors["origin"].shape):
            raise WeightsError(f"{path}: its directions are not one for each factor")
        return cls(model=model, styles=styles, learned=learned, **tensors)


def load_sliders(weights: Path, model: StyleModel) -> Sliders | None:
    """The sliders in a run's folder of weights; None if its corpus named no factors.

    Raises :class:`WeightsError` if they belong to other style weights than those of ``model``.
    """
    path = weights / SLIDERS_FILE
    if not path.is_file():
        return None
    sliders = Sliders.load(path)
    if sliders.model != weights_digest(model):
        raise WeightsError(f"{path}: belongs to other style weights than those beside it; copy all files of one run")
    return sliders
