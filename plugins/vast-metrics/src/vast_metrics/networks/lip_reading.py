"""Whether a lip reader sees the same in the drawn mouth as in the real one."""

from __future__ import annotations

import cv2
import numpy as np

from vast_core.errors import NotComputed, WeightsError
from vast_core.interfaces import Measure, Metric, Performance

from .. import pairs
from ..config import LipReadingConfig
from .brought import Brought, ByNetwork, Network, Singles, cosine

MEAN, DEVIATION = 0.421, 0.165
"""Of grey mouths in [0, 1], as the lip readers of LRW have them."""
WIDE = 2.0
"""Side of the square around a mouth, in widths of the mouth."""
READER = Brought(
    what="a lip reader (such as those of github.com/mpc001/Lipreading_using_Temporal_Convolutional_Networks: "
    "non-commercial)",
    file="lip_reading.onnx",
    axes=(1, 1, None, None, None),
    says="input (1, 1, T, Y, X), grey mouths with mean .421 and deviation .165 removed, 88 x 88 if Y and X are free; "
    "output (1, T, D) or (1, D)",
)
SIDE = 88


class LipReading(ByNetwork, Metric):
    """Mean cosine similarity of what a lip reader makes of the drawn mouth and of the real one; 1 if it is the same.

    With a reader for a fixed number of frames, the mean over windows that follow each other.

    References: P. Filntisis et al., SPECTRE: Visual Speech-Informed Perceptual 3D Facial Expression Reconstruction from
    Videos, 2023 (as a loss).
    """

    config: LipReadingConfig
    brought = READER
    measures = (Measure(name="lip_reading", better="higher"),)

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The similarity of frames (T, 3, Y, X) in [0, 1].

        Raises NotComputed if it is not known where the mouth is, or the clip is shorter than the reader's window.
        """
        pairs.frames(prediction, reference, "lip_reading")
        network = self.network
        own, real = (self._mouths(side, network) for side in (prediction, reference))
        window = network.shape[2] or len(own)
        if len(own) < window:
            raise NotComputed(f"the clip has {len(own)} frames, but the lip reader needs {window}")
        rows: list[float] = []
        for start in range(0, len(own) - window + 1, window):
            read = [network(side[None, None, start : start + window]) for side in (own, real)]
            if read[0].ndim not in (2, 3):
                raise WeightsError(f"{network.file}: its output is {read[0].shape}, not (1, T, D) or (1, D)")
            rows.append(cosine(*read))
        return {"lip_reading": float(np.mean(rows))}

    def _mouths(self, performance: Performance, network: Network) -> Singles:
        """Grey mouths (T, Y, X), standardised."""
        if performance.mouth is None or performance.frames is None:
            raise NotComputed("it is not known where the mouth is")
        boxes = performance.mouth.detach().cpu().double().numpy()
        y, x = (side or SIDE for side in network.shape[3:])
        side = WIDE * float(np.median(boxes[:, 2]))
        mouths = []
        for frame, (across, down, _, _) in zip(performance.frames, boxes, strict=True):
            grey = cv2.cvtColor(frame.permute(1, 2, 0).cpu().float().numpy(), cv2.COLOR_RGB2GRAY)
            scale = np.array([x / side, y / side])
            matrix = np.array(
                [
                    [scale[0], 0, (x - 1) / 2 - scale[0] * across],
                    [0, scale[1], (y - 1) / 2 - scale[1] * down],
                ]
            )
            mouths.append(cv2.warpAffine(grey, matrix, (x, y), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        return np.asarray((np.stack(mouths) - MEAN) / DEVIATION, np.float32)
