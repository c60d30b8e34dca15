"""The rules of renderers: frames of any scene, the same in chunks as in full, and losses that train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import attrs
import torch
from torch import Tensor

from ..interfaces import Objective, Renderer, RendererBatch, RendererOutput, Scene, State
from .kit import Subject, not_applicable, require, rule
from .probes import scattered
from .renderer_samples import copied, joined, make_batch, mapped, part_of, sample_scene, tensors_of

_CLOSE = 1e-4
"""Tolerance between two frames with values in [0, 1]."""
_PROGRESS = (0.0, 0.5, 1.0)
_STEPS = 8


def _made(subject: Subject) -> Renderer:
    """A renderer with slightly perturbed weights, because initial weights of zero can hide a fault."""
    renderer: Renderer = scattered(subject.make(), strength=0.2)
    return renderer


@torch.no_grad()
def _draw(renderer: Renderer, scene: Scene, state: State | None = None) -> RendererOutput:
    out: RendererOutput = renderer(copied(scene), state)
    return out


def _same(found: Tensor, expected: Tensor, what: str) -> None:
    off = float((found - expected).abs().max())
    require(off <= _CLOSE, f"{what}, by up to {off:.1e}")


# ----------------------------------------------------------------------------------------------- drawing


@rule("renderer")
def as_many_frames(subject: Subject) -> None:
    """Frames are (B, T, 3, Y, X) with Y = X = sizes.image, for batches and scenes of any length, one frame included."""
    renderer, size = _made(subject), subject.sizes[0].image
    for batch, frames in ((1, 1), (2, 1), (2, 3), (1, 9)):
        shape = tuple(_draw(renderer, sample_scene(subject.sizes[0], batch, frames)).frames.shape)
        expected = (batch, frames, 3, size, size)
        require(shape == expected, f"frames are {shape}, expected {expected}")


@rule("renderer")
def close_up(subject: Subject) -> None:
    """One that draws the close-up gives it as well, (B, T, 3, Y, X) in [0, 1]; another gives none."""
    renderer, size = _made(subject), subject.sizes[0].image
    given = _draw(renderer, sample_scene(subject.sizes[0], 2, 3)).close_up
    require(
        (given is not None) == renderer.draws_close_up,
        f"draws_close_up is {renderer.draws_close_up}, but close_up is {'given' if given is not None else 'None'}",
    )
    if given is None:
        not_applicable("it draws the whole face")
    require(
        tuple(given.shape) == (2, 3, 3, size, size), f"close_up is {tuple(given.shape)}, not (2, 3, 3, {size}, {size})"
    )
    require(bool(((given >= 0) & (given <= 1)).all()), "the close-up has values outside [0, 1] or NaN")


@rule("renderer")
def close_up_alone(subject: Subject) -> None:
    """Its close-up is the same where the rest of the scene is not given, as while an avatar speaks."""
    renderer, scene = _made(subject), sample_scene(subject.sizes[0], 2, 3)
    if not renderer.draws_close_up:
        not_applicable("it draws the whole face")
    black = torch.zeros_like(scene.background)
    mask = black[:, :, :1]
    alone = attrs.evolve(scene, own=None, background=black, hole=mask, mesh=black, texture=black, coverage=mask)
    found, expected = (_draw(renderer, given).close_up for given in (alone, scene))
    if found is None or expected is None:
        not_applicable("it gives no close-up")
    _same(found, expected, "its close-up depends on the pictures that show the whole face")


@rule("renderer")
def float32(subject: Subject) -> None:
    """Frames of a float32 scene are float32, under bfloat16 autocast too."""
    renderer, scene = _made(subject), sample_scene(subject.sizes[0])
    plain = _draw(renderer, scene).frames.dtype
    require(plain == torch.float32, f"frames are {plain}, expected torch.float32")
    with torch.autocast("cpu", torch.bfloat16):
        cast = _draw(renderer, scene).frames.dtype
    require(cast == torch.float32, f"under bfloat16 autocast frames are {cast}, expected torch.float32")


@rule("renderer")
def within_black_and_white(subject: Subject) -> None:
    """Frames are in [0, 1], also for black scenes, white scenes and large audio features."""
    renderer, scene = _made(subject), sample_scene(subject.sizes[0], frames=4)
    names = ("background", "hole", "mesh", "texture", "coverage", "reference", "own", "remembered")

    def filled(value: float) -> Scene:
        return mapped(scene, lambda name, tensor: torch.full_like(tensor, value) if name in names else tensor)

    for what, given in {
        "noise": scene,
        "black": filled(0.0),
        "white": filled(1.0),
        "noise with features of 100": attrs.evolve(scene, audio=100 * scene.audio),
    }.items():
        frames = _draw(renderer, given).frames
        bad = int((~((frames >= 0) & (frames <= 1))).sum())
        require(bad == 0, f"a scene of {what}: {bad} of {frames.numel()} values are outside [0, 1] or NaN")


@rule("renderer")
def looks_at_the_mesh(subject: Subject) -> None:
    """A different face with the same background gives different frames."""
    renderer = _made(subject)
    one, other = (sample_scene(subject.sizes[0], seed=seed) for seed in (1, 2))
    changed = ("mesh", "texture", "vertices", "pose", "expression", "own", "close_up")
    face = {name: getattr(other, name) for name in changed}
    ignored = torch.equal(_draw(renderer, attrs.evolve(one, **face)).frames, _draw(renderer, one).frames)
    require(not ignored, "a different face and texture give the same frames")


@rule("renderer")
def repeatable(subject: Subject) -> None:
    """In eval(), two calls with the same scene give the same frames, bit for bit."""
    renderer, scene = _made(subject), sample_scene(subject.sizes[0])
    one, other = (_draw(renderer, scene).frames for _ in range(2))
    require(torch.equal(one, other), "two calls with the same scene, without a state, give different frames")


@rule("renderer")
def leaves_the_scene_alone(subject: Subject) -> None:
    """forward() does not change the given scene or state."""
    renderer, sizes = _made(subject), subject.sizes[0]
    state = _draw(renderer, sample_scene(sizes)).state
    scene, kept = sample_scene(sizes, seed=1), {name: tensor.clone() for name, tensor in state.items()}
    before = {name: tensor.clone() for name, tensor in tensors_of(scene)}
    with torch.no_grad():
        renderer(scene, state)
    changed = [f"scene.{name}" for name, tensor in tensors_of(scene) if not torch.equal(tensor, before[name])]
    changed += [f"state[{name!r}]" for name, tensor in state.items() if not torch.equal(tensor, kept[name])]
    require(not changed, f"forward() changed {', '.join(changed)}")


@rule("renderer")
def batch_independence(subject: Subject) -> None:
    """The frames of a scene are the same alone and in a batch."""
    renderer, sizes = _made(subject), subject.sizes[0]
    both = sample_scene(sizes, batch=2)
    other = sample_scene(sizes, batch=2, seed=1)
    dim = mapped(other, lambda name, value: value if name == "place" else 0.1 * value)
    beside = joined(part_of(both, 0, 1, axis=0), part_of(dim, 1, 2, axis=0))
    alone = _draw(renderer, part_of(both, 0, 1, axis=0)).frames
    _same(_draw(renderer, both).frames[:1], alone, "the frames of a scene differ between alone and in a batch")
    _same(_draw(renderer, beside).frames[:1], alone, "the frames of a scene depend on the other scenes of the batch")


@rule("renderer")
def chunks_equal_the_whole(subject: Subject) -> None:
    """Frames drawn in chunks, each with the state of the previous chunk, equal those of the whole scene."""
    renderer, frames = _made(subject), 7
    scene = sample_scene(subject.sizes[0], batch=2, frames=frames)
    whole = _draw(renderer, scene).frames
    for bounds in ((0, 3, 7), (0, 1, 2, 6, 7), tuple(range(frames + 1))):
        state: State | None = None
        for start, stop in pairwise(bounds):
            out = _draw(renderer, part_of(scene, start, stop), state)
            state = out.state
            _same(
                out.frames,
                whole[:, start:stop],
                f"in chunks that end at {bounds[1:]}, frames {start} to {stop} differ from the whole scene",
            )


@rule("renderer")
def state_of_tensors(subject: Subject) -> None:
    """The state maps names to tensors whose size does not grow with the number of frames."""
    renderer, sizes = _made(subject), subject.sizes[0]
    short, long = (_draw(renderer, sample_scene(sizes, frames=frames)).state for frames in (2, 6))
    require(isinstance(long, Mapping), f"the state is a {type(long).__name__}, not a mapping of tensors")
    wrong = [name for name, value in long.items() if not isinstance(value, Tensor)]
    require(not wrong, f"state {', '.join(map(repr, wrong))}: not a tensor")
    sizes_of = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (short, long)]
    require(
        sizes_of[0] == sizes_of[1], f"the state grows with the frames: {sizes_of[0]} after 2, {sizes_of[1]} after 6"
    )


@rule("renderer")
def moves_to_another_device(subject: Subject) -> None:
    """``to(device)`` moves all its tensors (checked with torch's meta device)."""
    renderer, scene = _made(subject).to("meta"), sample_scene(subject.sizes[0])
    frames = _draw(renderer, mapped(scene, lambda name, tensor: tensor.to("meta"))).frames
    require(frames.is_meta, f"moved to the meta device, it gives frames on {frames.device}")


@rule("renderer")
def shape_without_data(subject: Subject) -> None:
    """Made and called on torch's meta device, as by `vast check`, it gives the shape."""
    subject.make()
    scene = sample_scene(subject.sizes[0])
    with torch.device("meta"):
        renderer = subject.build().eval()
        frames = _draw(renderer, mapped(scene, lambda name, tensor: tensor.to("meta"))).frames
    require(frames.is_meta, f"made on the meta device, it gives frames on {frames.device}")


# ---------------------------------------------------------------------------------------------- training


def _learner(subject: Subject) -> Renderer:
    renderer: Renderer = subject.make().train()
    if not renderer.trainable:
        not_applicable("trainable is False")
    return renderer


def _step(renderer: Renderer, batch: RendererBatch, progress: float = 1.0) -> Iterator[Objective]:
    """The objectives of one step; backward is called on each before the next is yielded, as in the core."""
    for objective in renderer.training_objectives(batch, progress):
        renderer.zero_grad(set_to_none=True)
        if objective.loss.requires_grad:
            objective.loss.backward()  # type: ignore[no-untyped-call]
        yield objective


@rule("renderer")
def trainable_is_declared(subject: Subject) -> None:
    """``trainable`` is True if there are objectives, and False if no parameter needs training."""
    renderer = subject.make()
    if renderer.trainable:
        objective = next(iter(renderer.train().training_objectives(make_batch(subject.sizes[0]), 1.0)), None)
        require(objective is not None, "trainable is True, but training_objectives() yields nothing")
        return
    learning = [name for name, parameter in renderer.named_parameters() if parameter.requires_grad]
    require(not learning, f"trainable is False, but these need training: {', '.join(learning[:4])}")


@rule("renderer")
def losses(subject: Subject) -> None:
    """At progress 0, 0.5 and 1, each objective has a name of its own and a finite loss () that has a gradient."""
    renderer, batch = _learner(subject), make_batch(subject.sizes[0], batch=2)
    for progress in _PROGRESS:
        names: list[str] = []
        for objective in _step(renderer, batch, progress):
            loss, name = objective.loss, f"objective {objective.name!r} at progress {progress}"
            require(objective.name not in names, f"{name}: two objectives of a step have this name")
            names.append(objective.name)
            require(loss.ndim == 0, f"{name}: the loss is {tuple(loss.shape)}, not ()")
            require(loss.requires_grad, f"{name}: the loss does not depend on any parameter")
            require(bool(loss.isfinite()), f"{name}: the loss is {loss.item()}")


@rule("renderer")
def terms(subject: Subject) -> None:
    """The logged terms of an objective are finite detached tensors ()."""
    renderer, batch = _learner(subject), make_batch(subject.sizes[0])
    for objective in _step(renderer, batch):
        for name, value in objective.terms.items():
            where = f"term {name!r} of objective {objective.name!r}"
            require(isinstance(value, Tensor) and value.ndim == 0, f"{where} is {value!r}, not a tensor ()")
            require(bool(value.isfinite()), f"{where} is {value.item()}")
            require(not value.requires_grad, f"{where} keeps the graph: detach it")


@rule("renderer")
def own_parameters(subject: Subject) -> None:
    """An objective's parameters belong to the renderer, occur once, and are in no other objective of the step."""
    renderer, batch = _learner(subject), make_batch(subject.sizes[0])
    named = {id(parameter): name for name, parameter in renderer.named_parameters()}
    owners: dict[int, str] = {}
    for objective in _step(renderer, batch):
        for parameter in objective.parameters:
            require(
                id(parameter) in named, f"objective {objective.name!r}: {tuple(parameter.shape)} is not in parameters()"
            )
            owner = owners.setdefault(id(parameter), objective.name)
            name = named[id(parameter)]
            require(owner == objective.name, f"{name} is in both objectives {owner!r} and {objective.name!r}")
        twice = len(objective.parameters) - len({id(parameter) for parameter in objective.parameters})
        require(twice == 0, f"objective {objective.name!r} lists {twice} parameters twice")


@rule("renderer")
def gradients(subject: Subject) -> None:
    """At progress 1 every trainable parameter has an objective whose gradient reaches it and is finite."""
    renderer, batch = _learner(subject), make_batch(subject.sizes[0], batch=2)
    waiting = {id(p): name for name, p in renderer.named_parameters() if p.requires_grad}
    for objective in _step(renderer, batch):
        for parameter in objective.parameters:
            name = waiting.pop(id(parameter), "a parameter")
            require(parameter.grad is not None, f"the loss of {objective.name!r} does not reach {name}")
            finite = parameter.grad is None or bool(parameter.grad.isfinite().all())
            require(finite, f"the gradient of {objective.name!r} with respect to {name} is not finite")
    require(not waiting, f"no objective trains {', '.join(list(waiting.values())[:4])}")


@rule("renderer")
def own_optimiser(subject: Subject) -> None:
    """If an objective has its own optimiser, that optimises exactly the objective's parameters, each once."""
    renderer, batch = _learner(subject), make_batch(subject.sizes[0])
    brought = False
    for objective in _step(renderer, batch):
        if objective.optimiser is None:
            continue
        brought, optimiser = True, objective.optimiser(list(objective.parameters))
        made = type(optimiser).__name__
        require(
            isinstance(optimiser, torch.optim.Optimizer),
            f"optimiser of {objective.name!r}: a {made}, not an Optimizer",
        )
        stepped = sorted(id(parameter) for group in optimiser.param_groups for parameter in group["params"])
        same = stepped == sorted(map(id, objective.parameters))
        require(same, f"objective {objective.name!r}: its optimiser has other parameters than the objective")
    if not brought:
        not_applicable("no objective has its own optimiser")


@rule("renderer")
def learns(subject: Subject) -> None:
    """A few training steps on one batch reduce the error of the frames."""
    renderer, batch = _learner(subject), make_batch(subject.sizes[0], frames=2)
    inside = batch.scene.hole

    def error() -> float:
        frames = _draw(renderer.eval(), batch.scene).frames
        return float(((frames - batch.frames).abs() * inside).sum() / (3 * inside.sum()))

    before = error()
    optimisers: dict[tuple[str, int], torch.optim.Optimizer] = {}
    for step in range(_STEPS):
        for objective in _step(renderer.train(), batch, step / _STEPS):
            key, parameters = (objective.name, id(objective.parameters[0])), list(objective.parameters)
            if key not in optimisers and objective.optimiser is not None:
                optimisers[key] = objective.optimiser(parameters)
            elif key not in optimisers:
                optimisers[key] = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.5, 0.99))
            optimisers[key].step()
    after = error()
    require(after < before, f"mean error in the hole: {before:.4f} before, {after:.4f} after {_STEPS} steps")
