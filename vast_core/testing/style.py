"""The rules of style encoders: masked frames and unheard audio have no effect, and prompts are independent."""

from __future__ import annotations

from typing import Any

import attrs
import torch
from torch import Tensor, nn

from ..errors import InputError, VastError
from ..interfaces import Posterior, Sizes, StyleEncoder
from .kit import Subject, not_applicable, require, rule
from .probes import device_rules, draws, off, reached, same_weights, scattered, seeded, start_gently

FRAMES = 30
_CLOSE = 1e-4
"""Tolerance between two computations of one result, relative to the largest number, or to 1 if that is larger."""


@attrs.frozen(eq=False)
class PromptSample:
    """Inputs of an encoder."""

    expression: Tensor
    audio: Tensor
    mask: Tensor
    heard: Tensor

    @classmethod
    def of(cls, sizes: Sizes, batch: int = 3, frames: int = FRAMES, seed: int = 0) -> PromptSample:
        """A prompt without gaps; rules modify it."""
        expression, audio = draws((batch, frames, sizes.expression), (batch, frames, sizes.audio), seed=seed)
        return cls(expression, audio, torch.ones(batch, frames, dtype=torch.bool), torch.ones(batch, dtype=torch.bool))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The tensors in the order of the encoder's arguments."""
        return self.expression, self.audio, self.mask, self.heard

    def to(self, device: torch.device) -> PromptSample:
        """The prompt on ``device``."""
        return PromptSample(*(tensor.to(device) for tensor in self.tensors()))


def _with_gaps(sizes: Sizes) -> PromptSample:
    """A prompt of three rows: with a gap, without sound, and with an early end."""
    prompt = PromptSample.of(sizes)
    prompt.mask[0, 5:9] = False
    prompt.heard[1] = False
    prompt.mask[2, 21:] = False
    return prompt


_READS = ("clips", "labels", "both")


def _encoder(subject: Subject) -> StyleEncoder:
    """One that reads clips."""
    encoder: StyleEncoder = scattered(subject.make())
    if encoder.reads == "labels":
        not_applicable("it reads only labels")
    return encoder


def _labels(encoder: StyleEncoder) -> list[str]:
    """Some that it knows."""
    return list(encoder.vocabulary[:3]) or ["happy", "very sad", "neutral"]


def _all(encoder: Any, prompt: PromptSample) -> list[Tensor]:
    """What it makes of what it reads: of a prompt, of labels, or of both."""
    found = [] if encoder.reads == "labels" else list(_tensors(_read(encoder, prompt)).values())
    if encoder.reads in ("labels", "both"):
        found += _tensors(seeded(lambda: encoder.read_labels(_labels(encoder)))).values()
    return found


def _read(encoder: nn.Module, prompt: PromptSample) -> Posterior:
    """The encoder's output; NotApplicable if its form is wrong, which the rule ``shapes`` reports."""
    posterior = seeded(lambda: encoder(*prompt.tensors()))
    if not isinstance(posterior, Posterior):
        not_applicable(f"see `shapes`: it gives {type(posterior).__name__}, not Posterior")
    if {len(tensor) for tensor in _tensors(posterior).values()} != {len(prompt.mask)}:
        not_applicable("see `shapes`: its output and its input differ in the number of rows")
    return posterior


def _tensors(posterior: Posterior) -> dict[str, Tensor]:
    return {"mean": posterior.mean, "log_std": posterior.log_std, "context": posterior.context}


def _hold_equal(found: Posterior, expected: Posterior, what: str) -> None:
    for name, tensor in _tensors(found).items():
        distance = off(tensor, _tensors(expected)[name])
        require(distance <= _CLOSE, f"{what}: {name} differs by {distance:.1e} of its largest number")


# ------------------------------------------------------------------------------------------- its form


