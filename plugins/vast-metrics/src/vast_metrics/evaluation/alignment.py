"""One crop for both videos of a pair: its position in each, and its extraction in a single resampling."""

from __future__ import annotations

from typing import Literal, Self

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from vast_core.mesh import Crop, Image

Doubles = NDArray[np.float64]
Size = tuple[int, int]
"""(Y, X)."""


def similarity(source: NDArray[np.floating], target: NDArray[np.floating]) -> Doubles:
    """The matrix (2, 3) of s R x + t that minimises the sum of |s R x + t - y|^2, for points (N, 2) (Umeyama 1991).

    In the plane this is a linear map of complex numbers: y = a x + b, with a = s e^(i angle).
    """
    x, y = (points[:, 0] + 1j * points[:, 1] for points in (source.astype(float), target.astype(float)))
    x_mean, y_mean = x.mean(), y.mean()
    a = np.vdot(x - x_mean, y - y_mean) / np.vdot(x - x_mean, x - x_mean)
    b = y_mean - a * x_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def rescaling(size: Size, onto: Size) -> Doubles:
    """The matrix (2, 3) that scales pictures of one ``size`` to another; pixel centres are at integers."""
    down, across = onto[0] / size[0], onto[1] / size[1]
    return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5]])


@attrs.frozen(eq=False)
class View:
    """The mapping from one video's pixels to the crop."""

    matrix: Doubles
    """(2, 3), from the video's pixels to the crop's."""
    size: int
    """Height and width of the crop in pixels."""

    @classmethod
    def of(cls, crop: Crop) -> Self:
        """The view of the reference itself."""
        origin = crop.vertices(np.zeros(3, np.float32))
        return cls(np.array([[crop.scale, 0, origin[0]], [0, crop.scale, origin[1]]]), crop.size)

    def after(self, matrix: Doubles) -> View:
        """The view of a video that ``matrix`` (2, 3) maps onto this one."""
        return View(_composed(self.matrix, matrix), self.size)

    @property
    def scale(self) -> float:
        """Crop pixels per pixel of the video."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def cut(self, frame: Image) -> Image:
        """The crop (size, size, 3) of a frame (Y, X, 3); pixels outside repeat the border."""
        matrix, scale = self.matrix, self.scale
        if scale < 0.5:  # warpAffine does not average: reduce first
            y, x = frame.shape[:2]
            smaller = (max(1, round(y * 2 * scale)), max(1, round(x * 2 * scale)))
            matrix = _composed(matrix, rescaling(smaller, (y, x)))
            frame = np.asarray(cv2.resize(frame, smaller[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        flags = cv2.INTER_LINEAR if scale < 1 else cv2.INTER_CUBIC
        size = (self.size, self.size)
        return np.asarray(cv2.warpAffine(frame, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    def vertices(self, vertices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vertices (..., 3) from the video's pixels to the crop's."""
        flat = vertices[..., :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        return np.concatenate([flat, vertices[..., 2:] * self.scale], axis=-1).astype(np.float32)

    def pose(self, pose: NDArray[np.float32]) -> NDArray[np.float32]:
        """Poses (T, 3, 4) from canonical to the video's pixels, converted to the crop's pixels."""
        linear = np.zeros((3, 3))
        linear[:2, :2], linear[2, 2] = self.matrix[:, :2], self.scale
        moved = linear @ pose.astype(np.float64)
        moved[:, :2, 3] += self.matrix[:, 2]
        return moved.astype(np.float32)

    def outside(self, size: Size) -> float:
        """The share of the crop outside a video's frames (Y, X)."""
        whole = np.full(size, 255, np.uint8)
        inside = cv2.warpAffine(whole, self.matrix, (self.size, self.size), flags=cv2.INTER_NEAREST)
        return float((inside == 0).mean())


def _composed(after: Doubles, before: Doubles) -> Doubles:
    return np.column_stack([after[:, :2] @ before[:, :2], after[:, :2] @ before[:, 2] + after[:, 2]])


How = Literal["as it is", "rescaled", "fitted"]


@attrs.frozen(kw_only=True, eq=False)
class Alignment:
    """The mapping of a generated video onto its reference."""

    view: View
    how: How
    note: str

    @classmethod
    def fit(
        cls,
        reference: View,
        source: NDArray[np.floating],
        target: NDArray[np.floating],
        sizes: tuple[Size, Size],
        near: float,
    ) -> Self:
        """Find it from points (T, N, 2) of the generated and the reference face, over all frames.

        If the frames have the same size, or the same shape, and the fitted similarity transform moves no corner of the
        crop by more than ``near`` crop pixels compared with that, the difference is attributed to tracker noise: frames
        are unchanged, or rescaled as a whole.
        """
        fitted = reference.after(similarity(source.reshape(-1, 2), target.reshape(-1, 2)))
        size, onto = sizes
        plain = reference.after(rescaling(size, onto))
        apart = _apart(fitted, plain)
        if size == onto and apart <= near:
            return cls(
                view=reference, how="as it is", note=f"aligned with its reference ({apart:.2f} px): not resampled"
            )
        if abs(size[0] * onto[1] / (size[1] * onto[0]) - 1) < 0.02 and size != onto and apart <= near:
            note = f"of another size, {size[1]} x {size[0]} for {onto[1]} x {onto[0]}: rescaled"
            return cls(view=plain, how="rescaled", note=note)
        scale = fitted.scale / reference.scale
        turn = float(np.degrees(np.arctan2(fitted.matrix[1, 0], fitted.matrix[0, 0])))
        return cls(
            view=fitted,
            how="fitted",
            note=f"fitted to its reference: scaled by {scale:.3f}, rotated by {turn:+.1f} degrees; "
            f"otherwise up to {apart:.1f} px of the crop apart",
        )


def _apart(one: View, other: View) -> float:
    """Largest distance, in pixels of the crop, between what two views show at its corners."""
    end = one.size - 1.0
    corners = np.array([[0, 0], [end, 0], [0, end], [end, end]])
    inverse = cv2.invertAffineTransform(other.matrix)
    there = corners @ inverse[:, :2].T + inverse[:, 2]
    return float(np.linalg.norm(there @ one.matrix[:, :2].T + one.matrix[:, 2] - corners, axis=1).max())
