"""Synthetic speech with the time of every phone, in several voices derived from one: hibari-tts and signal processing.

The phone durations are an internal tensor of the voice's network, in steps of 25 ms. Measured on :data:`SENTENCES`,
they lag the sound by 40 to 60 ms (onsets and ends of S and SH by their spectrum, closures of P, T and K by their
energy). :func:`say` subtracts the lag, assigns word gaps and stress marks to the phone that follows, and ends the last
phone before a pause where its energy ends. Compared with forced alignment by pocketsphinx 5.1.1, 1,546 phones of 48
sentences then start 1.5 ms late in the median, half of them within -11 and +16 ms.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import threading
import wave as wave_file
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import ComponentError, InputError
from vast_core.interfaces import SAMPLE_RATE, Phone
from vast_core.media import Recording, write_manifest
from vast_core.phones import SILENCE


@attrs.frozen
class Voice:
    """A speaker, relative to the original voice of hibari-tts (a woman of about 190 Hz)."""

    name: str
    pitch: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0.4), attrs.validators.le(2.0)])
    """Factor on the fundamental frequency."""
    tract: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0.8), attrs.validators.le(1.3)])
    """Factor on the length of the vocal tract: formants lie at 1 / ``tract`` of the original's."""
    speed: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0.6), attrs.validators.le(1.6)])
    """Factor on the pace requested of the network; because of its steps of 25 ms, 0.8, 1.25 and 1.6 give durations of
    1.22, 0.91 and 0.63 times."""


VOICES: tuple[Voice, ...] = (
    Voice("Alma", pitch=1.0, tract=1.0, speed=1.0),
    Voice("Evan", pitch=0.60, tract=1.14, speed=1.0),
    Voice("Bea", pitch=1.15, tract=0.94, speed=1.08),
    Voice("Gus", pitch=0.70, tract=1.09, speed=1.1),
    Voice("Cora", pitch=0.86, tract=1.03, speed=0.92),
    Voice("Felix", pitch=0.52, tract=1.20, speed=0.94),
    Voice("Dina", pitch=1.28, tract=0.90, speed=1.0),
    Voice("Hugo", pitch=0.56, tract=1.12, speed=0.9),
)
"""Four female-like and four male-like speakers, alternating."""


@attrs.frozen(eq=False)
class Speech:
    """A spoken sentence: its sound and the time of each phone."""

    wave: NDArray[np.float32]
    """(S,), mono at 16 kHz, -23 dBFS where somebody speaks, no sample beyond 0.99."""
    phones: tuple[Phone, ...]
    """From 0 to the end of the wave without gaps."""


SENTENCES: tuple[str, ...] = (
    "The baker pulled a dozen warm loaves from the oven.",
    "My uncle keeps his fishing boat beside the wooden pier.",
    "Please put both of the maps back in the brown box.",
    "A thick fog rolled over the valley before breakfast.",
    "She gave the puppy a bath and brushed its fur.",
    "The judge chose a large orange chair near the bridge.",
    "We saw five vans driving over the very long viaduct.",
    "Through thick and thin, they thought about their mother.",
    "The young lawyer used a yellow pencil on every page.",
    "How did the hungry horse get behind the house?",
    "Bob and Pam may borrow a map of the museum.",
    "The ship should reach the shore by Friday evening.",
    "He usually measures his pleasure by the things he has made.",
    "Cold water dripped slowly from the kitchen ceiling.",
    "A good cook would look for sugar in the cupboard.",
    "The noisy boy enjoyed a toy made of foil and coins.",
    "Our town council found about a thousand pounds.",
    "The thief threw three things through the window.",
    "Quiet music drifted across the crowded square.",
    "Why would anyone want to wait for the wet weather?",
    "The singer was hanging a long string on the spring.",
    "Chop the cheddar cheese and put a little on each sandwich.",
    "Gather the other feathers and put them over there.",
    "The old road goes over the hill and down to the coast.",
    "A blue balloon floated past the tall apartment building.",
    "Nobody knew which of the two keys would open the gate.",
    "The camera was broken, but the pictures were beautiful.",
    "Every morning the farmer feeds his goats and geese.",
    "The early bird heard her first words on the third of March.",
    "Two new students flew to Peru for the whole summer.",
    "I promise to bring the papers back by Monday.",
    "Wash your face and hands before you come to supper.",
    "The vast forest gave the village plenty of firewood.",
    "Jane joined the jury in June and left it in July.",
    "This small garage was once a famous theater.",
    "Her brother lives above a coffee shop in the village.",
    "What a strange thing to say at a birthday party!",
    "Can you remember the name of that old movie?",
    "The pilot kept a picture of his family in the plane.",
    "Snow fell on the rooftops while the children slept.",
    "You should have put the wool coat on a hook.",
    "An honest doctor often stops to talk with the staff.",
    "Few people have the patience to solve this puzzle.",
    "The brave fireman carried both babies to safety.",
    "A gray mouse ran under the table and hid in my shoe.",
    "They poured the boiling oil into a shallow metal bowl.",
    "Walking in the park is a cheap way to stay healthy.",
    "The teacher asked us to describe the shape of the moon.",
    "Summer storms may bring more rain than we can manage.",
    "Somebody bumped my elbow and the lamp fell on the rug.",
    "The museum opens at half past nine on most days.",
    "Put a pinch of pepper in the bean and potato soup.",
    "He shouted loudly, then bowed his head and sat down.",
    "If the battery is empty, the alarm will not work.",
    "Their father bought them a pair of leather gloves.",
    "I wonder whether the weather will be better up north.",
    "A huge yellow truck blocked the only way out.",
    "The judge asked, is that really what you believe?",
    "Both of my cousins are studying to become engineers.",
    "The fisherman mended his nets and whistled a happy tune.",
    "We ought to talk about the cause of the small fire.",
    "Pick up the phone, push the button, and speak clearly.",
    "The vision of a peaceful world gave him great pleasure.",
    "Fresh fruit and vegetables arrive every Thursday.",
    "Maybe the monkeys climbed the mango tree by themselves.",
    "The queen wore a purple robe and a crown of gold.",
    "Look at the full moon shining above the dark woods!",
    "Grandmother hung the damp towels out in the sunshine.",
    "She shut the shutters and waited for the noise to stop.",
    "A cheerful voice answered, yes, come in, the door is open.",
    "Our voyage began on a bright and windy afternoon.",
    "Give me five more minutes to finish this chapter.",
)
"""Sentences of 2 to 5 s, our own, in which every phone occurs."""

