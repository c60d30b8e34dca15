"""Styles, which can be saved, mixed and exaggerated."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Self

import attrs
from torch import Tensor, nn

from ..errors import InputError, WeightsError
from ..runs.weights import load_weights, save_weights

__all__ = ["Style"]

KIND = "style code"
"""Value of ``what`` in the header of a saved style."""


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a model's weights; style codes are valid only for one style model, this for one expression."""
    joint = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        joint.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        joint.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return joint.hexdigest()


@attrs.frozen(kw_only=True, eq=False)
class Style:
    """A speaking style as a code of one run's style model."""

    code: Tensor
    """(Z,), on the CPU; zeros are the decoder's neutral style."""
    model: str
    """Digest of the style weights that it belongs to (see :func:`weights_digest`)."""
    source: str
    """Description of its origin."""
    notes: tuple[str, ...] = ()
    """Notes of the tracker on the clips, one line each."""
    files: tuple[Path, ...] = ()
    """Files from which it was read."""

    def mix(self, other: Style, share: float = 0.5) -> Style:
        """(1 - ``share``) of this style and ``share`` of ``other``; a share outside [0, 1] extrapolates.

        Raises :class:`WeightsError` if they belong to different style weights, :class:`InputError` if the share is not
        finite.
        """
        if not math.isfinite(share):
            raise InputError(f"the share {share:g} of a style: give a finite number, such as 0.5")
        other.require(self.model)
        return attrs.evolve(
            self,
            code=(1 - share) * self.code + share * other.code,
            source=f"{1 - share:g} of ({self.source}) and {share:g} of ({other.source})",
            notes=(*self.notes, *other.notes),
            files=(*self.files, *other.files),
        )

    def strengthened(self, strength: float) -> Style:
        """The code times ``strength``: 0 is neutral, above 1 exaggerates.

        Raises :class:`InputError` if the strength, or the code times it, is not finite.
        """
        if not math.isfinite(strength) or not bool((strength * self.code).isfinite().all()):
            raise InputError(f"the strength {strength:g} of a style: give a finite number, such as 0.5 or 1.5")
        return attrs.evolve(self, code=strength * self.code, source=f"{strength:g} times ({self.source})")

    def save(self, path: str | Path) -> None:
        """Write it as safetensors, with the digest of its style weights in the header."""
        save_weights(Path(path), {"code": self.code}, {"what": KIND, "model": self.model, "source": self.source})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save` wrote. Raises :class:`WeightsError` if the file is not a saved style."""
        path = Path(path)
        tensors, header = load_weights(path)
        words = [header.get(name) for name in ("model", "source")]
        known = header.get("what") == KIND and all(isinstance(word, str) for word in words)
        if not known or set(tensors) != {"code"} or tensors["code"].ndim != 1:
            raise WeightsError(f"{path}: is not a saved style; Style.save writes one")
        return cls(code=tensors["code"], model=header["model"], source=header["source"], files=(path,))

    def require(self, model: str) -> None:
        """Raise :class:`WeightsError` unless this style belongs to the style weights with the digest ``model``."""
        if self.model != model:
            where = f"{self.files[0]}: " if len(self.files) == 1 else ""
            raise WeightsError(
                f"{where}this style belongs to other style weights (SHA-256 {self.model[:12]}...) than this avatar's "
                f"({model[:12]}...); read its prompt again with this avatar"
            )


def mean_of(styles: list[Style], weights: list[float], source: str) -> Style:
    """Weighted mean of styles of one model; the weights need not sum to 1.

    Raises :class:`InputError` if a weight is not above 0, or if the numbers of weights and styles differ.
    """
    if not styles or len(styles) != len(weights):
        raise InputError(
            f"{len(styles)} prompts and {len(weights)} weights; give at least one prompt, and one weight for each"
        )
    if bad := [weight for weight in weights if not 0 < weight < float("inf")]:
        raise InputError(f"the weight {bad[0]:g} of a prompt: give one above 0")
    total = sum(weights)
    code = sum((w / total * style.code for w, style in zip(weights, styles, strict=True)), start=0 * styles[0].code)
    return Style(
        code=code,
        model=styles[0].model,
        source=source,
        notes=tuple(note for style in styles for note in style.notes),
        files=tuple(file for style in styles for file in style.files),
    )
