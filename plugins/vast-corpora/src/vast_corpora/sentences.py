"""Texts for synthetic voices: sentences from transcripts, and random words for more combinations of sounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

WORDS = 15
"""Maximum words; longer sentences are spoken in parts, so that no speech lasts much longer than 6 s."""

_SPEAKABLE = re.compile(r"[A-Za-z0-9 ',.;:?!-]*[A-Za-z][A-Za-z0-9 ',.;:?!-]*")
_WORD = re.compile(r"[a-z][a-z']*[a-z]")


def spoken_parts(transcript: str) -> list[str]:
    """The sentences of ``transcript``, split at :data:`WORDS`.

    Single words are left out, and so are sentences with signs that voices read differently (``#``, ``<``, accents).
    """
    parts = []
    straight = " ".join(transcript.replace("’", "'").replace("“", "").replace("”", "").replace('"', "").split())
    for sentence in re.split(r"(?<=[.!?;])\s+", straight):
        words = sentence.split()
        if _SPEAKABLE.fullmatch(sentence):
            count = -(-len(words) // WORDS)
            edges = [round(number * len(words) / count) for number in range(count + 1)]
            parts += [" ".join(words[low:high]) for low, high in pairwise(edges)]
    return [part for part in parts if " " in part]


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """The distinct words of ``texts``, of at least two letters, in alphabetical order."""
    return tuple(sorted({word for text in texts for word in _WORD.findall(text.lower())}))


def draw_texts(
    texts: Sequence[str], common: Sequence[str], rare: Sequence[str], rng: np.random.Generator
) -> Iterator[str]:
    """Endless texts, alternately one of ``texts`` (all before any is repeated) and 6 to 10 random words.

    Half of these words are ``common``, half are ``rare``, which gives combinations that no text has.
    """
    while True:
        for index in rng.permutation(len(texts)):
            yield texts[index]
            yield _random_words(common, rare, rng)


def _random_words(common: Sequence[str], rare: Sequence[str], rng: np.random.Generator) -> str:
    words = []
    for _ in range(rng.integers(6, 11)):
        source = common if rng.random() < 0.5 else rare
        words.append(source[int(rng.integers(len(source)))] + ("," if rng.random() < 0.1 else ""))
    return " ".join(words).rstrip(",").capitalize() + ("?" if rng.random() < 0.2 else ".")
