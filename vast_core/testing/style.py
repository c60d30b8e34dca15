"""The rules of style encoders: what is masked or unheard changes nothing, and prompts are read each for itself."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor, nn

from ..errors import VastError
from ..interfaces import Posterior, Sizes
from .kit import Subject, not_applicable, require, rule
from .probes import draws, elsewhere, off, reached, same_weights, scattered, seeded, without_data

FRAMES = 30
_CLOSE = 1e-4
"""Of the greatest number: two computations that differ by no more are equal."""


@attrs.frozen(eq=False)
class Prompt:
    """What an encoder reads."""

    expression: Tensor
    audio: Tensor
    mask: Tensor
    heard: Tensor

    @classmethod
    def of(cls, sizes: Sizes, batch: int = 3, frames: int = FRAMES, seed: int = 0) -> Prompt:
        """One without gaps, as the rules change it."""
        expression, audio = draws((batch, frames, sizes.expression), (batch, frames, sizes.audio), seed=seed)
        return cls(expression, audio, torch.ones(batch, frames, dtype=torch.bool), torch.ones(batch, dtype=torch.bool))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In the order in which they are given."""
        return self.expression, self.audio, self.mask, self.heard

    def to(self, device: torch.device) -> Prompt:
        """On another device."""
        return Prompt(*(tensor.to(device) for tensor in self.tensors()))


def _with_gaps(sizes: Sizes) -> Prompt:
    """One of three rows: with a gap, without sound, and ending early."""
    prompt = Prompt.of(sizes)
    prompt.mask[0, 5:9] = False
    prompt.heard[1] = False
    prompt.mask[2, 21:] = False
    return prompt


def _encoder(subject: Subject) -> nn.Module:
    encoder: nn.Module = scattered(subject.make())
    return encoder


def _read(encoder: nn.Module, prompt: Prompt) -> Posterior:
    """The encoder's output; NotApplicable where its form is wrong, which the rule ``shapes`` tells."""
    posterior = seeded(lambda: encoder(*prompt.tensors()))
    if not isinstance(posterior, Posterior):
        not_applicable(f"see `shapes`: it gives {type(posterior).__name__}, no Posterior")
    if {len(tensor) for tensor in _tensors(posterior).values()} != {len(prompt.mask)}:
        not_applicable("see `shapes`: its output has another number of rows than its input")
    return posterior


def _tensors(posterior: Posterior) -> dict[str, Tensor]:
    return {"mean": posterior.mean, "log_std": posterior.log_std, "context": posterior.context}


def _hold_equal(found: Posterior, expected: Posterior, what: str) -> None:
    for name, tensor in _tensors(found).items():
        distance = off(tensor, _tensors(expected)[name])
        require(distance <= _CLOSE, f"{what}: {name} differs by {distance:.1e} of its greatest number")


# ------------------------------------------------------------------------------------------- its form


@rule("style")
@torch.no_grad()
def shapes(subject: Subject) -> None:
    """Mean and log_std are (B, Z), context is (B, H), for prompts of any length from one frame on."""
    for sizes in subject.sizes:
        encoder = subject.make(sizes).eval()
        for batch, frames in ((1, 1), (2, 2), (3, 25), (1, 301)):
            given = f"a prompt of {batch} x {frames} frames"
            try:
                posterior = encoder(*Prompt.of(sizes, batch, frames).tensors())
            except Exception as error:  # noqa: BLE001 - it may fail in any way; that is the finding
                require(False, f"{given} in {sizes}: {type(error).__name__}: {error}")
            require(isinstance(posterior, Posterior), f"it gives {type(posterior).__name__}, no Posterior")
            for name, tensor in _tensors(posterior).items():
                wanted = (batch, sizes.context if name == "context" else sizes.style)
                require(tuple(tensor.shape) == wanted, f"{given}: {name} is {tuple(tensor.shape)}, expected {wanted}")


@rule("style")
@torch.no_grad()
def float32(subject: Subject) -> None:
    """What it gives is float32."""
    posterior = _read(_encoder(subject), Prompt.of(subject.sizes[0]))
    wrong = [f"{name} {tensor.dtype}" for name, tensor in _tensors(posterior).items() if tensor.dtype != torch.float32]
    require(not wrong, f"{', '.join(wrong)}, expected torch.float32")


@rule("style")
def autocast(subject: Subject) -> None:
    """Under bfloat16 autocast it works, and what it gives is finite."""
    with torch.autocast("cpu", torch.bfloat16):
        posterior = _read(_encoder(subject), Prompt.of(subject.sizes[0]))
    wrong = [name for name, tensor in _tensors(posterior).items() if not tensor.isfinite().all()]
    require(not wrong, f"{', '.join(wrong)} not finite under bfloat16 autocast")


@rule("style")
def shape_without_data(subject: Subject) -> None:
    """Made and called on torch's meta device, as `vast check` does, it tells the shapes."""
    without_data(subject, lambda encoder, device: _on(subject, encoder, device))


@rule("style")
def moves_to_another_device(subject: Subject) -> None:
    """All that it holds goes along with ``to(device)``: to CUDA where there is one, else to the meta device."""
    elsewhere(subject, lambda encoder, device: _on(subject, encoder, device))


@torch.no_grad()
def _on(subject: Subject, encoder: nn.Module, device: torch.device) -> list[Tensor]:
    return list(_tensors(_read(encoder, Prompt.of(subject.sizes[0]).to(device))).values())