_SYMBOLS = {
    "A": ("EY",), "I": ("AY",), "O": ("OW",), "W": ("AW",), "Y": ("OY",), "æ": ("AE",), "ɐ": ("AH",), "ɑ": ("AA",),
    "ɔ": ("AO",), "ə": ("AH",), "ᵊ": ("AH",), "ɛ": ("EH",), "ɜ": ("ER",), "i": ("IY",), "ɪ": ("IH",), "ᵻ": ("IH",),
    "u": ("UW",), "ʊ": ("UH",), "ʌ": ("AH",), "b": ("B",), "d": ("D",), "ð": ("DH",), "f": ("F",), "h": ("HH",),
    "j": ("Y",), "k": ("K",), "l": ("L",), "m": ("M",), "n": ("N",), "p": ("P",), "s": ("S",), "t": ("T",),
    "v": ("V",), "w": ("W",), "z": ("Z",), "ŋ": ("NG",), "ɡ": ("G",), "ɹ": ("R",), "ɾ": ("T",), "T": ("T",),
    "ʔ": ("T",), "ʃ": ("SH",), "ʒ": ("ZH",), "ʤ": ("JH",), "ʧ": ("CH",), "θ": ("TH",),
    "əɹ": ("ER",), "ɜɹ": ("ER",),
}  # fmt: skip
"""The voice's symbols (those of its American lexicon) in ARPAbet; the longest match applies."""
_MARKS = frozenset("ˈˌː ")
"""Symbols that take time but are not phones; their time goes to the next phone."""
_PAUSES = frozenset('^$;:,.!?—…"()“”')
_DURATIONS = "/Clip_output_0"
_STEP = 0.025
_LAG = 0.050
_LEVEL_DBFS = -23.0
_PEAK = 0.99
_LEAD, _TAIL = 0.20, 0.30
_lock = threading.Lock()


@cache
def _voice() -> tuple[Any, Any]:
    """The voice and its network with the durations as an additional output; loaded once per process, one thread."""
    import hibari
    import onnx
    import onnxruntime

    voice = hibari.Hibari(threads=1)
    model = onnx.load(voice.model_path)
    if not any(_DURATIONS in node.output for node in model.graph.node):
        raise ComponentError(
            f"hibari-tts {hibari.__version__}: its network has no tensor {_DURATIONS!r}, which holds the phone "
            f"durations; install hibari-tts==0.2.1"
        )
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(_DURATIONS))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return voice, session


@cache
def lexicon() -> tuple[str, ...]:
    """The voice's American words of 2 to 12 lower-case letters, in alphabetical order: about 70,000."""
    file = files("hibari") / "assets" / "lexicon_us_gold.json.gz"
    try:
        words = json.loads(gzip.decompress(file.read_bytes()))
    except OSError as error:
        raise ComponentError(
            f"hibari-tts {version('hibari-tts')}: its lexicon {file} cannot be read ({error.strerror}); "
            "install hibari-tts==0.2.1"
        ) from error
    return tuple(sorted(word for word in words if re.fullmatch("[a-z]{2,12}", word)))


