"""Look at a clip before anything is made of it: ``python -m vast_live.studio.looking FOLDER``.

It runs in a process of its own, because decoders and networks see a file here that may be anything.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.errors import InputError, VastError
from vast_core.files import read_results, replacing, write_results
from vast_core.interfaces import SAMPLE_RATE, FaceTrack
from vast_core.media import VideoFile, is_silent
from vast_core.mesh import canonical_face
from vast_core.pipeline import Pipeline, assemble
from vast_core.recipe import Recipe, load_recipe
from vast_core.registry import PrepareStage, Registry, StyleStage
from vast_core.speak.style_model import StyleModel
from vast_core.speak.trained import load_face, load_style_file

from .findings import LATE, Findings, Seen, judged
from .in_time import with_sound_moved
from .lateness import lateness
from .parent import end_with_parent
from .project import VERSION, Place, Project
from .watching import report

__all__ = ["look"]

RECIPE = "vast_quick"
LONGEST = 30.0
"""Seconds of the clip that are looked at; what a clip is like shows early."""
EVERY = 0.5
"""Seconds between two frames that are kept to measure the light, and to show."""
SIDE = 640
"""Longest side of such a frame."""
SHOWN = 6
"""Pictures with the tracked face."""
PEOPLE = re.compile(r"(\d+) faces found")
COVERED = re.compile(r"the mouth is covered in (\d+) of")
"""Notes of the tracker."""

Image = NDArray[np.uint8]


class _Frames:
    """The frames of a clip, of which some are kept small."""

    def __init__(self, file: VideoFile, fps: float, place: Place) -> None:
        self._file, self._fps, self._place = file, fps, place
        self.kept: dict[int, Image] = {}
        self.count = 0

    def __iter__(self) -> Iterator[Image]:
        step, total = round(EVERY * self._fps), round(min(self._file.seconds, LONGEST) * self._fps)
        for frame in islice(self._file.frames(), round(LONGEST * self._fps)):
            if self.count % step == 0:
                scale = SIDE / max(frame.shape[:2])
                size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
                self.kept[self.count] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
                report(self._place.progress("look"), step=self.count, steps=max(total, self.count))
            self.count += 1
            yield frame


def look(project: Project, place: Place) -> Findings:
    """Measure the clip of a project; writes pictures of the tracked face."""
    registry = Registry.discover()
    recipe = load_recipe(RECIPE, registry, ["corpus.path=."])
    pipeline = assemble(recipe, registry).to(torch.device("cpu"))
    load_face(_given(recipe.options("prepare", PrepareStage).face).parent, pipeline)
    clip = place.footage / str(project.clip)
    file = VideoFile(clip, recipe.fps)
    frames, trouble = _Frames(file, recipe.fps, place), ""
    try:
        tracks = pipeline.face.track(frames, recipe.fps)
    except InputError as error:
        if not frames.kept:  # the file cannot be read
            raise
        tracks, trouble = [], str(error)
    wave = file.wave()
    seen = Seen(
        seconds=frames.count / recipe.fps,
        fps=file.native_fps,
        least_seconds=recipe.options("prepare", PrepareStage).min_seconds,
        trouble=trouble,
        sound="none" if wave is None else "silent" if is_silent(wave) else "heard",
    )
    if wave is not None and seen.sound == "heard":
        wave = wave[: round(seen.seconds * SAMPLE_RATE)]
        seen = attrs.evolve(seen, **_loudness(wave))
        if tracks:
            seen = attrs.evolve(seen, late=_late(max(tracks, key=len), wave, pipeline, recipe))
    if tracks:
        seen = attrs.evolve(seen, **_faces(tracks, frames, recipe.fps, file.size))
    pictures = _draw(tracks, frames, file.size, place)
    if seen.late is not None and abs(seen.late) > LATE:
        with replacing(clip) as moved:
            with_sound_moved(clip, moved, -seen.late)
    return Findings(seen=seen, findings=judged(seen), pictures=pictures)


def _given(path: Path | None) -> Path:
    if path is None:
        raise InputError(f"the recipe {RECIPE} names no weights to start from")
    return path


def _late(track: FaceTrack, wave: NDArray[np.float32], pipeline: Pipeline, recipe: Recipe) -> float | None:
    model = StyleModel(pipeline)
    load_style_file(_given(recipe.options("style", StyleStage).start), model, pipeline)
    return lateness(track, wave, pipeline, model.eval())


def _loudness(wave: NDArray[np.float32]) -> dict[str, Any]:
    """The level that a tenth of the moments exceed, dB of full scale, and the share of samples at full scale."""
    moments = np.array_split(wave, max(1, len(wave) * 10 // SAMPLE_RATE))
    power = np.array([float(np.square(moment, dtype=np.float64).mean()) for moment in moments])
    return {
        "level": float(10 * np.log10(max(np.percentile(power, 90), 1e-12))),
        "clipped": float((np.abs(wave) > 0.995).mean()),
    }


def _faces(tracks: list[FaceTrack], frames: _Frames, fps: float, size: tuple[int, int]) -> dict[str, Any]:
    """The measurements of :class:`Seen` that are made of pictures."""
    notes = "\n".join(note for track in tracks for note in track.notes)
    length = sum(map(len, tracks))
    lights = [
        _light(image, track.vertices[number - track.start] * (max(image.shape[:2]) / max(size)))
        for number, image in frames.kept.items()
        for track in tracks
        if 0 <= number - track.start < len(track)
    ]
    return {
        "face_seconds": max(map(len, tracks)) / fps,
        "face_share": min(1.0, length / max(1, frames.count)),
        "width": float(np.median(np.concatenate([np.ptp(track.vertices[:, :, 0], axis=1) for track in tracks]))),
        "shots": len(tracks),
        "people": max([1, *map(int, PEOPLE.findall(notes))]),
        "covered": sum(map(int, COVERED.findall(notes))) / length,
        "bright": float(np.median([bright for bright, _ in lights])) if lights else 255.0,
        "glare": float(np.median([glare for _, glare in lights])) if lights else 0.0,
    }


def _light(image: Image, vertices: NDArray[np.float32]) -> tuple[float, float]:
    """Luminance that the brightest twentieth of a face reaches, and the share of the face that is overexposed."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(vertices[:, :2]).astype(np.int32)), 1)
    face = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[mask > 0]
    if not len(face):
        return 255.0, 0.0
    return float(np.percentile(face, 95)), float((face >= 250).mean())


