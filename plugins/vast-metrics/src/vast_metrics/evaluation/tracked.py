"""Videos compared with videos: paired by name, both tracked, reduced to the same frames and the same crop."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import InputError
from vast_core.files import safe_path
from vast_core.interfaces import Clip, Corpus, Face, FaceTrack, Performance, Sizes, listen, unposed
from vast_core.media import VideoFile, VideoWriter, is_silent
from vast_core.mesh import Crop, Image, as_images, hull_masks
from vast_core.pipeline import Pipeline
from vast_core.registry import Registry

from .alignment import Alignment, View
from .engine import Pair
from .protocol import Protocol
from .videos import Followed, Follower, Span, Wave, common_span, sound_of


@attrs.frozen(kw_only=True, eq=False)
class Match:
    """A generated video and its reference of the same name."""

    generated: Clip
    reference: Clip
    prompt: Clip | None


def videos_in(folder: Path, protocol: Protocol, registry: Registry) -> Corpus:
    """The videos of a folder, read by the corpus ``folder`` at the protocol's rate."""
    component = registry.get("corpus", "folder")
    corpus: Corpus = component.load().from_config(
        component.config(path=folder, synthesised=True), Sizes(fps=protocol.fps)
    )
    return corpus


def matches(
    generated: Iterable[Clip], reference: Iterable[Clip], prompts: Iterable[Clip] | None = None
) -> tuple[list[Match], list[tuple[str, str]]]:
    """Pairs by name, in the references' order, and the videos without a partner, each with that reason.

    Raises :class:`vast_core.errors.InputError` if there are no pairs.
    """
    made, real = ({clip.name: clip for clip in side} for side in (generated, reference))
    styles = None if prompts is None else {clip.name: clip for clip in prompts}
    found = [
        Match(generated=made[name], reference=real[name], prompt=(styles or {}).get(name))
        for name in real
        if name in made
    ]
    if not found:
        ours, theirs = (", ".join(islice(side, 5)) for side in (made, real))
        raise InputError(
            f"no generated video has the name of a reference; the generated ones are {ours} ..., the references "
            f"{theirs} ...: give them the same names (sub-folders count, extensions do not)"
        )
    alone = [(name, "a reference without a generated video") for name in real if name not in made]
    alone += [(name, "generated, without a reference") for name in made if name not in real]
    if styles is not None:
        alone += [(f"prompt {name}", "a prompt without a pair") for name in styles if name not in made.keys() & real]
    return found, alone


