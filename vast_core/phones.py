"""Phones and visemes that audio features, corpora and metrics share: ARPAbet and silence.

The set is that of the CMU Pronouncing Dictionary, 39 phones without stress, and ``SIL``. The viseme groups are our
choice, after the lip-reading groups of J. Jeffers and M. Barley, Speechreading (Lipreading), 1971.
"""

from __future__ import annotations

from types import MappingProxyType

__all__ = [
    "PHONES",
    "PHONE_INDEX",
    "SILENCE",
    "VISEMES",
    "VISEME_OF",
    "phone_index",
]

SILENCE = "SIL"
"""Label of silence and pauses; its index is always 0."""

_LABELS = "SIL AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"

PHONES: tuple[str, ...] = tuple(_LABELS.split())
"""All 40 labels, in the order of the columns of every posteriorgram."""

PHONE_INDEX = MappingProxyType({phone: index for index, phone in enumerate(PHONES)})
"""Column of each label."""

VISEMES: tuple[str, ...] = ("SIL", "PBM", "FV", "TH", "TDNSZ", "SHCH", "KG", "L", "RW", "UO", "AA", "EI")
"""Groups of phones that look alike on the lips."""

VISEME_OF = MappingProxyType(
    {
        phone: viseme
        for viseme, members in zip(
            VISEMES,
            (
                "SIL",
                "P B M",
                "F V",
                "TH DH",
                "T D N S Z",
                "SH ZH CH JH",
                "K G NG HH Y",
                "L",
                "R ER W",
                "UW UH OW OY AO",
                "AA AH AY AW AE",
                "EH EY IH IY",
            ),
            strict=True,
        )
        for phone in members.split()
    }
)
"""Viseme of each label."""


def phone_index(label: str) -> int:
    """Column of ``label`` in a posteriorgram; raises ValueError if it is neither an ARPAbet phone nor ``SIL``."""
    try:
        return PHONE_INDEX[label]
    except KeyError:
        raise ValueError(f"unknown phone {label!r}: expected one of {' '.join(PHONES)} (no stress digits)") from None
