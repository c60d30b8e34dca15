"""Options of the corpora, declared without importing anything heavy."""

from __future__ import annotations

import attrs
from attrs.validators import ge, le


@attrs.frozen(kw_only=True)
class SyntheticConfig:
    """Options of ``corpus/synthetic``."""

    seed: int = attrs.field(default=1, validator=ge(0))
    """Decides speakers, styles, who says what, blinks and head motion."""
    speakers: int = attrs.field(default=4, validator=[ge(1), le(8)])
    """Speakers; the first is the avatar."""
    styles: int = attrs.field(default=24, validator=ge(1))
    """Styles to train on; the first, ``style-00``, is neutral."""
    held_out_styles: int = attrs.field(default=6, validator=ge(0))
    """Styles never trained on."""
    sentences: int = attrs.field(default=6, validator=ge(1))
    """Training sentences that each speaker says in each training style."""
    pool: int = attrs.field(default=36, validator=ge(1))
    """Sentences from which those are drawn: the fewer, the more styles say the same."""
    held_out_sentences: int = attrs.field(default=3, validator=ge(0))
    """Sentences never trained on; every speaker says them in every held-out style, and one speaker one in each other."""
    avatar_seconds: float = attrs.field(default=24.0, validator=ge(0.0))
    """Further footage of the first speaker, at least so long: every second clip neutral, the others in other styles."""
    image: int = attrs.field(default=192, validator=[ge(64), le(1024)])
    """Y = X of a frame, in pixels."""
    head_motion: float = attrs.field(default=1.0, validator=[ge(0.0), le(2.0)])
    """Scale of all head motion; 0 holds every head still."""
    supersampling: int = attrs.field(default=2, validator=[ge(1), le(4)])
    """Frames are drawn so many times larger and reduced."""
