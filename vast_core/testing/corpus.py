"""The rules of corpora: the same clips in the same order, listed cheaply, and footage as declared.

Rules about footage read the first and the last clip; rules that need all frames of a clip read the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice, pairwise
from typing import Any
from unittest.mock import patch

import numpy as np

from ..errors import InputError
from ..interfaces import SAMPLE_RATE, Clip, Corpus, FaceTrack
from ..phones import PHONES
from .kit import Subject, not_applicable, require, rule

_FRAMES = 4
"""Number of frames read from a clip if not all are needed."""
_APART = 0.5
"""Seconds by which sound may be shorter or longer than the pictures, because encoders pad both."""


def _listed(subject: Subject) -> tuple[Corpus, list[Clip]]:
    corpus: Corpus = subject.make()
    try:
        clips = list(corpus.clips())
    except InputError as error:
        not_applicable(str(error))
    return corpus, clips or not_applicable("see `some clips`: there are none")


def _few(clips: list[Clip]) -> list[Clip]:
    return clips[:1] + clips[1:][-1:]


def _pictures(clip: Clip, most: int = _FRAMES) -> list[Any]:
    return list(islice(clip.footage.frames(), most))


def _seen(subject: Subject) -> Iterator[tuple[Clip, list[Any]]]:
    """Clips with their first frames."""
    found = [(clip, frames) for clip in _few(_listed(subject)[1]) if (frames := _pictures(clip))]
    yield from found or not_applicable("its clips have no pictures")


def _heard(subject: Subject) -> Iterator[tuple[Clip, Any]]:
    """Clips with their sound."""
    found = [(clip, wave) for clip in _few(_listed(subject)[1]) if (wave := clip.footage.wave()) is not None]
    yield from found or not_applicable("its clips have no sound")


# ---------------------------------------------------------------------------------------------- the list


@rule("corpus")
def some_clips(subject: Subject) -> None:
    """``clips()`` gives clips, or raises an InputError if there are none."""
    try:
        clips = list(subject.make().clips())
    except InputError as error:
        not_applicable(str(error))
    require(len(clips) > 0, "there are no clips, and no InputError is raised")
    wrong = {type(clip).__name__ for clip in clips if not isinstance(clip, Clip)}
    require(not wrong, f"clips() gives {', '.join(sorted(wrong))} instead of Clip")


@rule("corpus")
def fixed_order(subject: Subject) -> None:
    """A second call, and a second corpus of the same config, give the same clips in the same order."""
    corpus, clips = _listed(subject)
    names = [clip.name for clip in clips]
    require([clip.name for clip in corpus.clips()] == names, "a second call of clips() gives a different list")
    require([clip.name for clip in _listed(subject)[1]] == names, "a second corpus gives a different list")


@rule("corpus")
def unique_names(subject: Subject) -> None:
    """Every clip has a name of its own and a speaker."""
    clips = _listed(subject)[1]
    names = sorted(clip.name for clip in clips)
    twice = [one for one, other in pairwise(names) if one == other]
    require(not twice, f"two clips are called {twice[:1]}")
    nameless = [clip.name for clip in clips if not clip.name or not clip.speaker]
    require(not nameless, f"clips without a name or a speaker: {nameless[:4]}")


@rule("corpus")
def reads_no_footage(subject: Subject) -> None:
    """Listing the clips calls neither ``frames()`` nor ``wave()`` of any footage."""
    kinds = {type(clip.footage) for clip in _listed(subject)[1]}
    read: list[str] = []
    with ExitStack() as stack:
        for kind in kinds:
            for name in ("frames", "wave"):
                original = getattr(kind, name)

                def recorded(footage: Any, original: Any = original, name: str = name) -> Any:
                    read.append(name)
                    return original(footage)

                stack.enter_context(patch.object(kind, name, recorded))
        for _ in subject.make().clips():
            require(not read, f"clips() calls {read[:1]} of footage; listing must stay cheap for a thousand hours")


@rule("corpus")
def stable_digests(subject: Subject) -> None:
    """A clip has the same digest in a second corpus of the same config."""
    one, other = _listed(subject)[1], {clip.name: clip.digest for clip in _listed(subject)[1]}
    changed = [clip.name for clip in one if other.get(clip.name) != clip.digest]
    require(not changed, f"in a second corpus, {len(changed)} of {len(one)} digests differ, first {changed[:1]}")


@rule("corpus")
def telling_digests(subject: Subject) -> None:
    """Clips that look or sound different have different digests."""
    known: dict[str, tuple[str, bytes]] = {}
    for clip in _few(_listed(subject)[1]):
        wave = clip.footage.wave()
        content = b"".join(np.asarray(frame).tobytes() for frame in _pictures(clip))
        content += b"" if wave is None else np.asarray(wave).tobytes()
        name, before = known.setdefault(clip.digest, (clip.name, content))
        require(before == content, f"{name} and {clip.name} differ but have the same digest, {clip.digest[:12]}")


@rule("corpus")
def splits(subject: Subject) -> None:
    """A clip's split is "train", "held_out", or None."""
    wrong = {str(clip.split) for clip in _listed(subject)[1] if clip.split not in ("train", "held_out", None)}
    require(not wrong, f"split is {', '.join(sorted(wrong))}")


