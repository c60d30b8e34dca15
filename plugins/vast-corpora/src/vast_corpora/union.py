"""``corpus/union``: several corpora as one."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping
from typing import Self

from vast_core.errors import InputError
from vast_core.interfaces import Clip, Consent, Corpus, Sizes

from .config import UnionConfig


class UnionCorpus(Corpus):
    """The clips of several corpora, in their order; in training, each corpus is drawn by its weight.

    With one, a synthetic corpus teaches styles while footage teaches how real lips move.
    """

    def __init__(self, corpora: dict[str, tuple[Corpus, float]]) -> None:
        self._corpora = corpora
        self._origin: dict[str, str] = {}  # the corpus of each clip, by the clip's name

    @classmethod
    def from_config(cls, config: UnionConfig, sizes: Sizes) -> Self:
        """Make all corpora."""
        made = {}
        for number, (use, weight) in enumerate(config.parts):
            corpus: Corpus = use.component.load().from_config(use.config, sizes)
            made[f"{number} {use.name}"] = (corpus, weight)
        return cls(made)

    def clips(self) -> Iterator[Clip]:
        """All clips.

        Raises :class:`vast_core.errors.InputError` if two clips have the same name, or a corpus has none.
        """
        for name, (corpus, _) in self._corpora.items():
            for clip in corpus.clips():
                if self._origin.setdefault(clip.name, name) != name:
                    raise InputError(
                        f"corpus/union: {clip.name} is a clip of corpus {self._origin[clip.name]} and of {name}; "
                        "rename one of them, or leave out a folder that another includes"
                    )
                yield clip

    def group(self, clip: Clip) -> tuple[str, float]:
        """Number and name of the clip's corpus, and its weight."""
        name = self._name_of(clip)
        if name is None:
            raise InputError(f"corpus/union: no corpus of it has a clip {clip.name}")
        return name, self._corpora[name][1]

    def consents(self) -> dict[str, Consent | None]:
        """Those of all corpora; of a speaker in several, the consent that ends first."""
        found: dict[str, Consent | None] = {}
        for corpus, _ in self._corpora.values():
            for speaker, own in corpus.consents().items():
                found[speaker] = min(found.get(speaker), own, key=_last_day)
        return found

    def counterfactual(self, clip: Clip, style: str) -> Clip | None:
        """That of the clip's own corpus; None for a clip of no corpus of the union."""
        name = self._name_of(clip)
        return None if name is None else self._corpora[name][0].counterfactual(clip, style)

    def with_factors(self, clip: Clip, factors: Mapping[str, float]) -> Clip | None:
        """As the clip's own corpus gives it; None for a clip of no corpus of the union."""
        name = self._name_of(clip)
        return None if name is None else self._corpora[name][0].with_factors(clip, factors)

    def _name_of(self, clip: Clip) -> str | None:
        if clip.name not in self._origin:  # clips() may have been read only in part
            _ = list(self.clips())
        return self._origin.get(clip.name)


def _last_day(consent: Consent | None) -> float:
    """Number of the last day on which a consent holds; infinity if nothing is on record, and less if it has no end."""
    if consent is None:
        return math.inf
    until, withdrawn = consent.until or datetime.date.max, consent.withdrawn or datetime.date.max
    return min(until.toordinal(), withdrawn.toordinal() - 1)
