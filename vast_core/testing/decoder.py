"""The rules of decoders: chunks equal the whole clip, and no frame depends on audio beyond the look-ahead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import torch
from torch import Tensor, nn

from ..interfaces import Decoder, DecoderOutput, Sizes, State
from .kit import Subject, not_applicable, require, rule
from .probes import device_rules, draws, off, reached, same_weights, scattered, seeded

_CLOSE = 1e-4
"""Tolerance between two computations of one result, relative to the largest number, or to 1 if that is larger."""


@attrs.frozen(eq=False)
class SpeechSample:
    """Inputs of a decoder."""

    audio: Tensor
    style: Tensor
    mask: Tensor

    @classmethod
    def of(cls, sizes: Sizes, batch: int = 2, frames: int = 40, seed: int = 0) -> SpeechSample:
        """SpeechSample without padding; rules modify it."""
        audio, style = draws((batch, frames, sizes.audio), (batch, sizes.style), seed=seed)
        return cls(audio, style, torch.ones(batch, frames, dtype=torch.bool))

    def cut(self, start: int, stop: int) -> SpeechSample:
        """Frames ``start`` to ``stop``."""
        return SpeechSample(self.audio[:, start:stop], self.style, self.mask[:, start:stop])

    def rows(self, start: int, stop: int) -> SpeechSample:
        """Rows ``start`` to ``stop`` of the batch."""
        return SpeechSample(self.audio[start:stop], self.style[start:stop], self.mask[start:stop])


def _decoder(subject: Subject) -> Decoder:
    decoder: Decoder = scattered(subject.make())
    return decoder


def _speak(
    decoder: nn.Module, speech: SpeechSample, state: State | None = None, future: Tensor | None = None
) -> DecoderOutput:
    """The decoder's output; NotApplicable if its form is wrong, which the rule ``shapes`` reports."""
    output = seeded(lambda: decoder(speech.audio, speech.style, speech.mask, state, future))
    if not isinstance(output, DecoderOutput):
        not_applicable(f"see `shapes`: it gives {type(output).__name__}, not DecoderOutput")
    if output.expression.shape[:2] != speech.mask.shape:
        not_applicable("see `shapes`: its expression and the audio differ in rows or frames")
    return output


def _lookahead(decoder: Decoder) -> int:
    frames = getattr(decoder, "lookahead", None)
    return (
        frames if type(frames) is int and frames >= 0 else not_applicable("see `lookahead`: it is not a whole number")
    )


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
                output = decoder(speech.audio, speech.style, speech.mask)
            except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
                require(False, f"{given} with {sizes}: {type(error).__name__}: {error}")
            require(isinstance(output, DecoderOutput), f"it gives {type(output).__name__}, not DecoderOutput")
            found, wanted = tuple(output.expression.shape), (batch, frames, sizes.expression)
            require(found == wanted, f"{given}: expression is {found}, expected {wanted}")


@rule("decoder")
@torch.no_grad()
def float32(subject: Subject) -> None:
    """Expression is float32."""
    dtype = _speak(_decoder(subject), SpeechSample.of(subject.sizes[0])).expression.dtype
    require(dtype == torch.float32, f"expression is {dtype}, expected torch.float32")


@rule("decoder")
def autocast(subject: Subject) -> None:
    """Under bfloat16 autocast it works, and its output is finite."""
    with torch.autocast("cpu", torch.bfloat16):
        output = _speak(_decoder(subject), SpeechSample.of(subject.sizes[0]))
    require(bool(output.expression.isfinite().all()), "expression is not finite under bfloat16 autocast")


@torch.no_grad()
def _on(subject: Subject, decoder: nn.Module, device: torch.device) -> list[Tensor]:
    speech = SpeechSample.of(subject.sizes[0])
    speech = SpeechSample(speech.audio.to(device), speech.style.to(device), speech.mask.to(device))
    first = _speak(decoder, speech)
    return [first.expression, _speak(decoder, speech, first.state).expression]


device_rules("decoder", _on)


@rule("decoder")
@torch.no_grad()
def repeatable(subject: Subject) -> None:
    """In eval(), two calls with the same audio and style give the same expression, bit for bit."""
    decoder, speech = _decoder(subject), SpeechSample.of(subject.sizes[0])
    first = _speak(decoder, speech).expression
    second = decoder(speech.audio, speech.style, speech.mask).expression  # with another state of the generator
    require(torch.equal(first, second), "two calls with the same audio give different expressions in eval()")


@rule("decoder")
@torch.no_grad()
def inputs_untouched(subject: Subject) -> None:
    """forward() does not change audio, style, mask or the state of the previous chunk."""
    decoder, speech = _decoder(subject), SpeechSample.of(subject.sizes[0])
    speech.mask[1, 30:] = False
    state = _speak(decoder, speech.cut(0, 10)).state
    kept = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    given = {"audio": speech.audio, "style": speech.style, "mask": speech.mask} | kept
    before = {name: tensor.clone() for name, tensor in given.items()}
    _speak(decoder, speech.cut(10, 40), state)
    changed = [name for name, tensor in given.items() if not torch.equal(tensor, before[name])]
    require(not changed, f"forward() changed {', '.join(changed)}")