@rule("style")
@torch.no_grad()
def shapes(subject: Subject) -> None:
    """Mean and log_std are (B, Z), context is (B, H), for prompts of one frame or more."""
    for sizes in subject.sizes:
        encoder = subject.make(sizes).eval()
        if encoder.reads == "labels":
            not_applicable("it reads only labels")
        for batch, frames in ((1, 1), (2, 2), (3, 25), (1, 301)):
            given = f"a prompt of {batch} x {frames} frames"
            try:
                posterior = encoder(*PromptSample.of(sizes, batch, frames).tensors())
            except Exception as error:  # noqa: BLE001 - it may fail in any way; the failure is the finding
                require(False, f"{given} with {sizes}: {type(error).__name__}: {error}")
            require(isinstance(posterior, Posterior), f"it gives {type(posterior).__name__}, not Posterior")
            for name, tensor in _tensors(posterior).items():
                wanted = (batch, sizes.context if name == "context" else sizes.style)
                require(tuple(tensor.shape) == wanted, f"{given}: {name} is {tuple(tensor.shape)}, expected {wanted}")


@rule("style")
@torch.no_grad()
def float32(subject: Subject) -> None:
    """Mean, log_std and context are float32."""
    posterior = _read(_encoder(subject), PromptSample.of(subject.sizes[0]))
    wrong = [f"{name} {tensor.dtype}" for name, tensor in _tensors(posterior).items() if tensor.dtype != torch.float32]
    require(not wrong, f"{', '.join(wrong)}, expected torch.float32")


@rule("style")
def autocast(subject: Subject) -> None:
    """Under bfloat16 autocast it works, and its output is finite."""
    with torch.autocast("cpu", torch.bfloat16):
        posterior = _read(_encoder(subject), PromptSample.of(subject.sizes[0]))
    wrong = [name for name, tensor in _tensors(posterior).items() if not tensor.isfinite().all()]
    require(not wrong, f"{', '.join(wrong)} not finite under bfloat16 autocast")


@torch.no_grad()
def _on(subject: Subject, encoder: nn.Module, device: torch.device) -> list[Tensor]:
    return _all(encoder, PromptSample.of(subject.sizes[0]).to(device))


device_rules("style", _on)


@rule("style")
@torch.no_grad()
def repeatable(subject: Subject) -> None:
    """In eval(), two calls with the same prompt give the same output, bit for bit."""
    encoder, prompt = _encoder(subject), PromptSample.of(subject.sizes[0])
    first = _read(encoder, prompt)
    second = encoder(*prompt.tensors())  # with another state of the generator
    same = all(torch.equal(tensor, _tensors(second)[name]) for name, tensor in _tensors(first).items())
    require(same, "two calls with the same prompt give different codes in eval()")


@rule("style")
@torch.no_grad()
def inputs_untouched(subject: Subject) -> None:
    """forward() does not change expression, audio or masks."""
    encoder, prompt = _encoder(subject), _with_gaps(subject.sizes[0])
    given = [tensor.clone() for tensor in prompt.tensors()]
    encoder(*given)
    names = ("expression", "audio", "mask", "heard")
    changed = [n for n, a, b in zip(names, prompt.tensors(), given, strict=True) if not torch.equal(a, b)]
    require(not changed, f"forward() changed {', '.join(changed)}")


# ------------------------------------------------------------------------------------------- what counts


@rule("style")
@torch.no_grad()
def batch_independence(subject: Subject) -> None:
    """A prompt has the same output alone and in a batch."""
    encoder, prompt = _encoder(subject), _with_gaps(subject.sizes[0])
    together = _read(encoder, prompt)
    for row in range(len(prompt.mask)):
        alone = _read(encoder, PromptSample(*(tensor[row : row + 1] for tensor in prompt.tensors())))
        same = Posterior(*(tensor[row : row + 1] for tensor in _tensors(together).values()))
        _hold_equal(alone, same, "a prompt differs between alone and in a batch")


