"""Widths in a pipeline, and the sample rate of sound."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..errors import InputError
from ..registry.declarations import Part

SAMPLE_RATE = 16_000
"""Samples per second of every wave that is passed between components."""

SIZE_GIVEN_BY: Mapping[str, Part] = {
    "image": "renderer",
    "audio": "audio",
    "expression": "face",
    "lower_face": "face",
    "vertices": "face",
    "style": "style",
    "context": "style",
}
"""The kind of component whose config gives each width."""

OPTIONAL_SIZES = frozenset({"lower_face"})
"""Widths that their component may leave out."""


@attrs.frozen(kw_only=True, repr=False)
class Sizes:
    """Every width in a pipeline, computed once from the components' configs.

    A recipe need not have every part. Reading a width that no part gives raises
    :class:`vast_core.errors.InputError`.
    """

    fps: float
    """Video frames per second."""
    _image: int | None = None
    _audio: int | None = None
    _expression: int | None = None
    _lower_face: int | None = None
    _vertices: int | None = None
    _style: int | None = None
    _context: int | None = None

    @property
    def image(self) -> int:
        """Y = X of the renderer's crop, in pixels."""
        return self._width("image", self._image)

    @property
    def audio(self) -> int:
        """Number of audio features, A."""
        return self._width("audio", self._audio)

    @property
    def expression(self) -> int:
        """Number of expression coefficients, E."""
        return self._width("expression", self._expression)

    @property
    def lower_face(self) -> int:
        """Number of leading expression coefficients, of the E, that move the lower face; by default all."""
        return self.expression if self._lower_face is None else self._lower_face

    @property
    def vertices(self) -> int:
        """Number of mesh vertices, V."""
        return self._width("vertices", self._vertices)

    @property
    def style(self) -> int:
        """Width of the style code, Z."""
        return self._width("style", self._style)

    @property
    def context(self) -> int:
        """Width of the encoder context, H."""
        return self._width("context", self._context)

    def known(self) -> dict[str, float]:
        """The sizes that are known, by name."""
        sizes = {field.name.lstrip("_"): getattr(self, field.name) for field in attrs.fields(Sizes)}
        return {name: size for name, size in sizes.items() if size is not None}

    def __repr__(self) -> str:
        return f"Sizes({', '.join(f'{name}={size}' for name, size in self.known().items())})"

    def _width(self, name: str, width: int | None) -> int:
        if width is None:
            raise InputError(
                f"the size {name!r} is unknown, because no part of the recipe gives it; "
                f"add a section `{SIZE_GIVEN_BY[name]}` (`vast plugins` lists what is installed)"
            )
        return width
