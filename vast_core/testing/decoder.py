"""The rules of decoders: chunks equal the whole clip, and no frame depends on audio beyond the look-ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import torch
from torch import Tensor

from ..interfaces import Decoder, DecoderLoss, DecoderOutput, Sizes
from .decoder_samples import MOST_NOISE, SpeechSample, called, lookahead_of, made_decoder, speak
from .kit import Subject, not_applicable, require, rule
from .probes import device_rules, draws, off, reached, same_weights, seeded, start_gently

_CLOSE = 1e-4
"""Tolerance between two computations of one result, relative to the largest number, or to 1 if that is larger."""


# ------------------------------------------------------------------------------------------- its form


@rule("decoder")
@torch.no_grad()
def shapes(subject: Subject) -> None:
    """Expression is (B, T, E), for clips of one frame or more."""
    for sizes in subject.sizes:
        decoder = subject.make(sizes).eval()
        for batch, frames in ((1, 1), (2, 2), (3, 25), (1, 101)):
            given = f"{batch} x {frames} frames"
            speech = SpeechSample.of(sizes, batch, frames)
            try:
                output = called(decoder, speech)
            except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
                require(False, f"{given} with {sizes}: {type(error).__name__}: {error}")
            require(isinstance(output, DecoderOutput), f"it gives {type(output).__name__}, not DecoderOutput")
            found, wanted = tuple(output.expression.shape), (batch, frames, sizes.expression)
            require(found == wanted, f"{given}: expression is {found}, expected {wanted}")


@rule("decoder")
@torch.no_grad()
def float32(subject: Subject) -> None:
    """Expression is float32."""
    dtype = speak(made_decoder(subject), SpeechSample.of(subject.sizes[0])).expression.dtype
    require(dtype == torch.float32, f"expression is {dtype}, expected torch.float32")


@rule("decoder")
def autocast(subject: Subject) -> None:
    """Under bfloat16 autocast it works, and its output is finite."""
    with torch.autocast("cpu", torch.bfloat16):
        output = speak(made_decoder(subject), SpeechSample.of(subject.sizes[0]))
    require(bool(output.expression.isfinite().all()), "expression is not finite under bfloat16 autocast")


@torch.no_grad()
def _on(subject: Subject, decoder: Any, device: torch.device) -> list[Tensor]:
    speech = SpeechSample.of(subject.sizes[0])
    speech = speech.to(device)
    first = speak(decoder, speech)
    return [first.expression, speak(decoder, speech, first.state).expression]


device_rules("decoder", _on)


@rule("decoder")
@torch.no_grad()
def repeatable(subject: Subject) -> None:
    """In eval(), two calls with the same audio and style give the same expression, bit for bit."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    first = speak(decoder, speech).expression
    second = called(decoder, speech).expression  # with another state of the generator
    require(torch.equal(first, second), "two calls with the same audio give different expressions in eval()")


@rule("decoder")
@torch.no_grad()
def inputs_untouched(subject: Subject) -> None:
    """forward() does not change audio, style, mask or the state of the previous chunk."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    speech.mask[1, 30:] = False
    state = speak(decoder, speech.cut(0, 10)).state
    kept = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    given = {"audio": speech.audio, "style": speech.style, "mask": speech.mask} | kept
    before = {name: tensor.clone() for name, tensor in given.items()}
    speak(decoder, speech.cut(10, 40), state)
    changed = [name for name, tensor in given.items() if not torch.equal(tensor, before[name])]
    require(not changed, f"forward() changed {', '.join(changed)}")


@rule("decoder")
@torch.no_grad()
def state(subject: Subject) -> None:
    """The state is a mapping of names to tensors."""
    found = speak(made_decoder(subject), SpeechSample.of(subject.sizes[0])).state
    require(isinstance(found, Mapping), f"the state is a {type(found).__name__}, not a mapping")
    wrong = [f"{name!r}: {type(value).__name__}" for name, value in found.items() if not isinstance(value, Tensor)]
    require(not wrong, f"the state has values that are not tensors: {', '.join(wrong)}")


# ------------------------------------------------------------------------------------------- what counts


@rule("decoder")
@torch.no_grad()
def batch_independence(subject: Subject) -> None:
    """A clip has the same expression alone and in a batch."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0], batch=3)
    speech.mask[1, 21:] = False
    together = speak(decoder, speech).expression
    for row in range(3):
        alone = speak(decoder, speech.rows(row, row + 1)).expression
        distance = off(alone, together[row : row + 1])
        require(distance <= _CLOSE, f"a clip differs by {distance:.1e} between alone and in a batch")


