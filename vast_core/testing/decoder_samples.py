"""Inputs of decoders for their rules."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor, nn

from ..interfaces import Decoder, DecoderOutput, Sizes, State
from .kit import Subject, not_applicable
from .probes import draws, scattered, seeded

MOST_NOISE = 256
"""The most random numbers per frame that the kit provides."""


@attrs.frozen(eq=False)
class SpeechSample:
    """Inputs of a decoder."""

    audio: Tensor
    style: Tensor
    mask: Tensor
    noise: Tensor
    """(B, T, MOST_NOISE); a stochastic decoder is given its first N columns."""

    @classmethod
    def of(cls, sizes: Sizes, batch: int = 2, frames: int = 40, seed: int = 0) -> SpeechSample:
        """Speech without padding; rules modify it."""
        audio, style = draws((batch, frames, sizes.audio), (batch, sizes.style), seed=seed)
        (noise,) = draws((batch, frames, MOST_NOISE), seed=seed + 100)
        return cls(audio, style, torch.ones(batch, frames, dtype=torch.bool), noise)

    def cut(self, start: int, stop: int, ahead: int = 0) -> SpeechSample:
        """Frames ``start`` to ``stop``; the noise covers ``ahead`` frames more."""
        noise = self.noise[:, start : stop + ahead]
        return SpeechSample(self.audio[:, start:stop], self.style, self.mask[:, start:stop], noise)

    def rows(self, start: int, stop: int) -> SpeechSample:
        """Rows ``start`` to ``stop`` of the batch."""
        return SpeechSample(*(getattr(self, field.name)[start:stop] for field in attrs.fields(SpeechSample)))

    def padded(self, more: int) -> SpeechSample:
        """With masked frames at the end."""
        audio, noise = (nn.functional.pad(rows, (0, 0, 0, more)) for rows in (self.audio, self.noise))
        return SpeechSample(audio, self.style, nn.functional.pad(self.mask, (0, more), value=False), noise)

    def to(self, device: torch.device) -> SpeechSample:
        """On another device."""
        return SpeechSample(*(getattr(self, field.name).to(device) for field in attrs.fields(SpeechSample)))


def made_decoder(subject: Subject) -> Decoder:
    """A decoder whose weights were moved from their initial values."""
    decoder: Decoder = scattered(subject.make())
    return decoder


def speak(
    decoder: Decoder, speech: SpeechSample, state: State | None = None, future: Tensor | None = None
) -> DecoderOutput:
    """The decoder's output; NotApplicable if its form is wrong, which the rule ``shapes`` reports."""
    output = seeded(lambda: called(decoder, speech, state, future))
    if not isinstance(output, DecoderOutput):
        not_applicable(f"see `shapes`: it gives {type(output).__name__}, not DecoderOutput")
    if output.expression.shape[:2] != speech.mask.shape:
        not_applicable("see `shapes`: its expression and the audio differ in rows or frames")
    return output


def called(
    decoder: Decoder, speech: SpeechSample, state: State | None = None, future: Tensor | None = None
) -> DecoderOutput:
    """The decoder's output, unchecked."""
    width = decoder.noise
    drawn = type(width) is int and 0 < width <= MOST_NOISE
    given = {"noise": speech.noise[..., :width].clone()} if drawn else {}
    output: DecoderOutput = decoder(speech.audio, speech.style, speech.mask, state, future, **given)
    return output


def lookahead_of(decoder: Decoder) -> int:
    """Its look-ahead; NotApplicable if it is not a whole number, which the rule ``lookahead`` reports."""
    frames = getattr(decoder, "lookahead", None)
    return (
        frames if type(frames) is int and frames >= 0 else not_applicable("see `lookahead`: it is not a whole number")
    )
