"""What each distortion does to each measure of pictures, on the synthetic corpus' own.

How a table is read is said in ``conftest.py``. The networks of LPIPS and FID have random weights, and that of FID is
small: what they show is what must move these measures and what must not; how far is another matter. A set has no order,
so FID is blind to which frame or clip is which. What JPEG does to edges, the edges of its blocks make good.
"""

from __future__ import annotations

from itertools import islice

import attrs
import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import alexnet
from torchvision.transforms.functional import gaussian_blur

from vast_core.interfaces import Performance
from vast_corpora.config import SyntheticConfig
from vast_corpora.synthetic import SyntheticCorpus
from vast_metrics.fid import FID

START, FRAMES = 6, 8


@pytest.fixture(scope="module", autouse=True)
def alexnet_file(tmp_path_factory):
    """What ``lpips`` finds by its default."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    tensors = alexnet().features.state_dict()
    save_file({f"features.{name}": tensor for name, tensor in tensors.items()}, folder / "alexnet.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAST_WEIGHTS", str(folder))
        yield


def fid():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 12, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    network = nn.Sequential(*layers)
    return FID(lambda: lambda frames: 100 * network(frames), min_frames=13)


METRICS = ("psnr", "ssim", "lpips", fid, "sharpness")
TABLE = """
measure             | identical | other clip | frames shuffled | 2 frames late | brighter
psnr                | = 100     | < 16       | 20 .. 35        | 20 .. 35      | = 19.83134
ssim                | = 1       | < 0.6      | 0.7 .. 0.97     | 0.7 .. 0.97   | 0.85 .. 0.99
lpips               | = 0       | > 0.05     | > 0.003         | > 0.003       | > 0.003
fid                 | = 0       | = 0        | = 0             | < 0.02        | > 10
sharpness           | =         | .          | .               | .             | =
sharpness_deviation | = 0       | .          | -0.01 .. 0.01   | -0.01 .. 0.01 | = 0

measure             | blurred by 1 px | blurred by 2 px | JPEG
psnr                | 20 .. 35        | 20 .. 35        | 20 .. 35
ssim                | 0.85 .. 0.98    | 0.7 .. 0.9      | 0.7 .. 0.9
lpips               | > 0.003         | > 0.01          | > 0.003
fid                 | > 0.03          | > 0.1           | > 0.03
sharpness           | < 0.2           | < 0.02          | .
sharpness_deviation | < -0.2          | < -0.3          | .
"""


@pytest.fixture(scope="module")
def clips():
    """A sentence by each of two speakers, darkened so that there is light to add; the region is the face's hull."""
    corpus = SyntheticCorpus(SyntheticConfig(styles=4, held_out_styles=0, sentences=1, avatar_seconds=0.0), 25.0)
    chosen = [clip for clip in corpus.clips() if clip.split == "train"][:10:5]
    return [performance(clip) for clip in chosen]


def performance(clip):
    frames = np.stack(list(islice(clip.footage.frames(), START, START + FRAMES)))
    region = np.zeros((FRAMES, *frames.shape[1:3]), np.uint8)
    for image, vertices in zip(region, clip.track.vertices[START : START + FRAMES], strict=True):
        cv2.fillConvexPoly(image, cv2.convexHull(vertices[:, :2].round().astype(np.int32)), 1)
    levels = torch.from_numpy(frames).permute(0, 3, 1, 2).mul(0.85).round()
    return Performance(face=None, fps=25.0, frames=levels / 255, region=torch.from_numpy(region)[:, None].float())


def drawn(change):
    """Distortion: the frames (T, 3, Y, X), changed, rounded to 8 bits."""
    return lambda clip, other: attrs.evolve(clip, frames=change(clip.frames).clamp(0, 1).mul(255).round() / 255)


def jpeg(frames):
    images = frames.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    files = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])[1] for image in images]
    decoded = np.stack([cv2.imdecode(file, cv2.IMREAD_COLOR) for file in files])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2) / 255


DISTORTIONS = {
    "identical": lambda clip, other: clip,
    "other clip": lambda clip, other: attrs.evolve(other, region=None),
    "frames shuffled": drawn(lambda frames: frames[torch.tensor([3, 6, 1, 7, 2, 0, 5, 4])]),
    "2 frames late": drawn(lambda frames: torch.cat([frames[:1], frames[:1], frames[:-2]])),
    "blurred by 1 px": drawn(lambda frames: gaussian_blur(frames, 9, 1.0)),
    "blurred by 2 px": drawn(lambda frames: gaussian_blur(frames, 17, 2.0)),
    "JPEG": drawn(jpeg),
    "brighter": drawn(lambda frames: frames + 26 / 255),
}


def test_the_table_is_whole(complete):
    assert complete


def test_cell(cell, measured):
    cell.check(measured)


def test_more_blur_is_worse(measured):
    names = ["identical", "blurred by 1 px", "blurred by 2 px"]
    none, little, much = (measured(name) for name in names)
    assert none["psnr"] > little["psnr"] > much["psnr"]
    assert none["ssim"] > little["ssim"] > much["ssim"]
    assert none["lpips"] < little["lpips"] < much["lpips"]
    assert none["fid"] < little["fid"] < much["fid"]
    assert none["sharpness"] > little["sharpness"] > much["sharpness"]
