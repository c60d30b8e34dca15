"""Interfaces of the kinds of components, and the axis letters used in all docstrings.

| letter | meaning |
|---|---|
| ``B`` | batch |
| ``T`` | video frames, at the recipe's fps |
| ``S`` | audio samples, at 16 kHz |
| ``A`` | audio features |
| ``E`` | expression coefficients |
| ``Z`` | style code |
| ``H`` | encoder context, seen by the flow |
| ``V`` | mesh vertices |
| ``F`` | mesh triangles |
| ``C`` | image channels |
| ``Y`` | image rows |
| ``X`` | image columns |

Images are float in [0, 1] between components and uint8 on disk. Audio is mono float in [-1, 1].

Vertices are in one of two frames of reference:

* **canonical**: x to the image's right, y up, z toward the viewer; the unit is that of the face's own
  canonical mesh (centimetres for the first-party face);
* **image**: x right, y down, in pixels of the footage, z away from the viewer in the same unit.

A pose (3, 4) maps canonical to image: ``image = pose[:, :3] @ canonical + pose[:, 3]``.

A component is made by ``from_config(config, sizes)``, where ``config`` is an instance of the frozen attrs class that
its plugin declares. A config that fixes a width returns it, without torch, from ``sizes() -> dict[str, int]``, with the
names of :class:`Sizes`; :data:`SIZE_GIVEN_BY` gives the kind of component for each width. So a recipe gives each width
only once.

A component that is an ``nn.Module`` draws its weights from torch's global generator and moves with ``to(device)``;
``vast check`` makes each component on torch's meta device to get its shapes without data. A component does not change
its arguments.
"""

from __future__ import annotations

from .audio import SILENCE_RMS, AudioFeatures, ahead_of, listen, listen_between, sound_around
from .consent import Consent
from .corpus import Clip, Corpus, Footage, Phone
from .decoder import Decoder, DecoderLoss, DecoderOutput, State
from .face import Drawing, Face, FaceDrawer, FaceModel, FaceTrack, FaceTracker, place, unposed
from .flow import Flow, FlowOutput
from .metric import Measure, Metric, Performance, PooledMetric
from .objective import Objective
from .renderer import CloseUp, Renderer, RendererBatch, RendererOutput, Scene
from .sizes import OPTIONAL_SIZES, SAMPLE_RATE, SIZE_GIVEN_BY, Sizes
from .style import Posterior, StyleEncoder

__all__ = [
    "OPTIONAL_SIZES",
    "SAMPLE_RATE",
    "SILENCE_RMS",
    "SIZE_GIVEN_BY",
    "AudioFeatures",
    "Clip",
    "CloseUp",
    "Consent",
    "Corpus",
    "Decoder",
    "DecoderLoss",
    "DecoderOutput",
    "Drawing",
    "Face",
    "FaceDrawer",
    "FaceModel",
    "FaceTrack",
    "FaceTracker",
    "Flow",
    "FlowOutput",
    "Footage",
    "Measure",
    "Metric",
    "Objective",
    "Performance",
    "Phone",
    "PooledMetric",
    "Posterior",
    "Renderer",
    "RendererBatch",
    "RendererOutput",
    "Scene",
    "Sizes",
    "State",
    "StyleEncoder",
    "ahead_of",
    "listen",
    "listen_between",
    "place",
    "sound_around",
    "unposed",
]