def say(text: str, voice: Voice, seed: int = 0) -> Speech:
    """Speak English ``text``; the same text, voice and seed give the same samples.

    ``seed`` draws the noise of breath and friction. Raises :class:`vast_core.errors.InputError` if ``text`` has nothing
    to speak, or a sound that has no ARPAbet phone.
    """
    with _lock:  # the sentence splitter and the network are shared by all callers
        speaker, session = _voice()
        sentences = [symbols for symbols in speaker.phonemize(text) if set(symbols) - _PAUSES - _MARKS]
    if not sentences:
        raise InputError(f"text to speak: {text!r} has no words; give an English sentence")
    rng = np.random.default_rng(seed)
    spoken = [_sentence(speaker, session, symbols, voice, rng, text) for symbols in sentences]
    phones: list[Phone] = []
    start = 0.0
    for wave, parts in spoken:
        for part in parts:
            append_phone(phones, part.label, start + part.start, start + part.end)
        start += len(wave) / SAMPLE_RATE
    return Speech(levelled(np.concatenate([wave for wave, _ in spoken]), phones), tuple(phones))


def _sentence(
    speaker: Any, session: Any, symbols: str, voice: Voice, rng: np.random.Generator, text: str
) -> tuple[NDArray[np.float32], list[Phone]]:
    """One sentence of the voice's ``symbols``: its sound at 16 kHz and its phones, before levelling."""
    from hibari import dsp

    ids = speaker.ids(symbols)
    if len(ids) != len(symbols) + 2:
        unknown = sorted({symbol for symbol in symbols if symbol not in speaker.vocab})
        raise InputError(f"text to speak: {text!r} has sounds {unknown} that the voice lacks; respell the word")
    # A longer tract is the same sound played slower, so the network first speaks faster and higher by that factor.
    tract = voice.tract
    *spectrum, f0, steps = session.run(
        None, {"ids": np.array([ids], np.int64), "speed": np.array([voice.speed * tract], np.float32)}
    )
    harmonic, *rest = (part[0] for part in spectrum)
    if voice.pitch * tract < 1:
        harmonic = _smoothed(harmonic)
    original = dsp.synth(harmonic, *rest, f0[0] * (voice.pitch * tract), rng)
    wave = _resampled(original, round(len(original) * tract * SAMPLE_RATE / dsp.SR))
    phones = _placed(f"^{symbols}$", np.cumsum(steps.reshape(-1)) * _STEP, text)
    phones = [(label, max(0.0, start - _LAG) * tract, max(0.0, end - _LAG) * tract) for label, start, end in phones]
    return _trimmed(wave, _paused(wave, phones))


