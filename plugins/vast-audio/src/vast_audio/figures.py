"""How well phones are recognised: counts of what was heard for what was said, and the shares that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vast_core.phones import PHONES, SILENCE, VISEME_OF, VISEMES

STEPS_PER_SECOND = 50.0
"""Steps are judged every 20 ms."""

_GROUP = np.array([[VISEME_OF[phone] == viseme for viseme in VISEMES] for phone in PHONES], np.int64)
"""(40, 12): which phone belongs to which viseme group."""
_SILENCE = PHONES.index(SILENCE)


@attrs.frozen(kw_only=True)
class Figures:
    """Shares in [0, 1] of steps of 20 ms whose label is known; None where there is no such step."""

    phone_speech: float | None
    """Right among the 40 labels, where somebody speaks."""
    viseme_speech: float | None
    """In the right viseme group, where somebody speaks."""
    silence: float | None
    """Told from speech, or speech from it, rightly; over all steps."""
    recall: Mapping[str, float | None]
    """By viseme group: steps at which it was said that are heard as some phone of it."""
    minutes: float
    """Judged, pauses included."""
    rtf: float | None
    """Real-time factor: seconds of computing over seconds of sound; None where nobody measured."""

    def as_json(self, digits: int = 3) -> dict[str, Any]:
        """All of them under their own names, rounded (``rtf`` to two more digits)."""
        shares = {"phone_speech": self.phone_speech, "viseme_speech": self.viseme_speech, "silence": self.silence}
        return {
            **{name: _rounded(share, digits) for name, share in shares.items()},
            "recall": {viseme: _rounded(share, digits) for viseme, share in self.recall.items()},
            "minutes": round(self.minutes, 2),
            "rtf": _rounded(self.rtf, digits + 2),
        }


@attrs.define(eq=False)
class Tally:
    """Counts over any number of utterances, from which all figures follow."""

    phones: NDArray[np.int64] = attrs.field(factory=lambda: np.zeros((len(PHONES), len(PHONES)), np.int64))
    """(40, 40): steps, by the phone that was said and the one that was heard."""
    computed: float = 0.0
    """Seconds of computing, over the utterances where they were measured."""
    timed: float = 0.0
    """Seconds of sound of those utterances."""

    def add(
        self, heard: ArrayLike, said: ArrayLike, *, computed: float | None = None, sound: float | None = None
    ) -> None:
        """Count the steps of one utterance: indices (N,) of the phones ``heard`` and ``said``; negative is unknown.

        ``computed`` is how long recognition took, and ``sound`` how long the sound is (else N steps), both in seconds.
        Raises ValueError where the two differ in length or an index is beyond the 40 labels.
        """
        found, true = np.asarray(heard, np.int64), np.asarray(said, np.int64)
        if found.shape != true.shape or true.ndim != 1:
            raise ValueError(f"phones heard are {found.shape}, phones said {true.shape}; give one of each a step, (N,)")
        known = true >= 0
        if known.any() and (found[known].min() < 0 or max(found[known].max(), true.max()) >= len(PHONES)):
            raise ValueError(
                f"phones heard are numbered {found[known].min()} to {found[known].max()} and those said up to "
                f"{true.max()}; there are {len(PHONES)}, from 0"
            )
        np.add.at(self.phones, (true[known], found[known]), 1)
        if computed is not None:
            self.computed += computed
            self.timed += len(true) / STEPS_PER_SECOND if sound is None else sound

    def __add__(self, other: Self) -> Self:
        """The counts of both."""
        return attrs.evolve(
            self,
            phones=self.phones + other.phones,
            computed=self.computed + other.computed,
            timed=self.timed + other.timed,
        )

    @property
    def visemes(self) -> NDArray[np.int64]:
        """(12, 12): steps, by the viseme group that was said and the one that was heard."""
        counts: NDArray[np.int64] = _GROUP.T @ self.phones @ _GROUP
        return counts

    def figures(self) -> Figures:
        """What the counts so far amount to."""
        steps, spoken = int(self.phones.sum()), np.arange(len(PHONES)) != _SILENCE
        speech = int(self.phones[spoken].sum())
        # Silence is a viseme group of its own, so its column and row are those of the label.
        visemes = self.visemes
        alike = int(visemes.diagonal().sum()) - int(self.phones[_SILENCE, _SILENCE])
        confused = int(self.phones[_SILENCE, spoken].sum()) + int(self.phones[spoken, _SILENCE].sum())
        return Figures(
            phone_speech=_share(int(self.phones.diagonal()[spoken].sum()), speech),
            viseme_speech=_share(alike, speech),
            silence=_share(steps - confused, steps),
            recall={
                viseme: _share(int(visemes[number, number]), int(visemes[number].sum()))
                for number, viseme in enumerate(VISEMES)
            },
            minutes=steps / STEPS_PER_SECOND / 60,
            rtf=self.computed / self.timed if self.timed else None,
        )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
