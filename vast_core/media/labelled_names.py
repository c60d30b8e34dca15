"""Names of labelled clips: ``M030_front_happy_level3_001`` and ``M030_happy_1`` say the speaker and the emotion."""

from __future__ import annotations

import re

import attrs

NEUTRAL = "neutral"
"""Label of a clip without an emotion, beside which its speaker's other clips are seen."""

EMOTIONS = (
    NEUTRAL,
    "calm",
    *("angry", "anger", "contempt", "disgusted", "disgust", "fearful", "fear"),
    *("happy", "happiness", "sadness", "sad", "surprised", "surprise"),
)
"""Words that are understood as an emotion; others can be given in a manifest."""

_GAP = "[ _.-]"
_LABELLED = re.compile(
    rf"(?P<speaker>.+?){_GAP}((front|down|top|(left|right){_GAP}?\d+){_GAP})?(?P<emotion>{'|'.join(EMOTIONS)})"
    rf"({_GAP}level{_GAP}?\d+)?{_GAP}\d+",
    re.IGNORECASE,
)


@attrs.frozen
class ClipLabel:
    """What the name of a clip says."""

    speaker: str
    emotion: str
    """In lower case."""


def read_label(stem: str) -> ClipLabel | None:
    """The label of a file name without suffix; None if it has not the form SPEAKER[_VIEW]_EMOTION[_levelN]_NUMBER.

    The view is ``front``, ``down``, ``top``, ``left_30`` or the like; a dash, dot or space may stand for ``_``.
    """
    found = _LABELLED.fullmatch(stem)
    return None if found is None else ClipLabel(found["speaker"], found["emotion"].lower())