# --------------------------------------------------------------------------------------------- the footage


@rule("corpus")
def pictures(subject: Subject) -> None:
    """Frames are (Y, X, 3), uint8 and contiguous, all of one size."""
    for clip, frames in _seen(subject):
        for number, frame in enumerate(frames):
            where = f"{clip.name}, frame {number}"
            require(isinstance(frame, np.ndarray), f"{where}: {type(frame).__name__}, not an array")
            require(frame.dtype == np.uint8, f"{where}: {frame.dtype}, not uint8")
            require(frame.ndim == 3 and frame.shape[2] == 3, f"{where}: {frame.shape}, not (Y, X, 3)")
            require(frame.shape == frames[0].shape, f"{where}: {frame.shape} after {frames[0].shape}")
            require(frame.flags.c_contiguous, f"{where}: not contiguous; np.ascontiguousarray makes it so")


@rule("corpus")
def declared_size(subject: Subject) -> None:
    """``size``, if given, is (Y, X) of the frames."""
    for clip, frames in _seen(subject):
        found = tuple(np.asarray(frames[0]).shape[:2])
        require(clip.size in (None, found), f"{clip.name}: size is {clip.size}, but frames are {found}")


@rule("corpus")
def sound(subject: Subject) -> None:
    """The wave is (S,), float32, finite and within [-1, 1]."""
    for clip, wave in _heard(subject):
        require(isinstance(wave, np.ndarray) and wave.ndim == 1, f"{clip.name}: the wave is {np.shape(wave)}, not (S,)")
        require(wave.dtype == np.float32, f"{clip.name}: the wave is {wave.dtype}, not float32")
        peak = float(np.abs(wave).max(initial=0))
        require(peak <= 1, f"{clip.name}: the wave reaches {peak:g}; full scale is 1")


@rule("corpus")
def as_long_as_the_pictures(subject: Subject) -> None:
    """Durations of the sound at 16 kHz and of the pictures at the recipe's fps differ by at most 0.5 s."""
    clip = _listed(subject)[1][0]
    wave, count = clip.footage.wave(), sum(1 for _ in clip.footage.frames())
    if wave is None or not count:
        not_applicable(f"{clip.name} has no {'sound' if wave is None else 'pictures'}")
    shown, heard = count / subject.sizes[0].fps, np.shape(wave)[0] / SAMPLE_RATE
    require(abs(shown - heard) <= _APART, f"{clip.name}: {shown:.2f} s of pictures, {heard:.2f} s of sound")


