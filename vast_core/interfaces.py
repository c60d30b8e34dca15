"""What each kind of component must do, and the axis letters that every docstring uses.

=======  ==========================================  =======  =====================================
letter   meaning                                     letter   meaning
=======  ==========================================  =======  =====================================
``B``    batch                                       ``H``    encoder context, seen by the flow
``T``    video frames, at the recipe's fps           ``V``    mesh vertices
``S``    audio samples, at 16 kHz                    ``F``    mesh triangles
``A``    audio features                              ``C``    image channels
``E``    expression coefficients                     ``Y``    image rows
``Z``    style code                                  ``X``    image columns
=======  ==========================================  =======  =====================================

Images are float in [0, 1] between components and uint8 on disk. Audio is mono float in [-1, 1].

Two frames of reference hold vertices:

* **canonical**: x to the image's right, y up, z toward the viewer; the unit is that of the face's own
  canonical mesh (centimetres for the first-party face);
* **image**: x right, y down, in pixels of the footage, z away from the viewer in the same unit.

A pose (3, 4) maps the first onto the second: ``image = pose[:, :3] @ canonical + pose[:, 3]``.

A component is made by ``from_config(config, sizes)``, where ``config`` is the frozen attrs class that its
plugin declares. A config that fixes a width says so, without torch, in ``sizes() -> dict[str, int]``, with the
names of :class:`Sizes`; :data:`SIZE_GIVEN_BY` says which kind of component gives which. So no recipe states a width
twice.

A component that is an ``nn.Module`` draws its weights from torch's global generator and moves with ``to(device)``; on
torch's meta device ``vast check`` makes one of each and asks for shapes, without data. Nothing that is given to a
component is written to.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .declarations import Part
from .errors import InputError

SAMPLE_RATE = 16_000
"""Samples a second of every wave between components."""

State = Mapping[str, Tensor]
"""What a decoder or renderer carries from one chunk to the next; opaque to the core."""


SIZE_GIVEN_BY: Mapping[str, Part] = {
    "image": "renderer",
    "audio": "audio",
    "expression": "face",
    "lower_face": "face",
    "vertices": "face",
    "style": "style",
    "context": "style",
}
"""The kind of component whose config gives each width."""


def _width() -> int:
    return attrs.field(default=None)  # type: ignore[no-any-return]


@attrs.frozen(kw_only=True, eq=False, repr=False, slots=False)  # copies of slots read every field, unknown or not
class Sizes:
    """Every width in a pipeline, worked out once from the components' configs.

    A recipe need not have every part: reading a width that none of its parts gives raises
    :class:`vast_core.errors.InputError`.
    """

    fps: float
    """Video frames a second."""
    image: int = _width()
    """Y = X of the renderer's crop, in pixels."""
    audio: int = _width()
    """A."""
    expression: int = _width()
    """E."""
    lower_face: int = _width()
    """How many of the E coefficients, counted from the first, move the lower face."""
    vertices: int = _width()
    """V."""
    style: int = _width()
    """Z."""
    context: int = _width()
    """H."""

    def known(self) -> dict[str, float]:
        """The sizes that are known, by name."""
        sizes = {name: object.__getattribute__(self, name) for name in ("fps", *SIZE_GIVEN_BY)}
        return {name: size for name, size in sizes.items() if size is not None}

    def __repr__(self) -> str:
        return f"Sizes({', '.join(f'{name}={size}' for name, size in self.known().items())})"

    def __eq__(self, other: object) -> bool:
        return self.known() == other.known() if isinstance(other, Sizes) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.known().items()))

    if not TYPE_CHECKING:  # or a misspelt name would pass for a size of any type

        def __getattribute__(self, name: str) -> object:
            found = object.__getattribute__(self, name)
            if found is None and name in SIZE_GIVEN_BY:
                kind = SIZE_GIVEN_BY[name]
                raise InputError(
                    f"the size {name!r} is not known, as the recipe has no part that gives it; "
                    f"a section `{kind}` would (see `vast plugins` for what is installed)"
                )
            return found


