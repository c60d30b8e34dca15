"""Use the avatar of a finished run from Python.

::

    import vast_core as vast

    avatar = vast.load("runs/vast_footage")
    style = avatar.style("happy.mp4")
    for frame in avatar.speak("speech.wav", style):
        ...
    avatar.write("out.mp4", "speech.wav", style)

This needs no corpus, trainer or metrics: the run's folder, or a file that :func:`pack` wrote, has everything that the
avatar needs.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs
import torch

from .device import best_device
from .errors import InputError, MediaWarning
from .files.outputs import check_output
from .interfaces import Renderer, Sizes
from .media.hearing import is_silent
from .mesh.scene import Image
from .pipeline import Pipeline, assemble
from .recipe.loading import load_recipe
from .registry.registry import Registry
from .runs.weights import read_header
from .speak.base_clip import BASE_VIDEO, BaseClip
from .speak.expressing import latency
from .speak.installed import check_installed
from .speak.live import Live, Moment
from .speak.marks import Marks
from .speak.moving import Motion, motion_of
from .speak.named_styles import STYLES, style_files, style_path
from .speak.overlap import ahead
from .speak.pack_formats import OWN, pack_format
from .speak.packing import AVATAR, MEMBERS, RECIPE, SLIDERS, SPEAKING, check_run, corpus_of, members, unpack
from .speak.packing import pack as pack_run
from .speak.perform import CHUNK, Cast, express, perform, write_video
from .speak.prompt import read_style
from .speak.sliders import Factor, Sliders, load_sliders
from .speak.sound import AsyncSpeech, Sound, Speech, frames_of, is_whole
from .speak.stream import Stream
from .speak.style import Style, mean_of, weights_digest
from .speak.style_model import StyleModel
from .speak.trained import load_face, load_renderer, load_style

__all__ = ["AsyncSpeech", "Avatar", "Factor", "Live", "Marks", "Moment", "Speech", "Stream", "Style", "load", "pack"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Avatar:
    """A trained avatar, ready to speak. :func:`load` makes one."""

    _pipeline: Pipeline
    _model: StyleModel
    _sliders: Sliders | None
    _renderer: Renderer
    _base: BaseClip
    _folder: Path
    files: tuple[Path, ...]
    """Files and corpus folders that belong to it; output must not overwrite them."""
    _digest: str
    marks: Marks
    """What its videos carry, so that everyone can tell that they are synthetic."""
    _unpacked: tempfile.TemporaryDirectory[str] | None = None
    """Temporary folder of a packed avatar, removed together with it."""

    @property
    def name(self) -> str:
        """Name of the speaker."""
        return self._base.avatar

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._pipeline.sizes.fps

    @property
    def size(self) -> tuple[int, int]:
        """(Y, X) of its frames."""
        return self._base.video.size

    @property
    def sizes(self) -> Sizes:
        """The widths of its parts, by axis letter."""
        return self._pipeline.sizes

    @property
    def styles(self) -> dict[str, Style]:
        """The styles that it knows by name."""
        return {name: Style.load(path) for name, path in style_files(self._folder).items()}

    @property
    def factors(self) -> dict[str, Factor]:
        """The factors of a style that it can be told, with their ranges; empty if its corpus named none."""
        return {} if self._sliders is None else self._sliders.factors

    def __repr__(self) -> str:
        y, x = self.size
        return f"<Avatar {self.name}: {x} x {y} pixels, {self.fps:g} frames a second>"

    def style(
        self,
        *prompts: str | Path,
        weights: Sequence[float] | None = None,
        strength: float = 1.0,
        factors: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> Style:
        """The style of ``prompts``, mixed with ``weights``, which are equal by default.

        A prompt is a video of somebody talking, a style saved as ``.safetensors``, the name of one of :attr:`styles`,
        ``"label:NAME"`` if the style encoder reads labels, or ``"sample"``: a draw from the prior, which ``seed``
        fixes. Text without a dot or a separator is a name; a :class:`pathlib.Path` is always a file. The mix is
        multiplied by ``strength``: 0 is neutral, above 1 exaggerates.

        ``factors`` are then added, each of :attr:`factors` by a value from -1 to +1: +1 moves the style by half of the
        factor's range in training, from its middle to its upper end. Without a prompt they start from the style in the
        middle of all ranges, so that -1 and +1 are the ends.

        Raises :class:`vast_core.errors.InputError` if a video cannot be read, shows no face, or shows one for less than
        a second, if a name or a factor is unknown, or if a factor is out of range, and
        :class:`vast_core.errors.WeightsError` if a saved style belongs to another avatar's weights.
        """
        _check_seed(seed)
        sliders = self._need_sliders() if factors else None
        shares = [1.0] * len(prompts) if weights is None else list(weights)
        named = style_files(self._folder)
        styles = [
            read_style(prompt, self._pipeline, self._model, self._digest, named, seed=seed, number=number)
            for number, prompt in enumerate(prompts)
        ]
        source = " + ".join(f"{w:g} {style.source}" for w, style in zip(shares, styles, strict=False))
        mixed = sliders.middle() if sliders and not (styles or shares) else mean_of(styles, shares, source)
        strong = mixed if strength == 1.0 else mixed.strengthened(strength)
        return sliders.moved(strong, factors) if sliders and factors else strong

    def _need_sliders(self) -> Sliders:
        if self._sliders is None:
            raise InputError(
                "this avatar has no factors of style: its corpus named none, or had too few styles to tell them apart "
                "(the corpus `synthetic` names some); give a prompt instead"
            )
        return self._sliders

    @property
    def sliders(self) -> Sliders | None:
        """The directions of its factors among the style codes; None if its corpus named none."""
        return self._sliders

    def fits(self, style: Style) -> bool:
        """Whether ``style`` belongs to this avatar's style weights; if not, it cannot be spoken in."""
        return style.model == self._digest

    def save_style(self, style: Style, name: str, *, force: bool = False) -> Path:
        """Save ``style`` in the run under a name, by which :meth:`style` finds it; returns its file.

        :func:`pack` takes it along. A name has 1 to 64 characters: lower-case letters, digits, - and _.

        Raises :class:`vast_core.errors.InputError` if the name is not allowed, or is taken and ``force`` is False, or
        if the avatar is a packed file, and :class:`vast_core.errors.WeightsError` if the style belongs to another
        avatar's weights.
        """
        style.require(self._digest)
        path = style_path(self._folder, name)
        if self._unpacked is not None:
            raise InputError(
                f"{self.files[0]}: a packed avatar is not changed; save the style in its run's folder, and pack again"
            )
        if path.exists() and not force:
            raise InputError(
                f"{path}: there is a style {name!r} already; choose another name, or overwrite it with --force "
                "(force=True)"
            )
        style.save(path)
        return path

    @property
    def latency(self) -> float:
        """Seconds of sound after a frame on which it depends. :func:`load` can make it shorter."""
        return latency(self._pipeline)

    def speak(self, sound: Speech | AsyncSpeech, style: Style, *, at_once: int | None = None, seed: int = 0) -> Stream:
        """Frames (Y, X, 3), uint8, RGB, of the avatar speaking ``sound`` in a ``style``.

        ``sound`` is a sound or video file, a wave (S,) of floats in [-1, 1] at 16 kHz, or an iterable, or an async
        iterable, of chunks of one. Frames are made in blocks of ``at_once``, as soon as the sound that they depend on
        has arrived, :attr:`latency` after them; by default one by one for chunks, and 32 for a file or a wave. Chunks
        of any size give the same frames as the whole. Larger blocks wait for more sound, but cost less time per frame.
        ``seed`` fixes the noise of a stochastic decoder. The frames have no watermark: where they leave as a video,
        ``avatar.marks.frame(frame)`` adds it.

        Raises :class:`vast_core.errors.InputError` if the sound cannot be read or is empty, and
        :class:`vast_core.errors.WeightsError` if the style belongs to another avatar's weights.
        """
        if at_once is None:
            at_once = CHUNK if is_whole(sound) else 1
        if at_once < 1:
            raise InputError(f"{at_once} frames at once: make at least one")
        _check_seed(seed)
        return Stream(self.cast, Sound.of(sound), style, at_once, seed)

    def live(self, style: Style, *, seed: int = 0) -> Live:
        """The avatar without end, with sound: it idles, and speaks what it is given to say, always in time.

        Raises :class:`vast_core.errors.WeightsError` if the style belongs to another avatar's weights.
        """
        _check_seed(seed)
        return Live(self.cast, style, seed)

    def move(self, sound: Speech, style: Style, *, seed: int = 0) -> Motion:
        """How face and head move while the avatar speaks ``sound``, for programs that draw it themselves.

        Raises the errors of :meth:`speak`.
        """
        _check_seed(seed)
        cast, wave = self.cast, Sound.of(sound).rest()
        chunks = list(express(cast.pipeline, cast.model, Sound.of(wave), cast.code(style), seed=seed))
        return motion_of(cast.pipeline.face, cast.base, chunks, wave, self.fps)

    @property
    def cast(self) -> Cast:
        """Its trained parts and its footage, for programs that go beyond speaking."""
        return Cast(
            pipeline=self._pipeline,
            model=self._model,
            renderer=self._renderer,
            base=self._base,
            video=self._folder / BASE_VIDEO,
            digest=self._digest,
            unpacked=self._unpacked,
        )

    def write(
        self,
        out: str | Path,
        sound: Speech,
        style: Style,
        *,
        force: bool = False,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Write a video of the avatar speaking ``sound``, with the sound and all :attr:`marks`, to ``out``; returns its
        path.

        Sound in chunks is read to its end first. ``progress`` is called after each frame with the number of finished
        frames and of all frames. ``out`` must not exist unless ``force`` is True, and must not be an input: sound,
        prompts, the run or its corpus. Warns if the sound is silent. Raises the errors of :meth:`speak`, and
        :class:`vast_core.errors.StorageError` if ``out`` cannot be written.
        """
        out = Path(out)
        own = (Path(sound),) if isinstance(sound, (str, Path)) else ()
        check_output(out, inputs=(*own, *style.files, *self.files), force=force)
        wave = Sound.of(sound).rest()
        if is_silent(wave):
            what = f"{own[0]}: is silent" if own else "the sound is silent"
            warnings.warn(f"{what}, so {self.name} has nothing to say", MediaWarning, stacklevel=2)
        total = frames_of(len(wave), self.fps)

        def counted(frames: Iterator[Image]) -> Iterator[Image]:
            for done, frame in enumerate(frames, 1):
                yield frame
                if progress is not None:
                    progress(done, total)

        _check_seed(seed)
        cast = self.cast
        spoken = perform(
            cast.pipeline,
            cast.model,
            cast.renderer,
            cast.base,
            cast.play(),
            Sound.of(wave),
            cast.code(style),
            seed=seed,
        )
        with closing(ahead(spoken, CHUNK // 2)) as frames:  # painted while those before are encoded
            write_video(counted(frames), self.fps, wave, out, self.marks)
        return out


def load(
    run: str | Path,
    *,
    device: str | torch.device | None = None,
    look_ahead: float | None = None,
    registry: Registry | None = None,
) -> Avatar:
    """The avatar of a finished run's folder, or of a file that :func:`pack` wrote.

    It computes on ``device``, by default a GPU if there is one. ``look_ahead``, in seconds, is how much later sound the
    audio features may hear, for :attr:`Avatar.latency`; by default as in training. Features without such an option
    keep their own. ``registry`` has the components, by default all installed ones.

    Raises :class:`vast_core.errors.InputError` if the path is neither, if a file is missing or has changed, or if a
    component is not installed; the message names its package.
    """
    path, unpacked = Path(run), None
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; name a run's folder, or a file of `vast pack`")
    folder, files = path, (*(path / name for name in (*MEMBERS, SLIDERS)), path / STYLES)
    if path.is_file():
        unpacked = tempfile.TemporaryDirectory(prefix="vast-")
        folder, files = Path(unpacked.name), (path,)
        unpack(path, folder)
    else:
        files += corpus_of(path)
    check_run(folder)
    registry = Registry.discover() if registry is None else registry
    check_installed(path, read_header(folder / AVATAR), registry)
    recipe = load_recipe(folder / RECIPE, registry, parts=SPEAKING)
    if look_ahead is not None and hasattr(recipe.part("audio").config, "look_ahead"):
        recipe = load_recipe(folder / RECIPE, registry, [f"audio.look_ahead={float(look_ahead)!r}"], parts=SPEAKING)
    pipeline = assemble(recipe, registry).to(best_device() if device is None else torch.device(device))
    weights = (folder / AVATAR).parent
    load_face(weights, pipeline)
    model = load_style(weights, pipeline)
    base = BaseClip.load(folder / AVATAR)
    return Avatar(
        pipeline=pipeline,
        model=model,
        sliders=load_sliders(weights, model),
        renderer=load_renderer(weights, pipeline),
        base=base,
        folder=folder,
        files=files,
        digest=weights_digest(model),
        marks=Marks.of(base.avatar, recipe, folder, registry),
        unpacked=unpacked,
    )


def pack(
    run: str | Path,
    out: str | Path,
    *,
    force: bool = False,
    format: str = OWN,
    look_ahead: float | None = None,
    registry: Registry | None = None,
) -> Path:
    """Write the avatar of a finished run to one file, which :func:`load` reads on any machine; returns its path.

    The file has the necessary sections of the recipe, the weights, the avatar's video and the named styles, but nothing
    of the corpus. A ``format`` of a plugin is for other programs than vast; ``look_ahead``, for these alone, is as of
    :func:`load`, and ``registry`` has the plugins, by default all installed ones.

    Raises :class:`vast_core.errors.InputError` if the run is not finished, if ``out`` exists and ``force`` is False, if
    ``out`` is a file of the run, or if no plugin has the format.
    """
    run, out = Path(run), Path(out)
    if format == OWN and look_ahead is not None:
        raise InputError("a look-ahead is chosen when an avatar of vast is loaded, not when it is packed; leave it out")
    check_output(out, inputs=[*(run / name for name in members(run)), *corpus_of(run)], force=force)
    if format == OWN:
        pack_run(run, out)
    else:
        registry = Registry.discover() if registry is None else registry
        pack_format(format, registry)(run=run, out=out, registry=registry, look_ahead=look_ahead)
    return out


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise InputError(f"the seed {seed}: give a whole number from 0 to {2**63 - 1}")
