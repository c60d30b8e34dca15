"""Forced alignment: when each phone of a known transcript is said, by pocketsphinx and the model in its package.

D. Huggins-Daines et al., PocketSphinx: a free, real-time continuous speech recognition system for hand-held devices,
ICASSP 2006. What its dictionary lacks (names, numbers, abbreviations) is pronounced by hibari-tts.
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
"""Seconds of one frame of the aligner."""
_SHORTEST = 0.2
"""Seconds of sound below which pocketsphinx makes no frame worth aligning."""
_SILENT = 1e-4
"""Greatest sample of what counts as silence: -80 dBFS."""
_BEAMS = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80}
"""Far wider than its defaults for dictation: the words are known, so time is spent on where they are."""
_APART = re.compile(r"[\s—–/…]+|--+|\.{2,}")
"""What parts words."""
_READINGS = (
    "A EY, I AY, O OW, W AW, Y OY, æ AE, ɐ AH, ɑ AA, ɔ AO, ə AH, ᵊ AH, ɛ EH, ɜ ER, i IY, ɪ IH, ᵻ IH, u UW, ʊ UH, ʌ AH, "
    "b B, d D, ð DH, f F, h HH, j Y, k K, l L, m M, n N, p P, s S, t T, v V, w W, z Z, ŋ NG, ɡ G, ɹ R, ɾ T, T T, ʔ T, "
    "ʃ SH, ʒ ZH, ʤ JH, ʧ CH, θ TH"
)
_ARPABET = {reading[0]: reading[2:] for reading in _READINGS.split(", ")}
"""hibari's symbols, an American lexicon's; marks of stress and length are not among them."""
_lock = threading.Lock()


def align(wave: NDArray[np.float32], transcript: str) -> tuple[Phone, ...]:
    """When each phone of ``transcript`` is said in ``wave`` (S,), mono at 16 kHz; pauses are ``SIL``.

    Steps of 10 ms, without gaps from 0 to within 30 ms of the end of the sound; loudness does not matter. English,
    and a minute or so at a time. Raises :class:`vast_core.errors.InputError`, naming the word, where one cannot be
    pronounced or the sound does not fit the words, and :class:`vast_core.errors.ComponentError` without pocketsphinx.
    """
    if wave.ndim != 1 or not np.isfinite(wave).all():
        raise ValueError(f"the wave to align is {wave.shape} and must be (S,), all finite")
    with _lock:  # one decoder, which remembers the words it was given
        aligner = _aligner()
        words = aligner.words(transcript)
        if len(wave) < _SHORTEST * SAMPLE_RATE:
            raise InputError(f"{_quoted(transcript)}: {len(wave) / SAMPLE_RATE:.2f} s of sound is too short to align")
        if float(np.abs(wave).max()) < _SILENT:
            raise InputError(f"{_quoted(transcript)}: the sound is silent; nobody says {words[0].strip('=')!r}")
        return tuple(_joined(aligner.phones(_samples(wave), words, transcript)))


def pronounced(word: str) -> tuple[str, ...]:
    """ARPAbet phones of an English ``word``, number or abbreviation, by hibari-tts; none where it knows no reading."""
    symbols = _grapheme_to_phoneme()(word).replace("əɹ", "ɜ").replace("ɜɹ", "ɜ")
    return tuple(_ARPABET[symbol] for symbol in symbols if symbol in _ARPABET)


def spoken_words(transcript: str) -> list[str]:
    """The words of a transcript without punctuation, dates and abbreviations written out; digits are left as digits.

    "Dr. Ray left on Jan. 3rd -- by car." gives Doctor, Ray, left, on, January, third, by, car.
    """
    from hibari.g2p.normalize import normalize

    if not any(letter.islower() for letter in transcript):
        transcript = transcript.lower()  # else every word would be spelled like an initialism
    # Cut what is no letter, digit or sign with a reading off both ends; an apostrophe may begin or end a word.
    pieces = (re.sub(r"^[^\w'$£€&+%]+|[^\w'&+%]+$", "", piece) for piece in _APART.split(normalize(transcript)))
    return [piece for piece in pieces if re.search(r"\w|[&+%]", piece)]


@attrs.define(eq=False)
class _Aligner:
    """A pocketsphinx decoder, and the words that were added to its dictionary."""

    decoder: Any
    _added: set[str] = attrs.field(factory=set)

    def words(self, transcript: str) -> list[str]:
        """What to align, all of it in the dictionary."""
        spoken = spoken_words(transcript)
        if not spoken:
            raise InputError(f"{_quoted(transcript)}: the transcript has no word in it; give the words that are said")
        mixed = any(letter.islower() for letter in transcript)
        found: list[str] = []
        for word in spoken:
            initials = mixed and len(word) > 1 and word.isupper()
            entries = None if initials else self._listed(word)
            found += entries or [self._add(word, transcript)]
        return found

    def _listed(self, word: str) -> list[str] | None:
        """The entries of the dictionary for ``word`` or, joined by hyphens, for each part of it; None if any lacks."""
        lower = word.lower()
        for form in (lower, lower.strip("'")):
            if form and self.decoder.lookup_word(form):
                return [form]
        parts = [part for part in lower.split("-") if part]
        return parts if len(parts) > 1 and all(map(self.decoder.lookup_word, parts)) else None

    def _add(self, word: str, transcript: str) -> str:
        entry = f"={word}="  # no entry of the dictionary looks so
        if entry not in self._added:
            phones = pronounced(word)
            if not phones:
                raise InputError(
                    f"{_quoted(transcript)}: nobody knows how to pronounce its word {word!r}; write it out in English"
                )
            self.decoder.add_word(entry, " ".join(phones), True)
            self._added.add(entry)
        return entry

    def phones(self, samples: bytes, words: Sequence[str], transcript: str) -> Iterator[Phone]:
        self.decoder.set_align_text(" ".join(words))
        self._decode(samples)  # which of its pronunciations each word has, and where the pauses are
        if self.decoder.hyp() is None:
            raise InputError(self._misfit(words, transcript))
        self.decoder.set_alignment()
        self._decode(samples)
        for word in self.decoder.get_alignment():
            for phone in word:
                start, end = phone.start * _STEP, (phone.start + phone.duration) * _STEP
                # Breath and noise, which it finds in pauses, are silence to the lips.
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
            f"{_quoted(transcript)}: the sound does not fit these words; the aligner lost its way at word "
            f"{number + 1} of {len(words)}, {words[number].strip('=')!r}; check that the whole sound, and nothing "
            "else, is transcribed, and that it is neither clipped nor noise"
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
        bestpath=False,  # its second pass over the lattice loses the time of words
        **_BEAMS,
    )
    return _Aligner(decoder)


@cache
def _grapheme_to_phoneme() -> Any:
    from hibari.g2p import G2P

    return G2P()


def _samples(wave: NDArray[np.float32]) -> bytes:
    """16-bit samples, the greatest at half of full scale."""
    peak = float(np.abs(wave).max())
    samples: bytes = np.rint(wave * (16_384 / peak)).astype("<i2").tobytes()
    return samples


def _joined(phones: Iterator[Phone]) -> list[Phone]:
    """``phones`` with neighbouring silences made one."""
    joined: list[Phone] = []
    for phone in phones:
        if joined and phone.label == joined[-1].label == SILENCE:
            phone = attrs.evolve(joined.pop(), end=phone.end)
        joined.append(phone)
    return joined


def _quoted(transcript: str) -> str:
    return repr(transcript if len(transcript) <= 60 else f"{transcript[:57]}...")
