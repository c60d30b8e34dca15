"""Recognition figures: counts of recognised phones given said phones, and shares computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vast_core.phones import PHONES, SILENCE, VISEME_OF, VISEMES

STEPS_PER_SECOND = 50.0
"""Figures use steps of 20 ms."""

_GROUP = np.array([[VISEME_OF[phone] == viseme for viseme in VISEMES] for phone in PHONES], np.int64)
"""(40, 12): whether each phone belongs to each viseme group."""
_SILENCE = PHONES.index(SILENCE)


@attrs.frozen(kw_only=True)
class Figures:
    """Shares in [0, 1] of 20 ms steps with a known label; None if there are none."""

    phone_speech: float | None
    """Correct among the 40 labels, over steps with speech."""
    viseme_speech: float | None
    """In the correct viseme group, over steps with speech."""
    silence: float | None
    """Correctly classified as silence or speech; over all steps."""
    recall: Mapping[str, float | None]
    """By viseme group: share of its steps that are recognised as a phone of the group."""
    minutes: float
    """Evaluated minutes, pauses included."""
    rtf: float | None
    """Real-time factor: seconds of computation per second of sound; None if not measured."""

    def as_json(self, digits: int = 3) -> dict[str, Any]:
        """All figures under their own names, rounded (``rtf`` to two more digits)."""
        shares = {"phone_speech": self.phone_speech, "viseme_speech": self.viseme_speech, "silence": self.silence}
        return {
            **{name: _rounded(share, digits) for name, share in shares.items()},
            "recall": {viseme: _rounded(share, digits) for viseme, share in self.recall.items()},
            "minutes": round(self.minutes, 2),
            "rtf": _rounded(self.rtf, digits + 2),
        }


@attrs.define(eq=False)
class Tally:
    """Counts over any number of utterances, from which all figures are computed."""

    phones: NDArray[np.int64] = attrs.field(factory=lambda: np.zeros((len(PHONES), len(PHONES)), np.int64))
    """(40, 40): number of steps, by said phone (row) and recognised phone (column)."""
    computed: float = 0.0
    """Seconds of computation, over the utterances where it was measured."""
    timed: float = 0.0
    """Seconds of sound of those utterances."""

    def add(
        self, heard: ArrayLike, said: ArrayLike, *, computed: float | None = None, sound: float | None = None
    ) -> None:
        """Count the steps of one utterance: phone indices (N,) ``heard`` and ``said``; negative ``said`` is unknown.

        ``computed`` is the duration of recognition, ``sound`` the duration of the sound (default: N steps), in seconds.
        Raises ValueError if the lengths differ or an index is outside the 40 labels.
        """
        found, true = np.asarray(heard, np.int64), np.asarray(said, np.int64)
        if found.shape != true.shape or true.ndim != 1:
            raise ValueError(
                f"phones heard are {found.shape}, phones said {true.shape}; give one of each per step, (N,)"
            )
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
        """The sum of both counts."""
        return attrs.evolve(
            self,
            phones=self.phones + other.phones,
            computed=self.computed + other.computed,
            timed=self.timed + other.timed,
        )

    @property
    def visemes(self) -> NDArray[np.int64]:
        """(12, 12): number of steps, by said viseme group (row) and recognised one (column)."""
        counts: NDArray[np.int64] = _GROUP.T @ self.phones @ _GROUP
        return counts

    def figures(self) -> Figures:
        """The figures computed from the counts so far."""
        steps, spoken = int(self.phones.sum()), np.arange(len(PHONES)) != _SILENCE
        speech = int(self.phones[spoken].sum())
        # Silence is a viseme group of its own, so its column and row equal those of the label.
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
