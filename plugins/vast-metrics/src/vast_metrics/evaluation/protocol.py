"""The protocol of an evaluation: metrics, frames and crops. Imports no torch.

A YAML file, read like recipes: mistakes are reported with file, line and column, and metrics have registry names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import attrs
from attrs.validators import ge, gt, le

from vast_core.files import named_file
from vast_core.recipe import Draft, Mark, Node, Reader, Recipe, plain, read_document, recipe_error, shown
from vast_core.registry import Registry

VERSION = 1
"""Format version of a protocol's file, stated as ``protocol: 1``."""

_PARTS = ("fps", "face", "audio", "metrics")
"""The keys of a protocol that are also keys of a recipe."""


def _this_version(_: Protocol, __: attrs.Attribute[int], version: int) -> None:
    if version != VERSION:
        raise ValueError(f"this vast reads protocols of version {VERSION}, not {version}")


@attrs.frozen(kw_only=True)
class CropRule:
    """The square that is compared."""

    size: int = attrs.field(default=256, validator=[ge(32)])
    """Height and width in pixels."""
    margin: float = attrs.field(default=1.4, validator=[ge(1)])
    """Side of the square divided by the extent of the reference's face over all frames."""
    near: float = attrs.field(default=1.0, validator=[ge(0)])
    """Distance in crop pixels within which a generated video counts as aligned with its reference."""


@attrs.frozen(kw_only=True)
class Bootstrap:
    """Options of the bootstrap intervals."""

    resamples: int = attrs.field(default=2000, validator=[ge(100)])
    seed: int = attrs.field(default=1, validator=[ge(0)])


@attrs.frozen(kw_only=True)
class Reencoding:
    """How much a mere re-encoding of the generated videos moves the figures is measured on some of them."""

    clips: int = attrs.field(default=0, validator=[ge(0)])
    """Maximum number of clips, evenly chosen; they take as long again."""
    crf: int = attrs.field(default=28, validator=[ge(0), le(51)])
    """Quality of H.264, from 0, the best, to 51."""


@attrs.frozen(kw_only=True)
class Protocol:
    """A whole protocol, validated, with all defaults."""

    protocol: int = attrs.field(default=VERSION, validator=_this_version)
    max_seconds: float = attrs.field(default=20.0, validator=[gt(0)])
    """Maximum seconds of a clip that are compared: the frames of one clip are in memory together."""
    min_seconds: float = attrs.field(default=1.0, validator=[gt(0)])
    """Minimum seconds with a face in both videos of a pair."""
    tolerance: float = attrs.field(default=0.2, validator=[ge(0)])
    """Seconds by which the videos of a pair may differ in length."""
    crop: CropRule = CropRule()
    bootstrap: Bootstrap = Bootstrap()
    reencoding: Reencoding = Reencoding()
    max_clips: int = attrs.field(default=40, validator=[ge(1)])
    """Maximum number of a run's clips."""
    takes: int = attrs.field(default=4, validator=[ge(0)])
    """Number of styles drawn from the prior for each clip of a run."""
    parts: Recipe
    """Its name, frame rate, face, audio and metrics."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.parts.name

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.parts.fps

    @classmethod
    def load(cls, name_or_path: str, registry: Registry) -> Self:
        """A packaged protocol by name, such as ``v1``, or from a file.

        Raises :class:`vast_core.errors.RecipeError` with all mistakes at once, each at file:line:column, and
        :class:`vast_core.errors.InputError` where there is no such protocol.
        """
        path = named_file(name_or_path, packaged_protocols(), "--protocol")
        reader = Reader()
        tree = read_document(path, reader.problems, "protocol")
        own = [field.alias for field in attrs.fields(cls) if field.alias != "parts"]
        values = reader.fields(tree, cls, (), only=own, besides=_PARTS)
        if "protocol" not in tree.value:
            reader.note(
                tree, (), f"missing key 'protocol'; this vast reads protocols of version {VERSION}: protocol: 1"
            )
        for part in ("face", "audio", "metrics"):
            if part not in tree.value:
                reader.note(tree, (), f"missing key {part!r}; see `vast plugins` for what is installed")
        nowhere = Mark(shown(path), 0, 0, "")
        sections = {key: tree.value[key] for key in _PARTS if key in tree.value}
        sections["vast"] = Node(1, nowhere, raw="1")
        draft = Draft(path, Node(sections, tree.mark), Node({}, nowhere), (), "")
        parts, problems = draft.check(registry)
        if parts is None or reader.problems:
            raise recipe_error(shown(path), [*reader.problems, *problems], "protocol")
        return cls(parts=attrs.evolve(parts, run=(), stages={}), **values)

    def content(self) -> dict[str, Any]:
        """All its values that figures depend on, including defaults but not its name, as JSON types."""
        said: dict[str, Any] = {field.name: plain(getattr(self, field.name)) for field in attrs.fields(Protocol)}
        del said["parts"], said["reencoding"]
        sections = {kind: self.parts.component_data(kind) for kind in ("face", "audio")}
        return {**said, "fps": self.fps, **sections, **self.parts.component_data("metric")}

    def digest(self, weights: Mapping[str, str]) -> str:
        """SHA-256 of its content, the providers of face, audio and metrics, and ``weights``, digests by component."""
        uses = [self.parts.part("face"), self.parts.part("audio"), *self.parts.metrics]
        providers = [[use.component.kind, use.component.name, use.component.provider] for use in uses]
        whole = {"content": self.content(), "providers": providers, "weights": dict(weights)}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def packaged_protocols() -> dict[str, Path]:
    """The protocols of this package, by name."""
    folder = Path(__file__).parents[1] / "protocols"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
