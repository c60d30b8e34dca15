"""Speech without pictures, to train and evaluate acoustic models: recordings and synthetic voices.

A clip's name starts with its source: a sub-folder of recordings, ``hibari`` or ``flite``.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vast_core.errors import InputError, MediaError
from vast_core.files import replacing
from vast_core.interfaces import Clip, Corpus, Phone, Sizes
from vast_core.media import Recording, file_digest, format_phones, parse_phones, read_manifest, read_wave
from vast_core.places import expanded
from vast_core.runs import cache_root, source_digest

from . import flite, speech
from .config import SpeechConfig
from .lazy_clip import LazyClip
from .sentences import draw_texts, spoken_parts, vocabulary
from .speech import SENTENCES, VOICES, Speech, Voice

MANY_SPEAKERS = 20
"""Sources with more speakers are held out by speaker, others by transcript."""

_SECONDS_A_LETTER = {"hibari": 0.0625, "flite": 0.066}
"""Mean over all voices and texts, in seconds."""

# First number of every random stream, so that each purpose has its own.
_VOICES, _TEXTS = range(2)
_STREAM = {"hibari": 0, "flite": 1}


@attrs.frozen
class SoundFile:
    """A sound file as footage without pictures."""

    path: Path

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Return no frames."""
        return iter(())

    def wave(self) -> NDArray[np.float32]:
        """The sound (S,)."""
        return read_wave(self.path)