@rule("corpus")
def read_as_often_as_asked(subject: Subject) -> None:
    """Footage that is read again, or by two readers in turn, gives the same frames and the same wave."""
    for clip in _few(_listed(subject)[1]):
        readers = clip.footage.frames(), clip.footage.frames()
        alike = [np.array_equal(*pair) for pair in islice(zip(*readers, strict=False), _FRAMES)]
        require(all(alike), f"{clip.name}: frame {alike.index(False) if not all(alike) else 0} differs when read again")
        counts = [len(_pictures(clip)) for _ in range(2)]
        require(counts == [len(alike)] * 2, f"{clip.name}: {len(alike)} frames, then {counts[0]}, then {counts[1]}")
        one, other = clip.footage.wave(), clip.footage.wave()
        same = one is None if other is None else one is not None and np.array_equal(one, other)
        require(same, f"{clip.name}: the wave differs when read again")


# ------------------------------------------------------------------------------------ what the corpus knows


def _with_phones(subject: Subject) -> list[Clip]:
    return [clip for clip in _few(_listed(subject)[1]) if clip.phones] or not_applicable("its clips have no phones")


@rule("corpus")
def phones_in_time(subject: Subject) -> None:
    """Phones are in order and do not overlap, none ends before it starts, and all lie within the sound."""
    for clip in _with_phones(subject):
        wave = clip.footage.wave()
        end = float("inf") if wave is None else np.shape(wave)[0] / SAMPLE_RATE + _APART
        last = 0.0
        for phone in clip.phones:
            span = f"{clip.name}: {phone.label} from {phone.start:.3f} to {phone.end:.3f} s"
            require(phone.start <= phone.end, f"{span} ends before it starts")
            require(phone.start >= last - 1e-6, f"{span} starts before the previous one ends at {last:.3f} s")
            require(phone.end <= end, f"{span}, but the sound lasts {end - _APART:.3f} s")
            last = phone.end


@rule("corpus")
def phone_labels(subject: Subject) -> None:
    """Phone labels are ARPAbet without stress, or SIL."""
    wrong = {phone.label for clip in _with_phones(subject) for phone in clip.phones} - set(PHONES)
    require(not wrong, f"unknown phones: {', '.join(sorted(wrong))} (known: {' '.join(PHONES)})")


@rule("corpus")
def true_track(subject: Subject) -> None:
    """A true track has one row per frame of the footage, with the shapes of FaceTrack."""
    clip = _listed(subject)[1][0]
    track = clip.track
    if track is None:
        not_applicable("its clips have no true track")
    count, start = sum(1 for _ in clip.footage.frames()), track.start
    require(start + len(track) <= count, f"{clip.name}: {count} frames, but a track of {len(track)} from {start}")
    require(start > 0 or len(track) == count, f"{clip.name}: {count} frames, but a track of {len(track)}")
    for name, shape, dtype in _track_shapes(track):
        found = getattr(track, name)
        fits = found.shape == shape and found.dtype == dtype
        require(fits, f"{clip.name}: {name} is {found.shape} {found.dtype}, expected {shape} {dtype}")


def _track_shapes(track: FaceTrack) -> tuple[tuple[str, tuple[int, ...], Any], ...]:
    frames, count = len(track), track.vertices.shape[1]
    return (
        ("vertices", (frames, count, 3), np.dtype(np.float32)),
        ("pose", (frames, 3, 4), np.dtype(np.float32)),
        ("valid", (frames,), np.dtype(np.bool_)),
    )


@rule("corpus")
def counterfactuals(subject: Subject) -> None:
    """A counterfactual has the same speaker, words, phone times and length as the clip, in the requested style."""
    corpus, clips = _listed(subject)
    clip, styles = clips[0], {clip.style for clip in clips if clip.style is not None}
    others = sorted(styles - {clip.style}) or not_applicable("there is no other style")
    other = corpus.counterfactual(clip, others[0])
    if other is None:
        not_applicable("it gives no counterfactuals")
    require(other.style == others[0], f"the requested style is {others[0]}, the clip's is {other.style}")
    said = [(c.speaker, c.transcript, [(p.label, p.start, p.end) for p in c.phones]) for c in (clip, other)]
    require(said[0] == said[1], f"{other.name} has {said[1][:2]}, but {clip.name} has {said[0][:2]}")
    if clip.track is not None and other.track is not None:
        lengths = len(clip.track), len(other.track)
        require(lengths[0] == lengths[1], f"{clip.name} has {lengths[0]} frames, {other.name} has {lengths[1]}")
