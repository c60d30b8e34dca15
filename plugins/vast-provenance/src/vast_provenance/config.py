"""The section ``provenance`` of a recipe; imports no torch."""

from __future__ import annotations

import attrs
from attrs.validators import instance_of


@attrs.frozen(kw_only=True)
class Provenance:
    """What the videos in which an avatar speaks carry, so that everyone can tell that they are synthetic.

    All three are on in every recipe, and stay with the avatar when it is packed.
    """

    metadata: bool = attrs.field(default=True, validator=instance_of(bool))
    """Whether the container says that the video is synthetic, and which run, recipe and weights made it."""
    manifest: bool = attrs.field(default=True, validator=instance_of(bool))
    """Whether files carry a signed C2PA manifest."""
    watermark: bool = attrs.field(default=True, validator=instance_of(bool))
    """Whether pictures carry an invisible watermark."""