@rule("decoder")
@torch.no_grad()
def masked_frames(subject: Subject) -> None:
    """Audio of masked frames after the end changes no frame of the clip."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    speech.mask[1, 21:] = False
    changed = torch.where(speech.mask[..., None], speech.audio, speech.audio + 3)
    before = speak(decoder, speech).expression
    after = speak(decoder, attrs.evolve(speech, audio=changed)).expression
    distance = off(after[speech.mask], before[speech.mask])
    require(distance <= _CLOSE, f"changed audio of masked frames changes frames of the clip by {distance:.1e}")


@rule("decoder")
@torch.no_grad()
def padding(subject: Subject) -> None:
    """Any number of masked frames at the end changes no frame of the clip."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    before = speak(decoder, speech).expression
    frames = before.shape[1]
    for more in (1, 60):
        distance = off(speak(decoder, speech.padded(more)).expression[:, :frames], before)
        require(distance <= _CLOSE, f"padding {frames} frames by {more} changes them by {distance:.1e}")


@rule("decoder")
@torch.no_grad()
def lookahead(subject: Subject) -> None:
    """``lookahead`` is a whole number of frames, and no frame depends on audio further ahead."""
    decoder = made_decoder(subject)
    frames = decoder.lookahead
    require(type(frames) is int and frames >= 0, f"lookahead is {frames!r}, expected a whole number of frames")
    beyond = _sees_beyond(decoder, subject.sizes[0])
    require(beyond <= _CLOSE, f"lookahead is {frames}, but audio further ahead changes a frame by {beyond:.1e}")


def _sees_beyond(decoder: Decoder, sizes: Sizes) -> float:
    """Largest change of a frame if all audio beyond the declared look-ahead is replaced."""
    ahead = lookahead_of(decoder)
    speech, other = (SpeechSample.of(sizes, frames=ahead + 40, seed=seed) for seed in (0, 1))
    before, most = speak(decoder, speech).expression, 0.0
    for frame in (0, 1, 13, 30):
        seen = frame + ahead + 1
        audio = torch.cat([speech.audio[:, :seen], other.audio[:, seen:]], 1)
        after = speak(decoder, attrs.evolve(speech, audio=audio)).expression
        most = max(most, off(after[:, : frame + 1], before[:, : frame + 1]))
    return most