# --------------------------------------------------------------------------------------------- corpus


@runtime_checkable
class Footage(Protocol):
    """Moving pictures and sound of one clip, read when asked and as often as asked.

    Every method raises :class:`vast_core.errors.MediaError`, naming file and frame, where the medium is bad.
    """

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (Y, X, 3), RGB, upright, contiguous, at the recipe's fps."""
        ...

    def wave(self) -> NDArray[np.float32] | None:
        """The sound (S,), mono at 16 kHz, starting with the first frame; None where there is none."""
        ...


@attrs.frozen(kw_only=True)
class Phone:
    """One phone of a transcript in time (seconds); ``label`` is an ARPAbet phone or ``SIL``."""

    label: str
    start: float
    end: float


@attrs.frozen(kw_only=True, eq=False)
class FaceTrack:
    """One face through consecutive frames of one shot."""

    vertices: NDArray[np.float32]
    """(T, V, 3), image frame of reference."""
    pose: NDArray[np.float32]
    """(T, 3, 4), canonical to image."""
    valid: NDArray[np.bool_]
    """(T,), False where no face was seen; vertices and pose are interpolated there."""
    start: int = 0
    """Number of the clip's frame at which the track starts (a cut in the footage starts a new track)."""
    notes: tuple[str, ...] = ()
    """What the tracker had to decide, in words for the report."""

    def __len__(self) -> int:
        return len(self.vertices)


@attrs.frozen(kw_only=True, eq=False)
class Clip:
    """One piece of footage of one speaker, with all that its corpus knows of it."""

    name: str
    """Unique in its corpus; printed in messages and reports."""
    speaker: str
    footage: Footage
    digest: str
    """Identifies the content: a changed clip has another digest."""
    split: Literal["train", "held_out"] | None = None
    """None leaves it to the prepare stage, which holds out the end of the clip."""
    style: str | None = None
    transcript: str | None = None
    phones: tuple[Phone, ...] = ()
    factors: Mapping[str, float] = attrs.field(factory=dict)
    """Human-readable factors of the style, where the corpus made it."""
    track: FaceTrack | None = None
    """The true track, where the corpus knows it; else the face component tracks the frames."""
    size: tuple[int, int] | None = None
    """(Y, X) of the frames where known without reading them."""


class Corpus(ABC):
    """Where clips come from."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def clips(self) -> Iterable[Clip]:
        """All clips in a fixed order; cheap (footage is read later, and a bad file raises only then).

        Raises :class:`vast_core.errors.InputError` where there is no clip at all.
        """

    def counterfactual(self, clip: Clip, style: str) -> Clip | None:
        """The same sentence by the same speaker in another style; None where the corpus cannot know it."""
        return None


# ----------------------------------------------------------------------------------------------- face


@attrs.frozen(kw_only=True, eq=False)
class Drawing:
    """A mesh drawn on T images; all uint8."""

    mesh: NDArray[np.uint8]
    """(T, 3, Y, X): smooth-shaded geometry, open at mouth and eyes, black where no triangle is."""
    texture: NDArray[np.uint8]
    """(T, 3, Y, X): the avatar's texture on the mesh, the eyes too; equal to ``mesh`` where none was given."""
    coverage: NDArray[np.uint8]
    """(T, 1, Y, X): 255 where ``texture`` is drawn, never over an open mouth."""


