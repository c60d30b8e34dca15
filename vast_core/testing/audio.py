"""The rules of audio features: timing, and no influence from the rest of the batch, chunk or clip."""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from ..interfaces import SAMPLE_RATE, AudioFeatures, listen_between
from ..speak.perform import CHUNK
from .kit import Subject, not_applicable, require, rule
from .probes import reached

_CLOSE = 1e-4
"""Tolerance between two computations of the same rows, relative to the largest feature, or to 1 if that is larger."""


def babble(seconds: float, seed: int = 0, batch: int = 1) -> Tensor:
    """Noise (B, S) whose level changes eight times a second over a range like that of speech."""
    draw = torch.Generator().manual_seed(seed)
    samples = round(seconds * SAMPLE_RATE)
    level = 10 ** (-3 + 2.2 * torch.rand(batch, samples * 8 // SAMPLE_RATE + 1, generator=draw))
    noise = torch.randn(batch, samples, generator=draw)
    return (noise * level.repeat_interleave(SAMPLE_RATE // 8, 1)[:, :samples]).clamp(-1, 1)


@torch.no_grad()
def _hear(features: AudioFeatures, wave: Tensor, frames: int) -> Tensor:
    rows: Tensor = features(wave.clone(), frames)
    return rows


def _made(subject: Subject, fps: float | None = None) -> AudioFeatures:
    sizes = subject.sizes[0] if fps is None else attrs.evolve(subject.sizes[0], fps=fps)
    features: AudioFeatures = subject.make(sizes).eval()
    return features


def _same(found: Tensor, expected: Tensor, what: str) -> None:
    scale = max(1.0, float(expected.abs().max()))
    off = float((found - expected).abs().max())
    require(off <= _CLOSE * scale, f"{what}, by up to {off:.1e}")


@rule("audio")
def one_row_a_frame(subject: Subject) -> None:
    """Rows are (B, T, A) with A = sizes.audio and the given T, for sound of any length."""
    features, width = _made(subject), subject.sizes[0].audio
    for batch, frames, seconds in ((1, 1, 0.0), (2, 1, 1.0), (1, 33, 1 / SAMPLE_RATE), (3, 13, 0.4), (1, 40, 3.0)):
        shape = tuple(_hear(features, babble(seconds, batch=batch), frames).shape)
        expected = (batch, frames, width)
        require(shape == expected, f"{seconds:g} s of sound for {frames} frames: {shape}, expected {expected}")


@rule("audio")
def float32(subject: Subject) -> None:
    """Rows of a float32 wave are float32."""
    dtype = _hear(_made(subject), babble(1), 20).dtype
    require(dtype == torch.float32, f"the rows are {dtype}, expected torch.float32")


@rule("audio")
def finite(subject: Subject) -> None:
    """Rows are finite for silence, clipping, clicks and very quiet sound."""
    features, samples = _made(subject), 2 * SAMPLE_RATE
    sounds = {
        "digital silence": torch.zeros(samples),
        "a constant 0.7": torch.full((samples,), 0.7),
        "a square wave at full scale": (torch.arange(samples) // 40 % 2 * 2 - 1).float(),
        "a lone click": torch.nn.functional.one_hot(torch.tensor(SAMPLE_RATE), samples).float(),
        "noise at -140 dB": 1e-7 * babble(2)[0],
    }
    for what, wave in sounds.items():
        bad = ~_hear(features, wave[None], 50)[0].isfinite().all(-1)
        require(not bad.any(), f"{what}: {int(bad.sum())} of 50 rows are not finite")


@rule("audio")
def hears(subject: Subject) -> None:
    """Different sounds give different rows."""
    features = _made(subject)
    one, other = (_hear(features, babble(2, seed), 50) for seed in (1, 2))
    require(not torch.equal(one, other), "two different sounds give the same rows")


@rule("audio")
def repeatable(subject: Subject) -> None:
    """In eval(), two calls with the same sound give the same rows, bit for bit."""
    features, wave = _made(subject), babble(2)
    one, other = (_hear(features, wave, 50) for _ in range(2))
    require(torch.equal(one, other), "two calls with the same sound give different rows")


@rule("audio")
def leaves_the_wave_alone(subject: Subject) -> None:
    """forward() does not change the wave."""
    features, wave = _made(subject), babble(1)
    given = wave.clone()
    with torch.no_grad():
        features(given, 25)
    require(torch.equal(given, wave), "forward() changed the wave")


@rule("audio")
def batch_independence(subject: Subject) -> None:
    """The rows of a sound are the same alone and in a batch with louder, quieter or silent sounds."""
    features, wave = _made(subject), babble(2, seed=1)
    others = torch.cat([babble(2, seed=2), 0.01 * wave, torch.zeros_like(wave)])
    alone = _hear(features, wave, 50)
    together = _hear(features, torch.cat([wave, others]), 50)[:1]
    _same(together, alone, "the rows of a sound differ between alone and in a batch")


@rule("audio")
def silence_after_the_end(subject: Subject) -> None:
    """After the end of the sound, rows are those of silence: appended zeros change nothing."""
    features, frames = _made(subject, fps=25), 75
    for seconds in (0.0, 0.001, 0.3137, 1.5):
        wave = babble(seconds, seed=1)
        padded = torch.nn.functional.pad(wave, (0, 5 * SAMPLE_RATE - wave.shape[1]))
        given = _hear(features, wave, frames)
        _same(given, _hear(features, padded, frames), f"appended silence changes the rows of {seconds:g} s of sound")


@rule("audio")
def receptive_field_is_declared(subject: Subject) -> None:
    """``receptive_field`` is a number of seconds; sound farther than that from a frame does not change its row, nor
    does sound that is later by more than ``look_ahead``, where this is given."""
    features, fps = _made(subject, fps=25), 25
    field = features.receptive_field
    require(math.isfinite(field) and field >= 0, f"receptive_field is {field!r}, not a number of seconds")
    ahead = field if features.look_ahead is None else features.look_ahead
    require(0 <= ahead <= field, f"look_ahead is {ahead!r}, not a number of seconds up to receptive_field, {field:g}")
    frame = math.ceil((field + 0.5) * fps)
    frames = 2 * frame
    wave, other = (babble(frames / fps + 0.5, seed) for seed in (1, 2))
    middle, reach = round(frame / fps * SAMPLE_RATE), math.ceil(field * SAMPLE_RATE) + 1
    rows = _hear(features, wave, frames)
    before, after = wave.clone(), wave.clone()
    before[:, : middle - reach] = other[:, : middle - reach]
    later = middle + math.ceil(ahead * SAMPLE_RATE) + 1
    after[:, later:] = other[:, later:]
    declared = f"receptive_field is {field:g} s, but sound more than that before a frame changes its row"
    _same(_hear(features, before, frames)[:, frame:], rows[:, frame:], declared)
    name = "receptive_field" if features.look_ahead is None else "look_ahead"
    declared = f"{name} is {ahead:g} s, but sound more than that after a frame changes its row"
    _same(_hear(features, after, frames)[:, : frame + 1], rows[:, : frame + 1], declared)


@rule("audio")
def block_is_declared(subject: Subject) -> None:
    """``block`` is a whole number of frames above 0."""
    block = _made(subject).block
    require(type(block) is int and block > 0, f"block is {block!r}, not a whole number of frames above 0")


@rule("audio")
def chunks_equal_the_whole(subject: Subject) -> None:
    """Rows computed in chunks, as in synthesis, equal those of the whole sound."""
    features, fps = _made(subject, fps=25), 25
    if type(features.block) is not int or features.block < 1:
        not_applicable("see `block is declared`")
    frames = 3 * max(CHUNK, features.block) + 5
    wave = babble(frames / fps + 1)
    whole = _hear(features, wave, frames)
    for start in range(0, frames, CHUNK):
        stop = min(start + CHUNK, frames)
        with torch.no_grad():
            rows = listen_between(features, wave.clone(), start, stop, fps, wave.device)
        _same(rows, whole[:, start:stop], f"rows {start} to {stop} differ between a chunk and the whole sound")


@rule("audio")
def keeps_time(subject: Subject) -> None:
    """At any frame rate, delaying the sound delays its rows by the same number of frames, without drift."""
    for fps, later in ((25, 32), (29.97, 128), (30, 96)):  # whole chunks, and whole numbers of samples
        features, wave, count = _made(subject, fps), babble(1, seed=1), round(2 * fps)
        rows = _hear(features, wave, later + count)[:, 1 : count - 1]
        delayed = torch.nn.functional.pad(wave, (round(later / fps * SAMPLE_RATE), 0))
        moved = _hear(features, delayed, later + count).unfold(1, count - 2, 1).movedim(-1, 2)
        off = (moved - rows[:, None]).square().mean((0, 2, 3)).sqrt()  # error for each delay in frames, less 1
        share = float(off[later + 1] / off[[later, later + 2]].min().clamp(min=1e-6))
        require(share <= 0.03, f"at {fps:g} fps, sound delayed by {later} frames: rows off by {share:.2f} frames")


@rule("audio")
def row_t_belongs_to_t_over_fps(subject: Subject) -> None:
    """A voice that hums for 0.2 s around t / fps seconds changes rows around t, to within 0.1 s."""
    features, fps, frames, most = _made(subject, fps=25), 25, 200, 50
    seconds = torch.arange(frames * SAMPLE_RATE // fps) / SAMPLE_RATE
    overtone = torch.arange(1, 30)[:, None]
    voice = 0.05 * (torch.cos(2 * math.pi * 120 * overtone * seconds) / overtone).sum(0)
    hums, humming = torch.zeros_like(seconds).bool(), torch.zeros(frames)
    for frame in (60, 71, 87, 94, 107, 121, 138):  # all distances between two of them differ
        hums |= (seconds * fps - frame).abs() < 2.5
        humming[frame - 2 : frame + 3] = 1
    change = torch.zeros(frames)
    # after digital silence a network that sees far may change all rows; in noise some phones are hardly heard
    for around in (torch.zeros_like(seconds)[None], 0.1 * babble(frames / fps)[:, : len(seconds)]):
        hum = torch.where(hums, voice, around)
        changed = (_hear(features, hum, frames) - _hear(features, around, frames)).norm(dim=-1)[0]
        change += changed / changed.mean().clamp_min(1e-12)
    lags = range(-most, most + 1)
    agreement = {lag: float((change.roll(-lag) * humming).sum()) for lag in lags}
    lag = max(lags, key=lambda lag: (agreement[lag], -abs(lag)))
    require(abs(lag) <= 2, f"rows lag behind the sound by {lag / fps:+.2f} s")


@rule("audio")
def gradients(subject: Subject) -> None:
    """If ``trainable`` is True, a finite gradient reaches every parameter."""
    features = _made(subject)
    require(type(features.trainable) is bool, f"trainable is {features.trainable!r}, not True or False")
    if not features.trainable:
        not_applicable("trainable is False")
    rows: Tensor = features.train()(babble(2, batch=2), 50)
    reached(features, rows.square().sum())
    bad = [n for n, p in features.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    require(not bad, f"the gradient of {', '.join(bad)} is not finite")


@rule("audio")
def moves_to_another_device(subject: Subject) -> None:
    """``to(device)`` moves all its tensors (checked with torch's meta device)."""
    features = _made(subject).to("meta")
    rows = _hear(features, torch.zeros(2, SAMPLE_RATE, device="meta"), 25)
    require(rows.is_meta, f"moved to the meta device, it gives rows on {rows.device}")


@rule("audio")
def shape_without_data(subject: Subject) -> None:
    """Made and called on torch's meta device, as by `vast check`, it gives the shape."""
    subject.make()
    with torch.device("meta"):
        rows = _hear(subject.build().eval(), torch.zeros(2, SAMPLE_RATE), 25)
    shape = tuple(rows.shape[:2])
    require(rows.is_meta and shape == (2, 25), f"made on the meta device, it gives {shape} rows on {rows.device}")