@rule("decoder")
@torch.no_grad()
def chunks_equal_the_whole(subject: Subject) -> None:
    """A clip in chunks of any length, each with future audio and previous state, equals the whole clip to 1e-4."""
    decoder = made_decoder(subject)
    ahead = lookahead_of(decoder)
    if not _sees_beyond(decoder, subject.sizes[0]) <= _CLOSE:
        not_applicable("see `lookahead`: it depends on audio beyond its look-ahead")
    frames = max(40, 2 * ahead + 10)
    speech = SpeechSample.of(subject.sizes[0], frames=frames)
    whole = speak(decoder, speech)
    for lengths in ([1] * frames, [frames // 2, frames - frames // 2], [7, 1, 2, frames - 10], [frames - 1, 1]):
        parts, poses, before, start = [], [], None, 0
        for length in lengths:
            stop = start + length
            future = speech.audio[:, stop : stop + ahead]
            own = speech.cut(start, stop, future.shape[1])
            output = speak(decoder, own, before, future if future.shape[1] else None)
            parts.append(output.expression)
            poses += [] if output.pose is None else [output.pose]
            before, start = output.state, stop
        distance = off(torch.cat(parts, 1), whole.expression)
        if whole.pose is not None and len(poses) == len(parts):
            distance = max(distance, off(torch.cat(poses, 1), whole.pose))
        shown = "single frames" if len(lengths) == frames else f"chunks of {', '.join(map(str, lengths))} frames"
        require(distance <= _CLOSE, f"{shown} differ from the whole by {distance:.1e}")


@rule("decoder")
@torch.no_grad()
def style_used(subject: Subject) -> None:
    """The same audio with a different style gives a different expression."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    other = attrs.evolve(speech, style=SpeechSample.of(subject.sizes[0], seed=1).style)
    one, two = (speak(decoder, given).expression for given in (speech, other))
    require(not torch.equal(one, two), "two styles give the same expression")


@rule("decoder")
@torch.no_grad()
def audio_used(subject: Subject) -> None:
    """Different audio with the same style gives a different expression."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    other = attrs.evolve(speech, audio=SpeechSample.of(subject.sizes[0], seed=1).audio)
    one, two = (speak(decoder, given).expression for given in (speech, other))
    require(not torch.equal(one, two), "two sounds give the same expression")


@rule("decoder")
@torch.no_grad()
def noise_used(subject: Subject) -> None:
    """``noise`` is a whole number; if it is not 0, different noise gives a different expression."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    width = decoder.noise
    require(type(width) is int and width >= 0, f"noise is {width!r}, expected a whole number")
    if not width:
        not_applicable("noise is 0: the decoder is not stochastic")
    if width > MOST_NOISE:
        not_applicable(f"noise is {width}; the kit provides at most {MOST_NOISE} numbers per frame")
    other = attrs.evolve(speech, noise=-speech.noise)
    one, two = (speak(decoder, given).expression for given in (speech, other))
    require(not torch.equal(one, two), "different noise gives the same expression, though noise is not 0")


@rule("decoder")
@torch.no_grad()
def head_pose(subject: Subject) -> None:
    """``pose`` is finite and (B, T, 3, 4) if ``moves_head`` is True, and None if it is False."""
    decoder, speech = made_decoder(subject), SpeechSample.of(subject.sizes[0])
    pose = speak(decoder, speech).pose
    if not decoder.moves_head:
        require(pose is None, "moves_head is False, but it gives a pose")
        not_applicable("moves_head is False")
    found = None if pose is None else tuple(pose.shape)
    require(found == (*speech.mask.shape, 3, 4), f"pose is {found}, expected {(*speech.mask.shape, 3, 4)}")
    require(pose is not None and bool(pose.isfinite().all()), "pose is not finite")


# ------------------------------------------------------------------------------------------- in training


def _target(sizes: Sizes, speech: SpeechSample) -> Tensor:
    (target,) = draws((*speech.mask.shape, sizes.expression), seed=2)
    return target


def _reconstruct(decoder: Decoder, sizes: Sizes, speech: SpeechSample, progress: float) -> Sequence[Tensor]:
    given = speech.audio, speech.style, speech.mask, _target(sizes, speech), progress
    found: Sequence[Tensor] = seeded(lambda: decoder.reconstruct(*given))
    return found


def _own_loss(
    decoder: Decoder, sizes: Sizes, speech: SpeechSample, progress: float, target: Tensor | None = None
) -> DecoderLoss | None:
    target = _target(sizes, speech) if target is None else target
    still = torch.eye(3, 4).expand(*speech.mask.shape, 3, 4).to(speech.audio)
    motion: dict[str, Any] = {"motion": still} if decoder.moves_head else {}
    found: DecoderLoss | None = seeded(
        lambda: decoder.training_loss(speech.audio, speech.style, speech.mask, target, progress, **motion)
    )
    return found


@rule("decoder")
@torch.no_grad()
def training_loss(subject: Subject) -> None:
    """Its own loss, if it has one, is finite, (B,), and independent of masked frames; predictions are (B, T, E)."""
    decoder, sizes = made_decoder(subject), subject.sizes[0]
    speech = SpeechSample.of(sizes)
    for progress in (0.0, 0.5, 1.0):
        found = _own_loss(decoder, sizes, speech, progress)
        if found is None:
            require(not decoder.moves_head, "training_loss() gives None, so nothing trains the head's pose")
            not_applicable("training_loss() gives None: it is trained by reconstruct()")
        require(isinstance(found, DecoderLoss), f"it gives {type(found).__name__}, not DecoderLoss")
        shape, expected = tuple(found.loss.shape), (len(speech.mask),)
        require(shape == expected, f"the loss is {shape}, expected {expected}")
        require(bool(found.loss.isfinite().all()), f"the loss is {found.loss.tolist()} at progress {progress:g}")
        for prediction in found.predictions:
            right = tuple(prediction.shape) == (*speech.mask.shape, sizes.expression)
            require(right, f"a prediction is {tuple(prediction.shape)}, expected (B, T, E)")
    speech.mask[1, 21:] = False
    one = _own_loss(decoder, sizes, speech, 1.0)
    beyond = 3.0 * ~speech.mask[..., None]
    changed = attrs.evolve(speech, audio=speech.audio + beyond)
    two = _own_loss(decoder, sizes, changed, 1.0, _target(sizes, speech) + beyond)
    if one is not None and two is not None:
        distance = off(one.loss, two.loss)
        require(distance <= _CLOSE, f"changed masked frames change the loss by {distance:.1e}")


@rule("decoder")
@torch.no_grad()
def reconstruct(subject: Subject) -> None:
    """Predictions are (B, T, E), and at progress 1 the last one equals the output of forward."""
    decoder, sizes = made_decoder(subject), subject.sizes[0]
    speech = SpeechSample.of(sizes)
    if _own_loss(decoder, sizes, speech, 1.0) is not None:
        not_applicable("it has its own objective: see `training loss`")
    spoken = speak(decoder, speech).expression
    for progress in (0.0, 0.5, 1.0):
        found = _reconstruct(decoder, sizes, speech, progress)
        require(len(found) > 0, f"reconstruct() returns no prediction at progress {progress:g}")
        for prediction in found:
            right = prediction.shape == spoken.shape
            require(right, f"a prediction is {tuple(prediction.shape)}, expected {tuple(spoken.shape)}")
    distance = off(found[-1], spoken)
    require(distance <= _CLOSE, f"at progress 1 the last prediction differs from forward's output by {distance:.1e}")


@rule("decoder")
def start_from(subject: Subject) -> None:
    """start_from() and adapt_to() keep the clips and the names and shapes of its state; the output stays finite."""
    sizes, decoder = subject.sizes[0], subject.make()
    clips = []
    for seed in range(5):
        speech = SpeechSample.of(sizes, batch=1, frames=60, seed=seed)
        speech.mask[0, :seed] = False
        clips.append((speech.audio[0], math.sqrt(0.1) * _target(sizes, speech)[0], speech.mask[0]))
    for how, further in (("start_from", ()), ("adapt_to", (SpeechSample.of(sizes, batch=5).style,))):
        start_gently(decoder, clips, how, *further)
        spoken = speak(decoder.eval(), SpeechSample.of(sizes)).expression
        require(bool(spoken.isfinite().all()), f"after {how}(), expression is not finite")


@rule("decoder")
def finite(subject: Subject) -> None:
    """Expression and gradients are finite for features and styles of 0 and of 100 times their scale."""
    sizes, decoder = subject.sizes[0], made_decoder(subject)
    plain = SpeechSample.of(sizes)
    for name in ("audio", "style"):
        for scale in (0.0, 100.0):
            decoder.zero_grad(set_to_none=True)
            speech = attrs.evolve(plain, **{name: scale * getattr(plain, name)})
            spoken = speak(decoder, speech).expression
            if spoken.requires_grad:
                spoken.square().mean().backward()  # type: ignore[no-untyped-call]
            wrong = [] if spoken.isfinite().all() else ["expression"]
            for weight, tensor in decoder.named_parameters():
                if tensor.grad is not None and not tensor.grad.isfinite().all():
                    wrong.append(f"the gradient of {weight}")
            require(not wrong, f"{', '.join(wrong)} not finite if the {name} is {scale:g} times its scale")


@rule("decoder")
def gradients(subject: Subject) -> None:
    """A gradient of training_loss(), or else of the predictions of reconstruct(), reaches every parameter."""
    decoder, sizes = made_decoder(subject).train(), subject.sizes[0]
    speech = SpeechSample.of(sizes)
    own = _own_loss(decoder, sizes, speech, 0.5)
    if own is not None:
        reached(decoder, own.loss.sum())
        return
    found = _reconstruct(decoder, sizes, speech, 0.5)
    target = _target(sizes, speech)
    if any(one.shape != target.shape for one in found):
        not_applicable("see `shapes` and `reconstruct`: its predictions have a wrong shape")
    reached(decoder, sum(((one - target).square().mean() for one in found), torch.zeros(())))


@rule("decoder")
@torch.no_grad()
def weights_tell_all(subject: Subject) -> None:
    """Two components with the same weights give the same output: state_dict() is complete."""
    speech = SpeechSample.of(subject.sizes[0])
    same_weights(subject, lambda decoder: [speak(cast(Decoder, decoder), speech).expression])
