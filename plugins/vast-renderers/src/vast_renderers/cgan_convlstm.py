"""The paper's renderer: a conditional GAN around an encoder, a conv-LSTM and a decoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import torch
from torch import Tensor

from vast_core.interfaces import Objective, Renderer, RendererBatch, RendererOutput, Scene, Sizes, State
from vast_core.processes import everywhere

from .compositing import composite, feather
from .config import CganConvLstmConfig
from .discriminator import Discriminators, feature_distance, least_squares, set_trainable
from .generator import Generator


class CganConvLstm(Renderer):
    """Draws one avatar from its eroded background, its mesh and its audio features.

    ``frame = base + alpha (inside - base)``, where ``base`` is the mesh drawn over the background, ``alpha`` the hole
    with its border softened inward, and ``inside`` the network's picture, or ``base`` plus the network's residual.
    Outside the hole a frame therefore equals its background.

    The network, its input images, and the conditional GAN follow the paper; texture, skips, residual and pixel
    shuffle are our options, and the discriminators and loss weights are our choice.

    References:
        L. Chen et al., "VAST: Vivify Your Talking Avatar via Zero-Shot Expressive Facial Style Transfer",
        ICCV Workshops 2023, supplementary, section 2.
    """

    def __init__(self, config: CganConvLstmConfig, audio: int) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(
            images=9 if config.texture else 6,
            audio=audio,
            width=config.width,
            skips=config.skips,
            shuffle=config.upsampling == "shuffle",
        )
        self.discriminators: Discriminators | None = None
        if config.adversarial or config.feature_matching:
            self.discriminators = Discriminators(
                condition=6 if config.texture else 3,
                width=config.discriminator_width,
                scales=config.discriminator_scales,
            )

    @classmethod
    def from_config(cls, config: CganConvLstmConfig, sizes: Sizes) -> Self:
        """Build for the width of the pipeline's audio features."""
        return cls(config, audio=sizes.audio)

    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene of any length; raises ValueError if the shape of a tensor does not match the
        configuration."""
        frames, state = self._draw(scene, state)
        return RendererOutput(frames.clamp(0, 1), state)

    def training_objectives(self, batch: RendererBatch, progress: float) -> Iterator[Objective]:
        """The discriminators' objective, then the generator's; before ``adversarial_start`` only the latter.

        The adversarial loss covers only the face. Outside the hole nothing differs, and in the ring between mesh and
        background, where the content is least certain, an adversarial loss causes artefacts in a short training.
        """
        config, scene = self.config, batch.scene
        drawn, _ = self._draw(scene, None)
        critics = self.discriminators if progress >= config.adversarial_start else None
        condition = self._condition(scene)

        if critics is not None:
            judges = list(critics.parameters())
            real = least_squares(critics(batch.frames, condition), batch.face, 1.0)
            fake = least_squares(critics(drawn.detach(), condition), batch.face, 0.0)
            terms = {"real": real.detach(), "fake": fake.detach()}
            yield Objective("discriminator", 0.5 * (real + fake), judges, terms)

        l1 = self._l1(drawn, batch)
        loss = config.l1 * l1
        terms = {"l1": l1.detach()}
        if critics is not None:
            # The discriminators have just been updated. They score again, without gradients to their weights.
            set_trainable(judges, False)
            try:
                with torch.no_grad():
                    reference = critics(batch.frames, condition)
                views = critics(drawn, condition)
            finally:
                set_trainable(judges, True)
            adversarial = least_squares(views, batch.face, 1.0)
            matching = feature_distance(views, reference, batch.face)
            loss = loss + config.adversarial * adversarial + config.feature_matching * matching
            terms |= {"adversarial": adversarial.detach(), "feature_matching": matching.detach()}
        yield Objective("generator", loss, list(self.generator.parameters()), terms)

    def _draw(self, scene: Scene, state: State | None) -> tuple[Tensor, State]:
        """Frames (B, T, 3, Y, X), not clamped, so that values beyond black and white also have a gradient."""
        self._check(scene)
        images = [scene.background, scene.mesh] + ([scene.texture] if self.config.texture else [])
        carried = None if state is None else (state["hidden"], state["cell"])
        predicted, (hidden, cell) = self.generator(torch.cat(images, dim=2), scene.audio, carried)
        base = composite(scene, texture=self.config.texture)
        change = predicted if self.config.residual else predicted.sigmoid() - base
        radius = max(1, self.config.size // 64)
        alpha = feather(scene.hole.flatten(0, 1), radius).reshape(scene.hole.shape)
        return base + alpha * change, {"hidden": hidden, "cell": cell}

    def _condition(self, scene: Scene) -> Tensor:
        """Condition of the discriminators for each frame (B, T, 3 or 6, Y, X)."""
        return torch.cat([scene.mesh, scene.texture], dim=2) if self.config.texture else scene.mesh

    def _l1(self, drawn: Tensor, batch: RendererBatch) -> Tensor:
        """Weighted mean absolute error (): weight 1 in the hole, more over the face, most over mouth and eyes."""
        config = self.config
        counts = 1 + config.face * batch.face + config.mouth * batch.mouth + config.eyes * batch.eyes
        weight = batch.scene.hole * counts
        return everywhere(((drawn - batch.frames).abs() * weight).sum()) / everywhere(3 * weight.sum()).clamp(min=1)

    def _check(self, scene: Scene) -> None:
        size, audio = self.config.size, self.generator.audio[0].in_features
        if scene.background.shape[-2:] != (size, size):
            raise ValueError(
                f"scene.background is {tuple(scene.background.shape)}, but this renderer was built for "
                f"(B, T, 3, {size}, {size}); draw the scene at renderer.size"
            )
        expected = (*scene.background.shape[:2], audio)
        if tuple(scene.audio.shape) != expected:
            raise ValueError(
                f"scene.audio is {tuple(scene.audio.shape)}, but must be {expected}: one row per frame of the {audio} "
                "audio features that this renderer was built for"
            )