@attrs.frozen(kw_only=True)
class SpokenText:
    """A text for a synthetic voice, spoken on first access and kept in the cache; footage without pictures."""

    engine: Literal["hibari", "flite"]
    voice: Voice | str
    text: str
    seed: int
    digest: str

    @property
    def path(self) -> Path:
        """File in the cache."""
        return cache_root() / "speech" / f"{self.digest}.safetensors"

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Return no frames."""
        return iter(())

    def wave(self) -> NDArray[np.float32]:
        """The sound (S,)."""
        samples: NDArray[np.int16] = self._kept(lambda file: file.get_tensor("wave"))
        return samples.astype(np.float32) / np.float32(32767)

    def phones(self) -> tuple[Phone, ...]:
        """Its phones, to the millisecond, from 0 to the end without gaps."""
        return parse_phones(self._kept(lambda file: file.metadata()["phones"]), str(self.path))

    def _kept(self, read: Callable[[Any], Any]) -> Any:
        if not self.path.is_file():
            spoken = self._speak()
            samples = np.round(spoken.wave * 32767).astype(np.int16)
            with replacing(self.path) as temporary:
                save_file({"wave": samples}, temporary, metadata={"phones": format_phones(spoken.phones)})
        try:
            with safe_open(self.path, framework="numpy") as file:
                return read(file)
        except (OSError, SafetensorError) as error:
            raise MediaError(f"{self.path}: is damaged ({error}); delete it and it will be generated again") from error

    def _speak(self) -> Speech:
        if isinstance(self.voice, Voice):
            return speech.say(self.text, self.voice, self.seed)
        return flite.say(self.text, self.voice)


class SpeechCorpus(Corpus):
    """Recordings from folders, then synthetic speech; the same configuration gives the same clips.

    The SHA-256 of speaker or transcript alone decides whether a recording is held out, so that copies in several
    sources are in the same split. Synthetic speech is for training; it says the sentences of this package, those of the
    recordings' transcripts that occur in no held-out one, and random words.
    """

    def __init__(self, config: SpeechConfig) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: SpeechConfig, sizes: Sizes) -> Self:
        """Make the corpus; reads no files."""
        return cls(config)

    def clips(self) -> list[Clip]:
        """All clips; recordings are read once, for their digests, and speech is only generated on access.

        Raises :class:`vast_core.errors.InputError` if a manifest is wrong, two recordings have the same name, a program
        is missing, or there are no clips at all.
        """
        recorded = [clip for folder in self.config.folders for clip in self._recorded(expanded(folder))]
        clips: dict[str, Clip] = {}
        for clip in recorded:
            if clip.name in clips:
                raise InputError(
                    f"corpus/speech: two recordings are called {clip.name}; rename one of the files or sub-folders"
                )
            clips[clip.name] = clip
        for engine in self.config.engines:
            clips |= {clip.name: clip for clip in self._synthetic(engine, recorded)}
        if not clips:
            raise InputError("corpus/speech: there are no clips; name folders, or engines: [hibari]")
        return list(clips.values())

    # -------------------------------------------------------------------------------------- recordings

    def _recorded(self, folder: Path) -> Iterator[Clip]:
        recordings = read_manifest(folder)
        speakers: dict[str, set[str]] = defaultdict(set)
        for recording in recordings:
            speakers[recording.source(folder)].add(recording.speaker)
        for recording in recordings:
            path = folder / recording.file
            facts = (file_digest(path), recording.speaker, recording.transcript, recording.phones)
            yield Clip(
                name=recording.name(folder),
                speaker=recording.speaker,
                footage=SoundFile(path),
                digest=_digest(facts),
                split=self._split(recording, by_speaker=len(speakers[recording.source(folder)]) > MANY_SPEAKERS),
                transcript=recording.transcript or None,
                phones=recording.phones,
            )

    def _split(self, recording: Recording, by_speaker: bool) -> Literal["train", "held_out"]:
        key = recording.speaker if by_speaker else _words(recording.transcript) or recording.file.stem
        share = self.config.held_out_speakers if by_speaker else self.config.held_out_sentences
        return "held_out" if int(_digest(key)[:8], 16) < share * 2**32 else "train"

    # --------------------------------------------------------------------------------------- synthesis

    def _synthetic(self, engine: Literal["hibari", "flite"], recorded: Sequence[Clip]) -> Iterator[Clip]:
        program, voices = self._voices(engine)
        rng = np.random.default_rng([self.config.seed, _TEXTS, _STREAM[engine]])
        texts = _texts(recorded)
        seconds = 60 * self.config.minutes
        for number, text in enumerate(draw_texts(texts, vocabulary(texts), speech.lexicon(), rng)):
            if seconds <= 0:
                return
            seconds -= _SECONDS_A_LETTER[engine] * len(text)
            voice = voices[int(rng.integers(len(voices)))]
            name = voice.name.lower() if isinstance(voice, Voice) else voice
            facts = (program, voice, text, number if engine == "hibari" else 0)
            footage = SpokenText(engine=engine, voice=voice, text=text, seed=facts[-1], digest=_digest(facts))
            yield LazyClip(
                make={"phones": footage.phones},
                name=f"{engine}/{number:05d}-{name}",
                speaker=f"{engine}-{name}",
                footage=footage,
                digest=footage.digest,
                split="train",
                transcript=text,
            )

    def _voices(self, engine: Literal["hibari", "flite"]) -> tuple[tuple[str, ...], Sequence[Voice | str]]:
        """Facts that determine the sound of the engine, for digests, and its voices."""
        own = source_digest("vast_corpora.speech")
        if engine == "flite":
            return (engine, flite.program_version(), source_digest("vast_corpora.flite"), own), flite.VOICES
        rng = np.random.default_rng([self.config.seed, _VOICES])
        drawn = [_draw_voice(f"voice-{number:03d}", rng) for number in range(self.config.voices)]
        return (engine, version("hibari-tts"), own), [*VOICES, *drawn]


def _draw_voice(name: str, rng: np.random.Generator) -> Voice:
    """A random voice between a tall man, a small child, a slow and a fast speaker; it need not be a likely
    combination."""
    return Voice(
        name,
        pitch=round(float(np.exp(rng.uniform(np.log(0.5), np.log(1.4)))), 3),
        tract=round(float(rng.uniform(0.88, 1.22)), 3),
        speed=round(float(rng.uniform(0.75, 1.35)), 3),
    )


def _texts(recorded: Iterable[Clip]) -> list[str]:
    """This package's sentences and those of the transcripts, without any that occurs in a held-out one."""
    parts: dict[str | None, list[str]] = {"train": list(SENTENCES), "held_out": []}
    for clip in recorded:
        parts[clip.split] += spoken_parts(clip.transcript or "")
    held_out = set(map(_words, parts["held_out"]))
    return [text for text in dict.fromkeys(parts["train"]) if _words(text) not in held_out]


def _words(transcript: str) -> str:
    """``transcript`` without case, punctuation and repeated spaces, so that spelling does not affect the split."""
    return " ".join(re.findall(r"[^\W_]+", transcript.lower().replace("'", "").replace("’", "")))


def _digest(facts: Any) -> str:
    return hashlib.sha256(repr(facts).encode()).hexdigest()