def _draw(tracks: list[FaceTrack], frames: _Frames, size: tuple[int, int], place: Place) -> list[str]:
    """Pictures with the tracked mesh, of frames with a face if there are some; returns their names."""
    at = {number: track for track in tracks for number in frames.kept if 0 <= number - track.start < len(track)}
    numbers = sorted(at) or sorted(frames.kept)
    chosen = [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, SHOWN).round().astype(int))]
    names = []
    for rank, number in enumerate(chosen):
        image = frames.kept[number].copy()
        if number in at:
            track = at[number]
            _draw_mesh(image, track.vertices[number - track.start] * (max(image.shape[:2]) / max(size)))
        names.append(f"look-{rank}.jpg")
        with replacing(place.pictures / names[-1]) as temporary:
            temporary.write_bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
    return names


def _draw_mesh(image: Image, vertices: NDArray[np.float32]) -> None:
    face = canonical_face()
    points = np.round(vertices[:, :2] * 8).astype(np.int32)
    edges = np.unique(np.sort(face.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    lines = image.copy()
    cv2.polylines(lines, list(points[edges]), False, (255, 255, 255), 1, cv2.LINE_AA, 3)
    image[:] = cv2.addWeighted(image, 0.65, lines, 0.35, 0)
    for ring in (face.lips_outer, face.lips_inner, face.eye_left, face.eye_right):
        cv2.polylines(image, [points[ring]], True, (64, 224, 190), 1, cv2.LINE_AA, 3)


def main(folder: Path) -> int:
    """Write the findings of the project in ``folder``; returns the exit code."""
    end_with_parent()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    place = Place(folder)
    project = read_results(place.state, Project, VERSION, "vast serve --studio")
    place.pictures.mkdir(parents=True, exist_ok=True)
    try:
        write_results(place.findings, look(project, place))
    except VastError as error:
        sys.stderr.write(f"Error: {str(error).replace(f'{place.footage / str(project.clip)}: ', '')}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
