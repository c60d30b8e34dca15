"""The avatar's own frame, warped, with a mouth that a network paints from remembered mouths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from vast_core.interfaces import CloseUp, Objective, Renderer, RendererBatch, RendererOutput, Scene, Sizes, State
from vast_core.mesh import paste_close_up
from vast_core.processes import everywhere

from .config import OwnFrameConfig
from .discriminator import Discriminators, feature_distance, least_squares, set_trainable
from .painter import Painter


def close_up_of(scene: Scene) -> CloseUp:
    """The close-up of a scene. Raises ValueError if it has none."""
    if scene.close_up is None:
        raise ValueError("the scene has no close-up, which this renderer draws on; give it one")
    return scene.close_up


def shown(scene: Scene, picture: Tensor) -> RendererOutput:
    """The output for a close-up (B, T, 3, Y, X), which is pasted into the own frame if the scene has one."""
    close_up = close_up_of(scene)
    if scene.own is None:
        return RendererOutput(picture, {}, picture)
    frames = paste_close_up(scene.own, picture, close_up.region, close_up.place)
    return RendererOutput(frames.clamp(0, 1), {}, picture)


class OwnFrame(Renderer):
    """Draws only what a warp of the moment's own frame cannot know: the mouth.

    ``close_up = own + region (painted - own)``: what is beyond the lips' surroundings stays the footage's. Trained on
    frames whose own frame is another one of the same clip, near in pose and far in time, as it will be when the avatar
    speaks. It has no state: each frame is drawn independently. Our choice, for real footage.
    """

    draws_close_up: ClassVar[bool] = True

    def __init__(self, config: OwnFrameConfig, audio: int) -> None:
        super().__init__()
        self.config = config
        self.painter = Painter(audio=audio, width=config.width, remembered=config.remembered)
        self.discriminators: Discriminators | None = None
        if config.adversarial or config.feature_matching:
            self.discriminators = Discriminators(
                condition=2, width=config.discriminator_width, scales=config.discriminator_scales
            )

    @classmethod
    def from_config(cls, config: OwnFrameConfig, sizes: Sizes) -> Self:
        """Build for the width of the pipeline's audio features."""
        return cls(config, audio=sizes.audio)

    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene of any length, and their close-ups."""
        return shown(scene, self._draw(close_up_of(scene), scene.audio).clamp(0, 1))

    def training_objectives(self, batch: RendererBatch, progress: float) -> Iterator[Objective]:
        """The discriminators' objective, then the painter's; before ``adversarial_start`` only the latter."""
        config, real = self.config, batch.close_up
        close_up = close_up_of(batch.scene)
        if real is None:
            raise ValueError("the batch has no close-up to learn from")
        drawn = self._draw(close_up, batch.scene.audio)
        critics = self.discriminators if progress >= config.adversarial_start else None
        condition, region = torch.cat([close_up.opening, close_up.lips], dim=2), close_up.region

        if critics is not None:
            judges = list(critics.parameters())
            true = least_squares(critics(real, condition), region, 1.0)
            fake = least_squares(critics(drawn.detach(), condition), region, 0.0)
            terms = {"real": true.detach(), "fake": fake.detach()}
            yield Objective("discriminator", 0.5 * (true + fake), judges, terms)

        weight = region * (1 + config.opening * close_up.opening + config.lips * close_up.lips)
        l1 = _mean((drawn - real).abs(), weight)
        detail = sum(_mean(_step(drawn - real, axis).abs(), weight) for axis in (-1, -2))
        sharpness = _mean((_strength(drawn) - _strength(real)).abs(), weight)
        loss = config.l1 * l1 + config.detail * detail + config.sharpness * sharpness
        terms = {"l1": l1.detach(), "detail": torch.as_tensor(detail).detach(), "sharpness": sharpness.detach()}
        if critics is not None:
            # The discriminators have just been updated. They score again, without gradients to their weights.
            set_trainable(judges, False)
            try:
                with torch.no_grad():
                    reference = critics(real, condition)
                views = critics(drawn, condition)
            finally:
                set_trainable(judges, True)
            adversarial = least_squares(views, region, 1.0)
            matching = feature_distance(views, reference, region)
            loss = loss + config.adversarial * adversarial + config.feature_matching * matching
            terms |= {"adversarial": adversarial.detach(), "feature_matching": matching.detach()}
        yield Objective("painter", loss, list(self.painter.parameters()), terms)

    def _draw(self, close_up: CloseUp, audio: Tensor) -> Tensor:
        """Close-ups (B, T, 3, Y, X), not clamped, so that values beyond black and white also have a gradient."""
        painted: Tensor = self.painter(close_up, audio)
        return close_up.own + close_up.region * (painted - close_up.own)


def _step(picture: Tensor, axis: int) -> Tensor:
    """Differences between neighbours along an axis, of the same shape."""
    return picture - picture.roll(1, axis)


def _strength(picture: Tensor) -> Tensor:
    """How strong fine detail is around each pixel: the deviation of the Laplacian, (B, T, 3, Y, X).

    Two pictures may differ in where an edge is and still be equally sharp; a mean of them is not.
    """
    flat = picture.flatten(0, 1)
    near = F.avg_pool2d(flat, 3, stride=1, padding=1, count_include_pad=False)
    energy = F.avg_pool2d((9 * (flat - near)).square(), 7, stride=1, padding=3, count_include_pad=False)
    return (energy + 1e-4).sqrt().view_as(picture)


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of (B, T, 3, Y, X) by weights (B, T, 1, Y, X)."""
    return everywhere((error * weight).sum()) / everywhere(3 * weight.sum()).clamp(min=1e-6)
