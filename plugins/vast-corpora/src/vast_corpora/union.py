"""``corpus/union``: several corpora as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Self

from vast_core.errors import InputError
from vast_core.interfaces import Clip, Corpus, Sizes

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
        name = self._corpus_of(clip)
        return name, self._corpora[name][1]

    def counterfactual(self, clip: Clip, style: str) -> Clip | None:
        """That of the clip's own corpus."""
        return self._corpora[self._corpus_of(clip)][0].counterfactual(clip, style)

    def with_factors(self, clip: Clip, factors: Mapping[str, float]) -> Clip | None:
        """As the clip's own corpus gives it."""
        return self._corpora[self._corpus_of(clip)][0].with_factors(clip, factors)

    def _corpus_of(self, clip: Clip) -> str:
        if not self._origin:
            _ = list(self.clips())
        return self._origin[clip.name]