def _smoothed(envelope: NDArray[np.float32], width: int = 15) -> NDArray[np.float32]:
    """Log envelope (bins of 20 Hz, F) without the harmonic ripple of the voice it was learned from.

    Without this, a lowered voice keeps an audible trace of the old pitch (measured F0: 150 Hz instead of 112 Hz).
    """
    window = np.hanning(width + 2)[1:-1].astype(np.float32)
    padded = np.pad(envelope, ((width // 2, width // 2), (0, 0)), mode="edge")
    smooth: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0) @ (
        window / window.sum()
    )
    return smooth


def _resampled(wave: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """``wave`` resampled to ``samples``, band-limited by its spectrum; both ends are silent, so it may be periodic."""
    spectrum = np.fft.rfft(wave)[: samples // 2 + 1]
    return (np.fft.irfft(spectrum, samples) * (samples / len(wave))).astype(np.float32)


def _placed(symbols: str, ends: NDArray[np.float64], text: str) -> list[tuple[str, float, float]]:
    """Label, start and end of every phone and pause, on the network's own clock."""
    placed: list[tuple[str, float, float]] = []
    index, start = 0, 0.0
    while index < len(symbols):
        first = symbols[index]
        if first in _PAUSES:
            while index < len(symbols) and symbols[index] in _PAUSES | _MARKS:
                index += 1
            # Stress belongs to the phone that follows, a gap between words to the pause.
            while symbols[index - 1] in "ˈˌː":
                index -= 1
            placed.append((SILENCE, start, float(ends[index - 1])))
            start = float(ends[index - 1])
        elif first in _MARKS:
            index += 1
        else:
            width = next((width for width in (2, 1) if symbols[index : index + width] in _SYMBOLS), 0)
            if not width:
                raise InputError(f"text to speak: {text!r} is pronounced with {first!r}, which has no ARPAbet phone")
            index += width
            for label in _SYMBOLS[symbols[index - width : index]]:
                placed.append((label, start, float(ends[index - 1])))
            start = float(ends[index - 1])
    return placed


def _paused(wave: NDArray[np.float32], phones: Sequence[tuple[str, float, float]]) -> list[Phone]:
    """``phones`` with pauses that fit the sound: from the end of its energy to its next onset.

    A pause that is inaudible, or shorter than 40 ms, is removed.
    """
    hop = SAMPLE_RATE // 200
    energy = np.square(np.pad(wave, (hop, 2 * hop)), dtype=np.float64)
    power = np.convolve(energy, np.ones(3 * hop) / (3 * hop), mode="valid")[::hop]
    heard = 10 * np.log10(power + 1e-12) > 10 * np.log10(power.max() + 1e-12) - 45

    def times(start: float, end: float) -> NDArray[np.intp]:
        low, high = (min(max(round(200 * t), 0), len(heard)) for t in (start, end))
        return low + np.flatnonzero(heard[low:high])

    result: list[Phone] = []
    for number, (label, start, end) in enumerate(phones):
        if label != SILENCE:
            append_phone(result, label, result[-1].end if result else 0.0, end)
            continue
        begin, stop = 0.0, len(wave) / SAMPLE_RATE
        if result:
            last = result.pop()
            sounding = times(last.start, start)
            begin = max(float(sounding[-1] + 1) / 200 if len(sounding) else start, last.start + 0.03)
        if number + 1 < len(phones):
            sounding = times(start, end)
            stop = max(float(sounding[0]) / 200 if len(sounding) and result else end, begin)
        if result:
            if stop - begin < 0.04:
                begin = stop
            append_phone(result, last.label, last.start, begin)
        if stop > begin:
            append_phone(result, SILENCE, begin, stop)
    return result


def _trimmed(wave: NDArray[np.float32], phones: Sequence[Phone]) -> tuple[NDArray[np.float32], list[Phone]]:
    """``wave`` with silence of 0.2 s before its first and 0.3 s after its last phone."""
    first, last = phones[1].start, phones[-1].start
    low, high = round((first - _LEAD) * SAMPLE_RATE), round((last + _TAIL) * SAMPLE_RATE)
    padded = np.pad(wave, (max(-low, 0), max(high - len(wave), 0)))[max(low, 0) : high + max(-low, 0)]
    shift, end = low / SAMPLE_RATE, (high - low) / SAMPLE_RATE
    inner = [Phone(label=p.label, start=p.start - shift, end=p.end - shift) for p in phones[1:-1]]
    lead = Phone(label=SILENCE, start=0.0, end=inner[0].start)
    return padded, [lead, *inner, Phone(label=SILENCE, start=inner[-1].end, end=end)]


def append_phone(phones: list[Phone], label: str, start: float, end: float) -> None:
    """Add a phone, or extend the silence at the end of ``phones``."""
    if phones and label == phones[-1].label == SILENCE:
        phones[-1] = attrs.evolve(phones[-1], end=end)
    else:
        phones.append(Phone(label=label, start=start, end=end))


def levelled(wave: NDArray[np.float32], phones: Sequence[Phone]) -> NDArray[np.float32]:
    """``wave`` at -23 dBFS where somebody speaks, or softer if its peak would exceed 0.99."""
    spoken = np.concatenate(
        [wave[round(p.start * SAMPLE_RATE) : round(p.end * SAMPLE_RATE)] for p in phones if p.label != SILENCE]
    )
    gain = 10 ** (_LEVEL_DBFS / 20) / float(np.sqrt(np.mean(np.square(spoken, dtype=np.float64))))
    return (wave * min(gain, _PEAK / float(np.abs(wave).max()))).astype(np.float32)


def main(given: Sequence[str] | None = None) -> None:
    """Write a folder of labelled speech: ``python -m vast_corpora.speech --out FOLDER [--text FILE] [--voices N]``."""
    parser = argparse.ArgumentParser(prog="python -m vast_corpora.speech", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the .wav files and MANIFEST.tsv")
    parser.add_argument("--text", type=Path, help="one sentence per line; default: the sentences in this module")
    parser.add_argument("--voices", type=int, default=len(VOICES), help="number of voices, each saying every sentence")
    arguments = parser.parse_args(given)
    texts = arguments.text.read_text(encoding="utf-8").splitlines() if arguments.text else SENTENCES
    arguments.out.mkdir(parents=True, exist_ok=True)
    recordings = []
    for number, text in enumerate(filter(str.strip, texts)):
        for turn in range(arguments.voices):
            voice = VOICES[(number + turn) % len(VOICES)]
            speech = say(text, voice, number)
            name = f"{number:05d}-{voice.name}.wav"
            with wave_file.open(str(arguments.out / name), "wb") as file:
                file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
                file.writeframes((speech.wave * 32767).astype("<i2").tobytes())
            recordings.append(
                Recording(
                    file=PurePosixPath(name),
                    speaker=voice.name,
                    seconds=speech.phones[-1].end,
                    transcript=text.strip(),
                    phones=speech.phones,
                )
            )
    write_manifest(arguments.out, recordings)


if __name__ == "__main__":
    main()
