"""Whether the face is the same person's, by a network for face recognition: CSIM."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.errors import NotComputed
from vast_core.interfaces import Measure, Metric, Performance, place
from vast_core.mesh import canonical_face

from .. import pairs
from ..config import CSIMConfig
from ..evaluation.alignment import similarity
from .brought import Brought, ByNetwork, Singles, cosine, standardised

SIDE = 112
FACE = Brought(
    what="a network for face recognition of ArcFace's kind (insightface's w600k_r50.onnx: non-commercial)",
    file="arcface.onnx",
    axes=(None, 3, SIDE, SIDE),
    says=f"input (N, 3, {SIDE}, {SIDE}), RGB from -1 to 1, aligned by ArcFace's five points; output (N, D)",
)
POINTS = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""Where ArcFace has the eyes, the tip of the nose and the corners of the mouth, in pixels."""
NOSE, MOUTH = 1, (61, 291)
BATCH = 16


class CSIM(ByNetwork, Metric):
    """Cosine similarity of the identity in the drawn frames and the real ones, mean over every ``every``-th frame.

    csim = mean over t of e(x_t) . e(y_t) / (|e(x_t)| |e(y_t)|)

    with e the embedding of a network that the user brings, of the face aligned by five points. Values of two networks
    cannot be compared.

    References: J. Deng et al., ArcFace: Additive Angular Margin Loss for Deep Face Recognition, 2019.
    """

    config: CSIMConfig
    brought = FACE
    measures = (Measure(name="csim", better="higher"),)

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """CSIM of frames (T, 3, Y, X) in [0, 1]; 1 for an identical pair."""
        pairs.frames(prediction, reference, "csim")
        network = self.network
        rows = [network.each(self._faces(side, reference), BATCH) for side in (prediction, reference)]
        return {"csim": cosine(*rows)}

    def _faces(self, performance: Performance, reference: Performance) -> Singles:
        points = five_points(performance, reference)
        frames = pairs.present(performance.frames, "csim", "side", "frames")
        faces = [
            cv2.warpAffine(
                frame.permute(1, 2, 0).cpu().numpy(), similarity(at, POINTS), (SIDE, SIDE), flags=cv2.INTER_LINEAR
            ).transpose(2, 0, 1)
            for frame, at in zip(frames[:: self.config.every], points[:: self.config.every], strict=True)
        ]
        return standardised(np.stack(faces), [0.5], [0.5])


def five_points(performance: Performance, reference: Performance) -> NDArray[np.float64]:
    """Eyes, tip of the nose and corners of the mouth (T, 5, 2) in the frames.

    An unknown pose is the reference's: an avatar is drawn with the pose of its footage.
    Raises NotComputed if vertices or poses are not known, or the mesh is not the canonical one.
    """
    pose = performance.pose if performance.pose is not None else reference.pose
    vertices, face = performance.vertices, canonical_face()
    if vertices is None or pose is None:
        raise NotComputed("the face's place in the frames is not known")
    if vertices.shape[1] != len(face.vertices) or performance.face.template is not None:
        raise NotComputed("the network needs five points of the canonical face, and this face has another mesh")
    shown = place(vertices.detach().cpu().double(), pose.detach().cpu().double())[..., :2]
    eyes = [shown[:, ring.tolist()].mean(1) for ring in (face.eye_right, face.eye_left)]
    points = torch.stack([*eyes, *(shown[:, index] for index in (NOSE, *MOUTH))], 1)
    return np.asarray(points.numpy())