@rule("style")
@torch.no_grad()
def repeatable(subject: Subject) -> None:
    """In eval(), the same prompt gives the same again, bit for bit."""
    encoder, prompt = _encoder(subject), Prompt.of(subject.sizes[0])
    first = _read(encoder, prompt)
    second = encoder(*prompt.tensors())  # in another state of the generator
    same = all(torch.equal(tensor, _tensors(second)[name]) for name, tensor in _tensors(first).items())
    require(same, "the same prompt twice gives different codes in eval()")


@rule("style")
@torch.no_grad()
def inputs_untouched(subject: Subject) -> None:
    """Expression, audio and masks are as they were."""
    encoder, prompt = _encoder(subject), _with_gaps(subject.sizes[0])
    given = [tensor.clone() for tensor in prompt.tensors()]
    encoder(*given)
    names = ("expression", "audio", "mask", "heard")
    changed = [n for n, a, b in zip(names, prompt.tensors(), given, strict=True) if not torch.equal(a, b)]
    require(not changed, f"forward() has written to {', '.join(changed)}")


# ------------------------------------------------------------------------------------------- what counts


@rule("style")
@torch.no_grad()
def batch_independence(subject: Subject) -> None:
    """A prompt is read the same alone and beside others."""
    encoder, prompt = _encoder(subject), _with_gaps(subject.sizes[0])
    together = _read(encoder, prompt)
    for row in range(len(prompt.mask)):
        alone = _read(encoder, Prompt(*(tensor[row : row + 1] for tensor in prompt.tensors())))
        same = Posterior(*(tensor[row : row + 1] for tensor in _tensors(together).values()))
        _hold_equal(alone, same, "a prompt alone and in a batch")


@rule("style")
@torch.no_grad()
def masked_frames(subject: Subject) -> None:
    """What stands in masked frames changes nothing, in a gap as well as at the end."""
    encoder, prompt = _encoder(subject), _with_gaps(subject.sizes[0])
    before = _read(encoder, prompt)
    for name in ("expression", "audio"):
        changed = getattr(prompt, name).clone()
        changed[~prompt.mask] += 3
        after = _read(encoder, attrs.evolve(prompt, **{name: changed}))
        _hold_equal(after, before, f"the {name} of masked frames is changed")


@rule("style")
@torch.no_grad()
def padding(subject: Subject) -> None:
    """Masked frames added at the end change nothing, be they many."""
    encoder, prompt = _encoder(subject), Prompt.of(subject.sizes[0])
    before = _read(encoder, prompt)
    for more in (1, 17, 400):
        expression, audio = (nn.functional.pad(t, (0, 0, 0, more)) for t in (prompt.expression, prompt.audio))
        mask = nn.functional.pad(prompt.mask, (0, more), value=False)
        after = _read(encoder, Prompt(expression, audio, mask, prompt.heard))
        _hold_equal(after, before, f"{FRAMES} frames, and the same padded by {more}")


@rule("style")
@torch.no_grad()
def unheard_sound(subject: Subject) -> None:
    """Where ``heard`` is False, the audio changes nothing."""
    encoder, prompt = _encoder(subject), Prompt.of(subject.sizes[0])
    prompt.heard[:] = False
    after = _read(encoder, attrs.evolve(prompt, audio=prompt.audio + 3))
    _hold_equal(after, _read(encoder, prompt), "a prompt without sound, its audio changed")


@rule("style")
@torch.no_grad()
def expression_used(subject: Subject) -> None:
    """The code depends on how the face moves, with sound and without."""
    encoder, prompt = _encoder(subject), Prompt.of(subject.sizes[0])
    other = attrs.evolve(prompt, expression=Prompt.of(subject.sizes[0], seed=1).expression)
    for heard in (True, False):
        prompt.heard[:] = heard
        one, two = _read(encoder, prompt), _read(encoder, other)
        sound = "with" if heard else "without"
        require(not torch.equal(one.mean, two.mean), f"two faces, {sound} sound, have the same mean")


@rule("style")
def empty_prompt(subject: Subject) -> None:
    """A prompt of which no frame is valid is refused by an error that explains, or gives finite numbers."""
    encoder, prompt = _encoder(subject), Prompt.of(subject.sizes[0])
    prompt.mask[1] = False
    try:
        posterior = _read(encoder, prompt)
    except (VastError, ValueError):
        return
    wrong = [name for name, tensor in _tensors(posterior).items() if not tensor.isfinite().all()]
    require(not wrong, f"{', '.join(wrong)} not finite where no frame of a prompt is valid; raise InputError")


# ------------------------------------------------------------------------------------------- in training


@rule("style")
def finite(subject: Subject) -> None:
    """Posterior and gradients are finite for a still face, a wild one, silence, and a single frame."""
    sizes, encoder = subject.sizes[0], _encoder(subject)
    plain, short = Prompt.of(sizes), Prompt.of(sizes, frames=1)
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
    """A gradient reaches every parameter, from prompts with and without sound."""
    encoder = _encoder(subject).train()
    reached(encoder, _loss(_read(encoder, _with_gaps(subject.sizes[0]))))


def _loss(posterior: Posterior) -> Tensor:
    return sum((tensor.square().sum() for tensor in _tensors(posterior).values()), torch.zeros(()))


@rule("style")
@torch.no_grad()
def weights_tell_all(subject: Subject) -> None:
    """Two with the same weights give the same: nothing that matters is kept elsewhere."""
    prompt = _with_gaps(subject.sizes[0])
    same_weights(subject, lambda encoder: list(_tensors(_read(encoder, prompt)).values()))