@rule("style")
@torch.no_grad()
def masked_frames(subject: Subject) -> None:
    """Values in masked frames have no effect, in a gap or at the end."""
    encoder, prompt = _encoder(subject), _with_gaps(subject.sizes[0])
    before = _read(encoder, prompt)
    for name in ("expression", "audio"):
        changed = getattr(prompt, name).clone()
        changed[~prompt.mask] += 3
        after = _read(encoder, attrs.evolve(prompt, **{name: changed}))
        _hold_equal(after, before, f"after a change of {name} in masked frames")


@rule("style")
@torch.no_grad()
def padding(subject: Subject) -> None:
    """Any number of masked frames at the end has no effect."""
    encoder, prompt = _encoder(subject), PromptSample.of(subject.sizes[0])
    before = _read(encoder, prompt)
    for more in (1, 17, 400):
        expression, audio = (nn.functional.pad(t, (0, 0, 0, more)) for t in (prompt.expression, prompt.audio))
        mask = nn.functional.pad(prompt.mask, (0, more), value=False)
        after = _read(encoder, PromptSample(expression, audio, mask, prompt.heard))
        _hold_equal(after, before, f"after padding {FRAMES} frames by {more}")


@rule("style")
@torch.no_grad()
def unheard_sound(subject: Subject) -> None:
    """If ``heard`` is False, the audio has no effect."""
    encoder, prompt = _encoder(subject), PromptSample.of(subject.sizes[0])
    prompt.heard[:] = False
    after = _read(encoder, attrs.evolve(prompt, audio=prompt.audio + 3))
    _hold_equal(after, _read(encoder, prompt), "after a change of audio in a prompt that is not heard")


@rule("style")
@torch.no_grad()
def expression_used(subject: Subject) -> None:
    """The code depends on the motion of the face, with sound and without."""
    encoder, prompt = _encoder(subject), PromptSample.of(subject.sizes[0])
    other = attrs.evolve(prompt, expression=PromptSample.of(subject.sizes[0], seed=1).expression)
    for heard in (True, False):
        prompt.heard[:] = heard
        one, two = _read(encoder, prompt), _read(encoder, other)
        sound = "with" if heard else "without"
        require(not torch.equal(one.mean, two.mean), f"two different expressions, {sound} sound, have the same mean")


@rule("style")
def empty_prompt(subject: Subject) -> None:
    """A prompt without a valid frame raises an error of vast or a ValueError, or gives finite numbers."""
    encoder, prompt = _encoder(subject), PromptSample.of(subject.sizes[0])
    prompt.mask[1] = False
    try:
        posterior = _read(encoder, prompt)
    except (VastError, ValueError):
        return
    wrong = [name for name, tensor in _tensors(posterior).items() if not tensor.isfinite().all()]
    require(not wrong, f"{', '.join(wrong)} not finite if no frame of a prompt is valid; raise InputError")


# ------------------------------------------------------------------------------------------- labels


def _reader(subject: Subject) -> StyleEncoder:
    """One that reads labels."""
    encoder: StyleEncoder = scattered(subject.make())
    if encoder.reads not in ("labels", "both"):
        not_applicable("it does not read labels")
    return encoder


@rule("style")
@torch.no_grad()
def labels(subject: Subject) -> None:
    """``read_labels`` is deterministic, independent of the batch, and refuses labels outside ``vocabulary``."""
    reads = subject.make().reads
    require(reads in _READS, f"reads is {reads!r}, expected one of {', '.join(_READS)}")
    encoder, sizes = _reader(subject), subject.sizes[0]
    known = _labels(encoder)
    posterior, again = encoder.read_labels(known), encoder.read_labels(known)
    require(isinstance(posterior, Posterior), f"it gives {type(posterior).__name__}, not Posterior")
    for name, tensor in _tensors(posterior).items():
        wanted = (len(known), sizes.context if name == "context" else sizes.style)
        require(tuple(tensor.shape) == wanted, f"{len(known)} labels: {name} is {tuple(tensor.shape)}, not {wanted}")
        require(bool(tensor.isfinite().all()), f"{name} is not finite")
        require(torch.equal(tensor, _tensors(again)[name]), f"two calls with the same labels give different {name}")
    for row, label in enumerate(known):
        same = Posterior(*(tensor[row : row + 1] for tensor in _tensors(posterior).values()))
        _hold_equal(encoder.read_labels([label]), same, f"label {label!r} alone and beside others")
    if encoder.vocabulary:
        try:
            encoder.read_labels(["no such label"])
        except InputError:
            return
        require(False, "a label outside its vocabulary does not raise InputError")


