"""Forced alignment: when each phone of a known transcript is said, by pocketsphinx and its bundled model.

D. Huggins-Daines et al., PocketSphinx: a free, real-time continuous speech recognition system for hand-held devices,
ICASSP 2006. Words missing from its dictionary (names, numbers, abbreviations) are pronounced by hibari-tts.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import ComponentError, InputError
from vast_core.interfaces import SAMPLE_RATE, Phone
from vast_core.phones import PHONE_INDEX, SILENCE

_STEP = 0.01
"""Duration of an aligner frame in seconds."""
_SHORTEST = 0.2
"""Minimum sound in seconds; pocketsphinx needs this much for a useful alignment."""
_SILENT = 1e-4
"""Largest absolute sample that counts as silence: -80 dBFS."""
_BEAMS = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80}
"""Much wider than the defaults for dictation: the words are known, so the search can go into their times."""
_APART = re.compile(r"[\s—–/…]+|--+|\.{2,}")
"""Separates words."""
_READINGS = (
    "A EY, I AY, O OW, W AW, Y OY, æ AE, ɐ AH, ɑ AA, ɔ AO, ə AH, ᵊ AH, ɛ EH, ɜ ER, i IY, ɪ IH, ᵻ IH, u UW, ʊ UH, ʌ AH, "
    "b B, d D, ð DH, f F, h HH, j Y, k K, l L, m M, n N, p P, s S, t T, v V, w W, z Z, ŋ NG, ɡ G, ɹ R, ɾ T, T T, ʔ T, "
    "ʃ SH, ʒ ZH, ʤ JH, ʧ CH, θ TH"
)
_ARPABET = {reading[0]: reading[2:] for reading in _READINGS.split(", ")}
"""hibari's symbols, those of an American lexicon; stress and length marks are not among them."""
_lock = threading.Lock()


def align(wave: NDArray[np.float32], transcript: str) -> tuple[Phone, ...]:
    """Times of the phones of ``transcript`` in ``wave`` (S,), mono at 16 kHz; pauses are ``SIL``.

    Steps of 10 ms, without gaps, from 0 to within 30 ms of the end of the sound; loudness does not matter. English
    only, and about a minute at a time. Raises :class:`vast_core.errors.InputError`, naming the word, if a word cannot
    be pronounced or the sound does not match the words, and :class:`vast_core.errors.ComponentError` without
    pocketsphinx.
    """
    if wave.ndim != 1 or not np.isfinite(wave).all():
        raise ValueError(f"the wave to align is {wave.shape} and must be (S,), all finite")
    with _lock:  # there is one decoder, and it remembers added words
        aligner = _aligner()
        words = aligner.words(transcript)
        if len(wave) < _SHORTEST * SAMPLE_RATE:
            raise InputError(f"{_quoted(transcript)}: {len(wave) / SAMPLE_RATE:.2f} s of sound is too short to align")
        if float(np.abs(wave).max()) < _SILENT:
            raise InputError(f"{_quoted(transcript)}: the sound is silent; {words[0].strip('=')!r} cannot be aligned")
        return tuple(_joined(aligner.phones(_samples(wave), words, transcript)))


def pronounced(word: str) -> tuple[str, ...]:
    """ARPAbet phones of an English ``word``, number or abbreviation, by hibari-tts; empty if it has no
    pronunciation."""
    symbols = _grapheme_to_phoneme()(word).replace("əɹ", "ɜ").replace("ɜɹ", "ɜ")
    return tuple(_ARPABET[symbol] for symbol in symbols if symbol in _ARPABET)


def spoken_words(transcript: str) -> list[str]:
    """The words of a transcript without punctuation; dates and abbreviations are written out, digits stay digits.

    "Dr. Ray left on Jan. 3rd -- by car." gives Doctor, Ray, left, on, January, third, by, car.
    """
    from hibari.g2p.normalize import normalize

    if not any(letter.islower() for letter in transcript):
        transcript = transcript.lower()  # otherwise every word would be spelled out like an initialism
    # Strip everything but letters, digits and signs with a reading from both ends; a word may begin or end with '.
    pieces = (re.sub(r"^[^\w'$£€&+%]+|[^\w'&+%]+$", "", piece) for piece in _APART.split(normalize(transcript)))
    return [piece for piece in pieces if re.search(r"\w|[&+%]", piece)]