@attrs.frozen(kw_only=True, eq=False)
class Reader:
    """Makes pairs of performances from pairs of videos, by the protocol."""

    protocol: Protocol
    pipeline: Pipeline
    folder: Path
    """Folder in which the crops are written as videos."""

    @property
    def _follow(self) -> Follower:
        parts = self.protocol.parts
        most = round(self.protocol.max_seconds * parts.fps)
        return Follower(face=self.pipeline.face, parts=parts, most=most)

    def __call__(self, match: Match) -> Pair:
        """Track, align and crop one pair, and write its crops.

        Raises :class:`vast_core.errors.InputError` if it cannot be measured.
        """
        follow, fps = self._follow, self.protocol.fps
        made, real = (
            _seen(follow, match.generated, "the generated video"),
            _seen(follow, match.reference, "the reference"),
        )
        self._check_lengths(made, real)
        span = common_span(made.tracks, real.tracks)
        if span is None or span.frames < self.protocol.min_seconds * fps:
            seconds = 0.0 if span is None else span.frames / fps
            raise InputError(
                f"both videos show a face at the same time for {seconds:.2f} s; at least {self.protocol.min_seconds:g} "
                "s are needed"
            )
        shown = [track.vertices[span.of(side)] for side, track in enumerate(span.tracks)]
        crop = Crop.around(shown[1], self.protocol.crop.margin, self.protocol.crop.size)
        view = View.of(crop)
        alignment = self._align(view, shown, (made.size, real.size))
        views, clips = (alignment.view, view), (match.generated, match.reference)
        hull = hull_masks(view.vertices(shown[1]), crop.size)
        performances, files, silent = [], [], list[str]()
        for side, (clip, own) in enumerate(zip(clips, views, strict=True)):
            whole = clip.footage.wave()
            if whole is not None and is_silent(whole):
                silent.append(f"the {('generated video', 'reference')[side]} is silent")
            wave = sound_of(whole, span.start, span.stop, fps)
            name = f"videos/{('generated', 'reference')[side]}/{safe_path(match.reference.name)}.mp4"
            frames = self._cut(clip, own, span, wave, name)
            files.append(name)
            track = span.tracks[side]
            performances.append(
                Performance(
                    **_motion(self.pipeline.face, track, span.of(side), own),
                    landmarks=torch.from_numpy(track.vertices[span.of(side), :, :2].copy()),
                    size=(made, real)[side].size,
                    face=self.pipeline.face,
                    fps=fps,
                    frames=frames,
                    region=torch.from_numpy(hull).float(),
                    wave=None if wave is None else torch.from_numpy(wave),
                    audio=self._heard(whole, span),
                    name=match.reference.name,
                    speaker=match.reference.speaker,
                    style=match.reference.style or "",
                    prompt=self._prompt(match.prompt) if side == 0 else None,
                )
            )
        notes = [alignment.note, *silent, *self._notes(span, made, real, alignment)]
        return Pair(
            prediction=performances[0],
            reference=performances[1],
            frames=span.frames,
            notes=tuple(notes),
            videos=(files[0], files[1]),
        )

    def again(self, match: Match) -> Pair:
        """The same pair with its generated video re-encoded by the protocol; nothing of it stays in the folder."""
        folder = self.folder / "reencoded"
        path, clip = folder / f"{safe_path(match.generated.name)}.mp4", match.generated
        try:
            with VideoWriter(path, self.protocol.fps, clip.footage.wave(), crf=self.protocol.reencoding.crf) as writer:
                for frame in clip.footage.frames():
                    writer.write(frame)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            coded = attrs.evolve(clip, footage=VideoFile(path, fps=self.protocol.fps), digest=digest)
            return attrs.evolve(self, folder=folder)(attrs.evolve(match, generated=coded))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _check_lengths(self, made: Followed, real: Followed) -> None:
        apart = abs(made.frames - real.frames) / self.protocol.fps
        if apart > self.protocol.tolerance + 1e-6:
            raise InputError(
                f"the generated video has {made.frames} frames, its reference {real.frames}: they differ by "
                f"{apart:.2f} s, but the protocol allows {self.protocol.tolerance:g} s; which frames belong together "
                "is not known"
            )

    def _align(self, view: View, shown: list[NDArray[np.float32]], sizes: tuple[tuple[int, int], ...]) -> Alignment:
        still = np.setdiff1d(np.arange(shown[0].shape[1]), self.pipeline.face.lips)
        source, target = (vertices[:, still, :2] for vertices in shown)
        return Alignment.fit(view, source, target, (sizes[0], sizes[1]), self.protocol.crop.near)

    def _cut(self, clip: Clip, view: View, span: Span, wave: Wave | None, name: str) -> Tensor:
        """The crops (T, 3, Y, X) of a video, also written next to the results."""
        cut: list[Image] = []
        with VideoWriter(self.folder / name, self.protocol.fps, wave) as writer:
            for frame in islice(clip.footage.frames(), span.start, span.stop):
                cut.append(view.cut(frame))
                writer.write(cut[-1])
        return stacked(cut)

    def _heard(self, wave: Wave | None, span: Span) -> Tensor | None:
        if wave is None:
            return None
        return listen(self.pipeline.audio, wave, span.stop, torch.device("cpu"))[span.start :]

    def _prompt(self, clip: Clip | None) -> Performance | None:
        """The performance in a prompt's longest shot; None if there is no prompt."""
        if clip is None:
            return None
        track = max(_seen(self._follow, clip, "the prompt").tracks, key=len)
        span = Span(track.start, track.start + len(track), (track, track))
        return Performance(
            face=self.pipeline.face,
            fps=self.protocol.fps,
            vertices=unposed(track),
            neutral=torch.from_numpy(self.pipeline.face.identity([track])),
            audio=self._heard(clip.footage.wave(), span),
            name=clip.name,
            speaker=clip.speaker,
            style=clip.style or "",
        )

    def _notes(self, span: Span, made: Followed, real: Followed, alignment: Alignment) -> Iterator[str]:
        if span.frames < min(made.frames, real.frames):
            yield f"frames {span.start} to {span.stop - 1} of {real.frames} are compared"
        for what, track, side in zip(("the generated face", "the reference's face"), span.tracks, (0, 1), strict=True):
            if unseen := int((~track.valid[span.of(side)]).sum()):
                yield f"{what} is not visible in {unseen} frames, and interpolated there"
        if (outside := alignment.view.outside(made.size)) > 0.02:
            yield f"{outside:.0%} of the crop is outside the generated video, whose border is repeated there"


def _seen(follow: Follower, clip: Clip, what: str) -> Followed:
    try:
        return follow(clip)
    except InputError as error:
        raise type(error)(f"{what}: {error}") from error


def _motion(face: Face, track: FaceTrack, span: slice, view: View) -> dict[str, Any]:
    """Parts of a performance from a track: vertices and neutral face, unposed; pose and mouth, in the crop."""
    return {
        "vertices": unposed(track)[span],
        "neutral": torch.from_numpy(face.identity([track])),
        "pose": torch.from_numpy(view.pose(track.pose[span])),
        "mouth": mouth_boxes(face, view.vertices(track.vertices[span])),
    }


def mouth_boxes(face: Face, vertices: NDArray[np.float32]) -> Tensor:
    """Centre, width and height (T, 4) of the mouth of a face (T, V, 3) in the crop's pixels."""
    lips = vertices[:, face.lips, :2]
    low, high = lips.min(1), lips.max(1)
    return torch.from_numpy(np.concatenate([(low + high) / 2, high - low], axis=1))


def stacked(frames: Sequence[Image]) -> Tensor:
    """Frames (Y, X, 3) as (T, 3, Y, X) in [0, 1]."""
    return as_images(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)).contiguous()