@rule("decoder")
@torch.no_grad()
def state(subject: Subject) -> None:
    """The state is a mapping of names to tensors."""
    found = _speak(_decoder(subject), SpeechSample.of(subject.sizes[0])).state
    require(isinstance(found, Mapping), f"the state is a {type(found).__name__}, not a mapping")
    wrong = [f"{name!r}: {type(value).__name__}" for name, value in found.items() if not isinstance(value, Tensor)]
    require(not wrong, f"the state has values that are not tensors: {', '.join(wrong)}")


# ------------------------------------------------------------------------------------------- what counts


@rule("decoder")
@torch.no_grad()
def batch_independence(subject: Subject) -> None:
    """A clip has the same expression alone and in a batch."""
    decoder, speech = _decoder(subject), SpeechSample.of(subject.sizes[0], batch=3)
    speech.mask[1, 21:] = False
    together = _speak(decoder, speech).expression
    for row in range(3):
        alone = _speak(decoder, speech.rows(row, row + 1)).expression
        distance = off(alone, together[row : row + 1])
        require(distance <= _CLOSE, f"a clip differs by {distance:.1e} between alone and in a batch")


@rule("decoder")
@torch.no_grad()
def masked_frames(subject: Subject) -> None:
    """Audio of masked frames after the end changes no frame of the clip."""
    decoder, speech = _decoder(subject), SpeechSample.of(subject.sizes[0])
    speech.mask[1, 21:] = False
    changed = torch.where(speech.mask[..., None], speech.audio, speech.audio + 3)
    before = _speak(decoder, speech).expression
    after = _speak(decoder, attrs.evolve(speech, audio=changed)).expression
    distance = off(after[speech.mask], before[speech.mask])
    require(distance <= _CLOSE, f"changed audio of masked frames changes frames of the clip by {distance:.1e}")


@rule("decoder")
@torch.no_grad()
def padding(subject: Subject) -> None:
    """Any number of masked frames at the end changes no frame of the clip."""
    decoder, speech = _decoder(subject), SpeechSample.of(subject.sizes[0])
    before = _speak(decoder, speech).expression
    frames = before.shape[1]
    for more in (1, 60):
        audio = nn.functional.pad(speech.audio, (0, 0, 0, more))
        padded = SpeechSample(audio, speech.style, nn.functional.pad(speech.mask, (0, more), value=False))
        distance = off(_speak(decoder, padded).expression[:, :frames], before)
        require(distance <= _CLOSE, f"padding {frames} frames by {more} changes them by {distance:.1e}")


@rule("decoder")
@torch.no_grad()
def lookahead(subject: Subject) -> None:
    """``lookahead`` is a whole number of frames, and no frame depends on audio further ahead."""
    decoder = _decoder(subject)
    frames = decoder.lookahead
    require(type(frames) is int and frames >= 0, f"lookahead is {frames!r}, expected a whole number of frames")
    beyond = _sees_beyond(decoder, subject.sizes[0])
    require(beyond <= _CLOSE, f"lookahead is {frames}, but audio further ahead changes a frame by {beyond:.1e}")


def _sees_beyond(decoder: Decoder, sizes: Sizes) -> float:
    """Largest change of a frame if all audio beyond the declared look-ahead is replaced."""
    ahead = _lookahead(decoder)
    speech, other = (SpeechSample.of(sizes, frames=ahead + 40, seed=seed) for seed in (0, 1))
    before, most = _speak(decoder, speech).expression, 0.0
    for frame in (0, 1, 13, 30):
        seen = frame + ahead + 1
        audio = torch.cat([speech.audio[:, :seen], other.audio[:, seen:]], 1)
        after = _speak(decoder, attrs.evolve(speech, audio=audio)).expression
        most = max(most, off(after[:, : frame + 1], before[:, : frame + 1]))
    return most