@attrs.define(eq=False)
class _Aligner:
    """A pocketsphinx decoder, and the words added to its dictionary."""

    decoder: Any
    _added: set[str] = attrs.field(factory=set)

    def words(self, transcript: str) -> list[str]:
        """The words to align, all of them in the dictionary."""
        spoken = spoken_words(transcript)
        if not spoken:
            raise InputError(f"{_quoted(transcript)}: the transcript has no words; give the words that are said")
        mixed = any(letter.islower() for letter in transcript)
        found: list[str] = []
        for word in spoken:
            initials = mixed and len(word) > 1 and word.isupper()
            entries = None if initials else self._listed(word)
            found += entries or [self._add(word, transcript)]
        return found

    def _listed(self, word: str) -> list[str] | None:
        """Dictionary entries for ``word``, or for each part of a hyphenated word; None if any is missing."""
        lower = word.lower()
        for form in (lower, lower.strip("'")):
            if form and self.decoder.lookup_word(form):
                return [form]
        parts = [part for part in lower.split("-") if part]
        return parts if len(parts) > 1 and all(map(self.decoder.lookup_word, parts)) else None

    def _add(self, word: str, transcript: str) -> str:
        entry = f"={word}="  # no entry of the dictionary has this form
        if entry not in self._added:
            phones = pronounced(word)
            if not phones:
                raise InputError(
                    f"{_quoted(transcript)}: no pronunciation is known for the word {word!r}; write it out in English"
                )
            self.decoder.add_word(entry, " ".join(phones), True)
            self._added.add(entry)
        return entry

    def phones(self, samples: bytes, words: Sequence[str], transcript: str) -> Iterator[Phone]:
        self.decoder.set_align_text(" ".join(words))
        self._decode(samples)  # chooses each word's pronunciation, and finds the pauses
        if self.decoder.hyp() is None:
            raise InputError(self._misfit(words, transcript))
        self.decoder.set_alignment()
        self._decode(samples)
        for word in self.decoder.get_alignment():
            for phone in word:
                start, end = phone.start * _STEP, (phone.start + phone.duration) * _STEP
                # Breath and noise, which it finds in pauses, count as silence for the lips.
                label = phone.name if phone.name in PHONE_INDEX else SILENCE
                yield Phone(label=label, start=round(start, 2), end=round(end, 2))

    def _decode(self, samples: bytes) -> None:
        self.decoder.start_utt()
        self.decoder.process_raw(samples, full_utt=True)
        self.decoder.end_utt()

    def _misfit(self, words: Sequence[str], transcript: str) -> str:
        reached = [part.word for part in self.decoder.seg() or () if not part.word.startswith(("<", "["))]
        number = min(len(reached), len(words) - 1)
        return (
            f"{_quoted(transcript)}: the sound does not match these words; the alignment failed at word "
            f"{number + 1} of {len(words)}, {words[number].strip('=')!r}; check that the transcript covers the whole "
            "sound and nothing else, and that the sound is neither clipped nor noise"
        )


@cache
def _aligner() -> _Aligner:
    try:
        import pocketsphinx
    except ImportError as error:
        raise ComponentError(
            f"alignment needs pocketsphinx, which cannot be imported ({error}); pip install 'vast-avatar[align]'"
        ) from error
    model = pocketsphinx.get_model_path("en-us")
    decoder = pocketsphinx.Decoder(
        hmm=f"{model}/en-us",
        dict=f"{model}/cmudict-en-us.dict",
        lm=None,
        loglevel="FATAL",
        bestpath=False,  # the second pass over the lattice loses the times of words
        **_BEAMS,
    )
    return _Aligner(decoder)


@cache
def _grapheme_to_phoneme() -> Any:
    from hibari.g2p import G2P

    return G2P()


def _samples(wave: NDArray[np.float32]) -> bytes:
    """16-bit samples, scaled so that the peak is half of full scale."""
    peak = float(np.abs(wave).max())
    samples: bytes = np.rint(wave * (16_384 / peak)).astype("<i2").tobytes()
    return samples


def _joined(phones: Iterator[Phone]) -> list[Phone]:
    """``phones`` with adjacent silences merged."""
    joined: list[Phone] = []
    for phone in phones:
        if joined and phone.label == joined[-1].label == SILENCE:
            phone = attrs.evolve(joined.pop(), end=phone.end)
        joined.append(phone)
    return joined


def _quoted(transcript: str) -> str:
    return repr(transcript if len(transcript) <= 60 else f"{transcript[:57]}...")
