"""What vast-toys declares; no torch here."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from . import config

TOYS = (
    ("face", "blendshapes", "face:Blendshapes", config.BlendshapesConfig, "a fixed basis of six motions"),
    ("decoder", "matching", "decoder:Matching", config.MatchingConfig, "flow matching, which moves the head, too"),
    ("renderer", "warp", "renderer:Warp", config.WarpConfig, "warps the reference picture onto the face"),
    ("audio", "learned", "audio:Learned", config.LearnedConfig, "spectra read by a layer that learns with the style"),
    ("style", "words", "style:Words", config.WordsConfig, "reads labels or any words, and no clips"),
    ("style", "mannered", "style:Mannered", config.ManneredConfig, "reads clips, labels, or any words"),
)


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare the toys."""
    for kind, name, target, options, summary in TOYS:
        yield Component(kind=kind, name=name, target=f"vast_toys.{target}", config=options, summary=summary)