class Face(nn.Module, ABC):
    """Finds a face, takes it apart into identity, pose and expression, and draws it.

    Expression is linear or not in the coefficients, as the component likes; ``decode`` is differentiable. What
    ``fit`` learns is kept in buffers, so that it is saved with the weights.
    """

    triangles: NDArray[np.int64]
    """(F, 3), no filler over mouth and eyes."""
    lips: NDArray[np.int64]
    """Indices of the lip vertices, inner and outer."""
    upper_face: NDArray[np.int64]
    """Indices of brows, lids and forehead."""
    eyes: NDArray[np.int64]
    """Indices of the lids' edges. Blinks are not in the audio: an avatar takes them from its own footage."""
    millimetres: float
    """Millimetres in one canonical unit."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def track(self, frames: Iterable[NDArray[np.uint8]], fps: float) -> list[FaceTrack]:
        """Follow the face through ``frames`` (Y, X, 3); one track a shot, shots without a face left out.

        Where several faces are seen, the largest continuous one is taken, and a note says so.
        Raises :class:`vast_core.errors.InputError` where no frame shows a face, or too few in a row.
        """

    @abstractmethod
    def identity(self, tracks: Sequence[FaceTrack]) -> NDArray[np.float32]:
        """The speaker's neutral face (V, 3), canonical, from all tracks of that speaker."""

    @abstractmethod
    def fit(self, tracks: Sequence[FaceTrack], identities: Sequence[NDArray[np.float32]]) -> None:
        """Learn the expression basis from the corpus; ``identities[i]`` is the neutral face of ``tracks[i]``."""

    @abstractmethod
    def encode(self, track: FaceTrack, identity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Expression (T, E) of a track."""

    @abstractmethod
    def decode(self, expression: Tensor, identity: Tensor) -> Tensor:
        """Canonical vertices (..., V, 3) of expression (..., E) on the neutral face ``identity`` (V, 3)."""

    @abstractmethod
    def lip_opening(self, vertices: Tensor) -> Tensor:
        """Inner-lip opening over the distance of the outer eye corners (...,), of vertices (..., V, 3)."""

    @abstractmethod
    def unwrap(self, frames: Iterable[NDArray[np.uint8]], vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Mean texture (U, U, 3) of frames (T of (Y, X, 3)) whose vertices (T, V, 3) are in their pixels."""

    @abstractmethod
    def draw(self, vertices: NDArray[np.float32], size: int, texture: NDArray[np.uint8] | None = None) -> Drawing:
        """Draw vertices (T, V, 3), in pixels of a ``size`` by ``size`` image."""


def place(vertices: Tensor, pose: Tensor) -> Tensor:
    """Canonical vertices (..., V, 3) to the image by pose (..., 3, 4)."""
    return vertices @ pose[..., :3].transpose(-1, -2) + pose[..., None, :, 3]


# ---------------------------------------------------------------------------------------------- audio


class AudioFeatures(nn.Module, ABC):
    """What is said, one row a video frame."""

    context: float
    """Seconds of sound before and after a frame that its row may depend on (bounds chunked synthesis)."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, wave: Tensor, frames: int) -> Tensor:
        """Features (B, T, A) of ``wave`` (B, S) at 16 kHz; T is ``frames``, row t belongs to t / fps seconds.

        Sound that ends early counts as silence, sound beyond the last frame is ignored.
        """


# ---------------------------------------------------------------------------------------------- style


@attrs.frozen(eq=False)
class Posterior:
    """q(z0 given X, A), a diagonal Gaussian, and the context that the flow sees (VAST, eq. 7)."""

    mean: Tensor
    """(B, Z)."""
    log_std: Tensor
    """(B, Z)."""
    context: Tensor
    """(B, H)."""

    def sample(self, noise: Tensor) -> Tensor:
        """z0 (B, Z) = mean + std * noise, with standard normal ``noise`` (B, Z)."""
        return self.mean + self.log_std.exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """ln q0(z) (B,), in nats."""
        scaled = (z - self.mean) * torch.exp(-self.log_std)
        return -(0.5 * scaled.square() + self.log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


class StyleEncoder(nn.Module, ABC):
    """Reads a speaker's manner out of a prompt clip of any length."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Posterior:
        """q(z0 given X, A) of expression (B, T, E) and audio (B, T, A).

        ``mask`` (B, T) is False on frames to ignore; ``heard`` (B,) is False where the prompt has no sound, and
        its audio is then ignored.
        """


# ----------------------------------------------------------------------------------------------- flow


@attrs.frozen(eq=False)
class FlowOutput:
    """z_K and the sum of ln|det dH_k / dz_(k-1)| over the chain."""

    z: Tensor
    """(B, Z)."""
    log_det: Tensor
    """(B,), nats."""


class Flow(nn.Module, ABC):
    """An invertible map of the style code, given the encoder's context (VAST, eqs. 3-6).

    A flow may offer ``inverse(z, context) -> Tensor``.
    """

    volume_preserving: ClassVar[bool] = False
    """True only where log_det is exactly 0; the closed-form KL then holds if the map is also orthogonal."""
    orthogonal: ClassVar[bool] = False
    """True where z -> z_K is an orthogonal linear map for each context, so that KL(zK) = KL(z0) in closed form."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor) -> FlowOutput:
        """z_K and log_det of z0 (B, Z), given context (B, H)."""


# -------------------------------------------------------------------------------------------- decoder


@attrs.frozen(eq=False)
class DecoderOutput:
    """Expression (B, T, E) and the state for the chunk that follows."""

    expression: Tensor
    state: State


class Decoder(nn.Module, ABC):
    """Audio and style to expression. Chunked equals whole, to 1e-4."""

    lookahead: int = 0
    """Frames of audio after a frame that it depends on."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(
        self,
        audio: Tensor,
        style: Tensor,
        mask: Tensor,
        state: State | None = None,
        future: Tensor | None = None,
    ) -> DecoderOutput:
        """Expression of audio (B, T, A) in style (B, Z).

        ``mask`` (B, T) is False on padding. ``state`` is what the chunk before returned. ``future`` (B, L, A),
        L <= ``lookahead``, is the audio that follows this chunk; None or short at the end of the clip.
        """

    def start_from(self, clips: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Take a start from the training footage, before the first step; by default nothing is taken.

        ``clips`` holds audio (T, A), expression (T, E) and mask (T,), on the CPU, of each training clip.
        """

    def reconstruct(
        self, audio: Tensor, style: Tensor, mask: Tensor, target: Tensor, progress: float
    ) -> Sequence[Tensor]:
        """Predictions (B, T, E) to be scored against ``target`` (B, T, E) in training, the final one last.

        ``progress`` in [0, 1] is the share of training that is done, for teacher forcing that anneals.
        """
        return [self(audio, style, mask).expression]


# ------------------------------------------------------------------------------------------- renderer


@attrs.frozen(kw_only=True, eq=False)
class Scene:
    """What a renderer is given: the avatar's surroundings, its mesh, and what it says."""

    background: Tensor
    """(B, T, 3, Y, X): the footage, with an eroded hole of zeros where the face goes."""
    hole: Tensor
    """(B, T, 1, Y, X): 1 inside that hole."""
    mesh: Tensor
    """(B, T, 3, Y, X)."""
    texture: Tensor
    """(B, T, 3, Y, X): the avatar's mean texture drawn on the mesh."""
    coverage: Tensor
    """(B, T, 1, Y, X): 1 where the textured mesh is drawn."""
    audio: Tensor
    """(B, T, A)."""


@attrs.frozen(kw_only=True, eq=False)
class RendererBatch:
    """A training batch of consecutive frames."""

    scene: Scene
    frames: Tensor
    """(B, T, 3, Y, X): the real ones."""
    face: Tensor
    """(B, T, 1, Y, X): 1 over the face."""
    mouth: Tensor
    """(B, T, 1, Y, X): 1 over the mouth."""
    eyes: Tensor
    """(B, T, 1, Y, X): 1 over the eyes."""


@attrs.frozen(eq=False)
class RendererOutput:
    """Frames (B, T, 3, Y, X) in [0, 1] and the state for the chunk that follows."""

    frames: Tensor
    state: State


@attrs.frozen(eq=False)
class Objective:
    """One loss to minimise over some parameters; a step of training is a sequence of these."""

    name: str
    loss: Tensor
    """()."""
    parameters: Sequence[nn.Parameter]
    terms: Mapping[str, Tensor] = attrs.field(factory=dict)
    """What the loss is made of, each () and logged apart."""


class Renderer(nn.Module, ABC):
    """Draws one avatar. Chunked equals whole, to 1e-4."""

    trainable: ClassVar[bool] = True
    """False for a renderer that only draws."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def forward(self, scene: Scene, state: State | None = None) -> RendererOutput:
        """Frames of a scene."""

    def training_objectives(self, batch: RendererBatch, progress: float) -> Iterator[Objective]:
        """Yield the objectives of one step, in order; the core steps the optimiser between two of them.

        An adversarial game is thus the renderer's own affair. ``progress`` in [0, 1] as for the decoder.
        """
        raise TypeError(f"{type(self).__name__} has trainable = False or lacks training_objectives()")


# --------------------------------------------------------------------------------------------- metric


@attrs.frozen(kw_only=True)
class Measure:
    """What a number means."""

    name: str
    better: Literal["lower", "higher", "closer to 0", "neither"]
    """``neither`` where the number alone is no merit, such as blinks a minute."""
    unit: str = ""


@attrs.frozen(kw_only=True, eq=False)
class Performance:
    """What was predicted, or recorded, of one clip; what is None is not known of it."""

    face: Face
    fps: float
    vertices: Tensor | None = None
    """(T, V, 3), canonical."""
    neutral: Tensor | None = None
    """(V, 3), canonical: the speaker's neutral face."""
    frames: Tensor | None = None
    """(T, 3, Y, X)."""
    region: Tensor | None = None
    """(T, 1, Y, X): 1 over the face."""
    pose: Tensor | None = None
    """(T, 3, 4), canonical to image."""
    mouth: Tensor | None = None
    """(T, 4): centre x, centre y, width and height of the mouth in ``frames``, in their pixels."""
    audio: Tensor | None = None
    """(T, A): audio features of the sound that is heard with it."""
    wave: Tensor | None = None
    """(S,): that sound."""
    name: str = ""
    """Of the clip."""
    speaker: str = ""
    style: str = ""
    """Of the clip, where its corpus labels styles."""
    prompt: Performance | None = None
    """Of a prediction: the clip in whose style it is to be."""
    takes: Sequence[Tensor] = ()
    """Of a prediction: vertices (T, V, 3) of the same words with other styles, drawn from the prior."""


class Metric(ABC):
    """Compares a prediction with its reference.

    Where it lacks what it needs, a sound or weights, it raises :class:`vast_core.errors.NotComputed`, never gives
    a number.
    """

    needs: ClassVar[Literal["vertices", "frames"]]
    measures: tuple[Measure, ...]

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any, sizes: Sizes) -> Self: ...

    @abstractmethod
    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """One number for each of ``measures``, by name."""


class PooledMetric(Metric):
    """Compares a set of predictions with their references, such as FID; a clip alone tells little.

    Each clip is brought down to a part, once, and numbers come of all parts together.
    """

    resampled: ClassVar[bool] = False
    """Whether an interval may be had by pooling some hundreds of resamples of the parts: only where that is fast."""

    @abstractmethod
    def part(self, prediction: Performance, reference: Performance) -> Any:
        """What is to be kept of a clip; small, as all parts are in memory together."""

    @abstractmethod
    def pool(self, parts: Sequence[Any]) -> dict[str, float]:
        """One number for each of ``measures``, by name, of all ``parts``."""

    def each(self, parts: Sequence[Any]) -> Sequence[Mapping[str, float]]:
        """What can be said of each clip, in the light of all; by default nothing.

        A measure that every clip has takes its interval from these.
        """
        return [{} for _ in parts]

    def __call__(self, prediction: Performance, reference: Performance) -> dict[str, float]:
        """The numbers of one clip alone."""
        return self.pool([self.part(prediction, reference)])