@rule("style")
@torch.no_grad()
def labels_used(subject: Subject) -> None:
    """Two labels give different means."""
    encoder = _reader(subject)
    known = _labels(encoder)
    if len(known) < 2:
        not_applicable("it knows only one label")
    mean = encoder.read_labels(known[:2]).mean
    require(not torch.equal(mean[0], mean[1]), f"{known[0]!r} and {known[1]!r} give the same mean")


# ------------------------------------------------------------------------------------------- in training


@rule("style")
def start_from(subject: Subject) -> None:
    """start_from() keeps the clips and the names and shapes of its state; the posterior stays finite."""
    sizes, encoder = subject.sizes[0], subject.make()
    clips = []
    for seed in range(5):
        prompt = PromptSample.of(sizes, batch=1, frames=150, seed=seed)
        prompt.mask[0, :seed] = False
        clips.append((prompt.audio[0], prompt.expression[0], prompt.mask[0]))
    start_gently(encoder, clips)
    if encoder.reads != "labels":
        posterior = _read(encoder.eval(), PromptSample.of(sizes))
        finite = all(bool(tensor.isfinite().all()) for tensor in _tensors(posterior).values())
        require(finite, "after start_from(), the posterior is not finite")


@rule("style")
def finite(subject: Subject) -> None:
    """Posterior and gradients are finite for still and large motion, zero and large features, and a single frame."""
    sizes, encoder = subject.sizes[0], _encoder(subject)
    plain, short = PromptSample.of(sizes), PromptSample.of(sizes, frames=1)
    still = torch.zeros_like(plain.expression)
    prompts = {
        "a still face": attrs.evolve(plain, expression=still),
        "a still face that is not neutral": attrs.evolve(plain, expression=still + 0.5),
        "a face that moves 100 times as much": attrs.evolve(plain, expression=100 * plain.expression),
        "features of zero": attrs.evolve(plain, audio=torch.zeros_like(plain.audio)),
        "features 100 times as large": attrs.evolve(plain, audio=100 * plain.audio),
        "a single frame": short,
        "a single frame without sound": attrs.evolve(short, heard=~short.heard),
    }
    for what, prompt in prompts.items():
        encoder.zero_grad(set_to_none=True)
        posterior = _read(encoder, prompt)
        values = _tensors(posterior) | {
            "exp(log_std)": posterior.log_std.exp(),
            "exp(-log_std)": (-posterior.log_std).exp(),
        }
        loss = _loss(posterior)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        values |= {f"the gradient of {name}": w.grad for name, w in encoder.named_parameters() if w.grad is not None}
        wrong = [name for name, value in values.items() if not value.isfinite().all()]
        require(not wrong, f"{what}: {', '.join(wrong)} not finite")


@rule("style")
def gradients(subject: Subject) -> None:
    """A gradient reaches every parameter, from prompts with and without sound, and from labels where it reads them."""
    encoder = scattered(subject.make()).train()
    found = _all(encoder, _with_gaps(subject.sizes[0]))
    reached(encoder, sum((tensor.square().sum() for tensor in found), torch.zeros(())))


def _loss(posterior: Posterior) -> Tensor:
    return sum((tensor.square().sum() for tensor in _tensors(posterior).values()), torch.zeros(()))


@rule("style")
@torch.no_grad()
def weights_tell_all(subject: Subject) -> None:
    """Two components with the same weights give the same output: state_dict() is complete."""
    prompt = _with_gaps(subject.sizes[0])
    same_weights(subject, lambda encoder: _all(encoder, prompt))
