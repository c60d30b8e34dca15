"""The Inception network of FID: Google's of 2015, as implemented in TensorFlow."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception

from .perceptual_weights import Released

FEATURES = 2048
SIZE = 299
"""Height and width in pixels of the pictures on which it was trained."""
_CLASSES = 1008
_ADDRESS = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
WEIGHTS = Released(
    what="the Inception network of FID, of 2015-12-05 (Apache-2.0, 96 MB)",
    file="inception-2015-12-05.safetensors",
    weights="from torch.hub import load_state_dict_from_url as get; "
    f"weights = get('{_ADDRESS}', check_hash=True, weights_only=True, map_location='cpu')",
)


class Inception(nn.Module):
    """Features of pictures, as used by torchmetrics' FID: the pooling layer before the classifier."""

    def __init__(self, weights: Path | None = None) -> None:
        """Load the weights; raises the errors of :meth:`vast_metrics.perceptual_weights.Released.load_into`."""
        super().__init__()
        with torch.device("meta"):
            self.network = network()
        # with the classifier: its 1008 classes distinguish this network from torchvision's, which is otherwise equal
        WEIGHTS.load_into(self.network, weights)
        self.network.fc = nn.Identity()

    def forward(self, frames: Tensor) -> Tensor:
        """Features (T, 2048) of frames (T, 3, Y, X) in [0, 1], rounded to 8 bits."""
        levels = (255 * frames).round()
        resized = functional.interpolate(
            levels, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True
        )
        features: Tensor = self.network((resized - 128) / 128)
        return features


def network() -> inception.Inception3:
    """The architecture with its classifier, without trained weights."""
    blocks = [inception.BasicConv2d, _A, inception.InceptionB, _C, inception.InceptionD, _E, inception.InceptionAux]
    made = inception.Inception3(_CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False)
    made.Mixed_7c = _MaxE(FEATURES)
    return made


class _Averaged(nn.Module):
    """A torchvision block whose pooling branch, the last, does not count the padding, as in TensorFlow."""

    branch_pool: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        branches: Tensor = super().forward(x)
        pooled = self.branch_pool(self.pool(x))
        return torch.cat([branches[:, : -pooled.shape[1]], pooled], 1)

    def pool(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)


class _A(_Averaged, inception.InceptionA):  # type: ignore[misc]
    pass


class _C(_Averaged, inception.InceptionC):  # type: ignore[misc]
    pass


class _E(_Averaged, inception.InceptionE):  # type: ignore[misc]
    pass


class _MaxE(_E):
    """The last block uses maximum pooling: a peculiarity of the published network."""

    def pool(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(x, kernel_size=3, stride=1, padding=1)