@rule("decoder")
@torch.no_grad()
def chunks_equal_the_whole(subject: Subject) -> None:
    """A clip in chunks of any length, each with future audio and previous state, equals the whole clip to 1e-4."""
    decoder = _decoder(subject)
    ahead = _lookahead(decoder)
    if not _sees_beyond(decoder, subject.sizes[0]) <= _CLOSE:
        not_applicable("see `lookahead`: it depends on audio beyond its look-ahead")
    frames = max(40, 2 * ahead + 10)
    speech = SpeechSample.of(subject.sizes[0], frames=frames)
    whole = _speak(decoder, speech).expression
    for lengths in ([1] * frames, [frames // 2, frames - frames // 2], [7, 1, 2, frames - 10], [frames - 1, 1]):
        parts, before, start = [], None, 0
        for length in lengths:
            stop = start + length
            future = speech.audio[:, stop : stop + ahead]
            output = _speak(decoder, speech.cut(start, stop), before, future if future.shape[1] else None)
            parts.append(output.expression)
            before, start = output.state, stop
        distance = off(torch.cat(parts, 1), whole)
        shown = "single frames" if len(lengths) == frames else f"chunks of {', '.join(map(str, lengths))} frames"
        require(distance <= _CLOSE, f"{shown} differ from the whole by {distance:.1e}")


@rule("decoder")
@torch.no_grad()
def style_used(subject: Subject) -> None:
    """The same audio with a different style gives a different expression."""
    decoder, speech = _decoder(subject), SpeechSample.of(subject.sizes[0])
    other = attrs.evolve(speech, style=SpeechSample.of(subject.sizes[0], seed=1).style)
    one, two = (_speak(decoder, given).expression for given in (speech, other))
    require(not torch.equal(one, two), "two styles give the same expression")


@rule("decoder")
@torch.no_grad()
def audio_used(subject: Subject) -> None:
    """Different audio with the same style gives a different expression."""
    decoder, speech = _decoder(subject), SpeechSample.of(subject.sizes[0])
    other = attrs.evolve(speech, audio=SpeechSample.of(subject.sizes[0], seed=1).audio)
    one, two = (_speak(decoder, given).expression for given in (speech, other))
    require(not torch.equal(one, two), "two sounds give the same expression")


# ------------------------------------------------------------------------------------------- in training


def _target(sizes: Sizes, speech: SpeechSample) -> Tensor:
    (target,) = draws((*speech.mask.shape, sizes.expression), seed=2)
    return target


def _reconstruct(decoder: Decoder, sizes: Sizes, speech: SpeechSample, progress: float) -> Sequence[Tensor]:
    given = speech.audio, speech.style, speech.mask, _target(sizes, speech), progress
    found: Sequence[Tensor] = seeded(lambda: decoder.reconstruct(*given))
    return found


@rule("decoder")
@torch.no_grad()
def reconstruct(subject: Subject) -> None:
    """Predictions are (B, T, E), and at progress 1 the last one equals the output of forward."""
    decoder, sizes = _decoder(subject), subject.sizes[0]
    speech = SpeechSample.of(sizes)
    spoken = _speak(decoder, speech).expression
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
    """start_from() keeps the clips and the names and shapes of its state; the output stays finite."""
    sizes, decoder = subject.sizes[0], subject.make()
    clips = []
    for seed in range(5):
        speech = SpeechSample.of(sizes, batch=1, frames=60, seed=seed)
        speech.mask[0, :seed] = False
        clips.append((speech.audio[0], math.sqrt(0.1) * _target(sizes, speech)[0], speech.mask[0]))
    given = [tuple(tensor.clone() for tensor in clip) for clip in clips]
    before = {name: tensor.shape for name, tensor in decoder.state_dict().items()}
    decoder.start_from(given)
    after = {name: tensor.shape for name, tensor in decoder.state_dict().items()}
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    require(not differing, f"start_from() changes names or shapes in its state: {', '.join(differing)}")
    same = all(torch.equal(a, b) for one, two in zip(clips, given, strict=True) for a, b in zip(one, two, strict=True))
    require(same, "start_from() changed its clips")
    spoken = _speak(decoder.eval(), SpeechSample.of(sizes)).expression
    require(bool(spoken.isfinite().all()), "after start_from(), expression is not finite")


@rule("decoder")
def finite(subject: Subject) -> None:
    """Expression and gradients are finite for features and styles of 0 and of 100 times their scale."""
    sizes, decoder = subject.sizes[0], _decoder(subject)
    plain = SpeechSample.of(sizes)
    for name in ("audio", "style"):
        for scale in (0.0, 100.0):
            decoder.zero_grad(set_to_none=True)
            speech = attrs.evolve(plain, **{name: scale * getattr(plain, name)})
            spoken = _speak(decoder, speech).expression
            if spoken.requires_grad:
                spoken.square().mean().backward()  # type: ignore[no-untyped-call]
            wrong = [] if spoken.isfinite().all() else ["expression"]
            for weight, tensor in decoder.named_parameters():
                if tensor.grad is not None and not tensor.grad.isfinite().all():
                    wrong.append(f"the gradient of {weight}")
            require(not wrong, f"{', '.join(wrong)} not finite if the {name} is {scale:g} times its scale")


@rule("decoder")
def gradients(subject: Subject) -> None:
    """A gradient of the predictions of reconstruct() reaches every parameter."""
    decoder, sizes = _decoder(subject).train(), subject.sizes[0]
    speech = SpeechSample.of(sizes)
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
    same_weights(subject, lambda decoder: [_speak(decoder, speech).expression])
