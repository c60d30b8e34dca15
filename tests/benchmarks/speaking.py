"""One avatar speaks once, in a process of its own, and says what it took.

    python tests/benchmarks/speaking.py RUN SOUND SECONDS vast|plain|parts

Prints a line of JSON. ``vast`` writes a video as ``vast synth`` does. ``plain`` is a straightforward loop over the same
networks: all sound, then all expression, then frame after frame, kept in memory, then the encoder. ``parts`` does the
work of ``vast`` in one thread, and times its parts.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

import vast_core as vast
from vast_core.interfaces import SAMPLE_RATE, listen, place
from vast_core.media import VideoWriter, read_wave
from vast_core.mesh import Image
from vast_core.speak.drawing import WantedFaces, draw
from vast_core.speak.expressing import Expressing
from vast_core.speak.lids import Lids
from vast_core.speak.perform import CHUNK, PAINTED, Appearing
from vast_core.speak.sound import Sound, frames_of
from vast_core.speak.style_model import decode_whole

Wave = NDArray[np.float32]
Given = TypeVar("Given")


def whole(avatar: vast.Avatar, wave: Wave, style: vast.Style, out: Path) -> dict[str, float]:
    """Frames a second, and milliseconds of all threads together a frame, to the finished video."""
    started, spent = time.perf_counter(), time.process_time()
    avatar.write(out, wave, style, force=True)
    frames = frames_of(len(wave), avatar.fps)
    return {
        "fps": frames / (time.perf_counter() - started),
        "cpu_ms": 1000 * (time.process_time() - spent) / frames,
        "video_mb": out.stat().st_size / 1e6,
    }


@torch.no_grad()
def plain(avatar: vast.Avatar, wave: Wave, style: vast.Style, out: Path) -> dict[str, float]:
    """The same for the straightforward loop."""
    cast = avatar.cast
    pipeline, base, face = cast.pipeline, cast.base, cast.pipeline.face
    started, spent = time.perf_counter(), time.process_time()
    count = frames_of(len(wave), avatar.fps)
    audio = listen(pipeline.audio, wave, count, pipeline.device)
    expression = decode_whole(cast.model, audio, cast.code(style))
    shots, lids, state, pictures = list(islice(cast.play(), count)), Lids(face, base), None, []
    for at, (number, original) in enumerate(shots):
        now = slice(at, at + 1)
        shape = face.settled(face.decode(expression[now].cpu(), base.identity))
        pose = base.pose[[number]]
        vertices = place(lids.blinking(shape, [number]), pose).numpy()
        wanted = WantedFaces(vertices, pose, expression[now], audio[now])
        drawn, state = draw(face, cast.renderer, base, [original], [number], wanted, state)
        pictures += drawn
    with VideoWriter(out, avatar.fps, wave) as writer:
        for picture in pictures:
            writer.write(picture)
    return {
        "fps": count / (time.perf_counter() - started),
        "cpu_ms": 1000 * (time.process_time() - spent) / count,
    }


class Stopwatch:
    """Milliseconds a frame of all threads of the process, of each part: the median over blocks of frames."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def run(self, part: str, frames: int, work: Callable[[], Given]) -> Given:
        spent = time.process_time()
        given = work()
        self._times.setdefault(part, []).append(1000 * (time.process_time() - spent) / frames)
        return given

    @property
    def medians(self) -> dict[str, float]:
        return {part: float(np.median(times[1:] or times)) for part, times in self._times.items()}


def parts(avatar: vast.Avatar, wave: Wave, style: vast.Style, out: Path) -> dict[str, Any]:
    """Milliseconds a frame of each part of the path, and GFLOP a frame of the networks."""
    cast, watch = avatar.cast, Stopwatch()
    code, shown = cast.code(style), cast.play()
    expressing = Expressing(cast.pipeline, cast.model, Sound.of(wave))
    ready: list[tuple[int, Any]] = []
    appearing = Appearing(cast.pipeline.face, cast.renderer, cast.base, (ready.pop(0) for _ in iter(int, 1)))
    with FlopCounterMode(display=False) as counter, VideoWriter(out, avatar.fps, wave) as writer:
        while True:
            block = watch.run("sound to expression", CHUNK, lambda: expressing.next(CHUNK, code))
            if block is None:
                break
            for chunk in block.split(PAINTED):
                count = len(chunk.expression)
                ready += watch.run("decode footage", count, partial(_next, shown, count))
                prepared = watch.run("warp and mouths", count, partial(appearing.prepare, chunk))
                frames = watch.run("network and paste", count, partial(appearing.paint, prepared))
                watch.run("encode", count, partial(_write, writer, frames))
    return {"parts": watch.medians, "gflop": counter.get_total_flops() / frames_of(len(wave), avatar.fps) / 1e9}


def _next(shown: Iterator[tuple[int, Image]], count: int) -> list[tuple[int, Image]]:
    return list(islice(shown, count))


def _write(writer: VideoWriter, frames: list[Image]) -> None:
    for frame in frames:
        writer.write(frame)


def first_frame(avatar: vast.Avatar, wave: Wave, style: vast.Style) -> float:
    """Seconds from the last chunk of sound that the first frame needs to that frame."""
    given = [0.0]

    def chunks() -> Iterator[Wave]:
        for at in range(0, len(wave), SAMPLE_RATE // 50):
            given[0] = time.perf_counter()
            yield wave[at : at + SAMPLE_RATE // 50]

    stream = avatar.speak(chunks(), style)
    next(stream)
    taken = time.perf_counter() - given[0]
    stream.close()
    return taken


def main(run: str, sound: str, seconds: float, way: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    samples = round(seconds * SAMPLE_RATE)
    wave = np.resize(read_wave(Path(sound)), samples)
    avatar = vast.load(run, device="cpu")
    style = avatar.style("sample", seed=1)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.mp4")
        first_frame(avatar, wave, style)  # sets memory up
        loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        first = first_frame(avatar, wave, style)
        found: dict[str, Any] = {"vast": whole, "plain": plain, "parts": parts}[way](avatar, wave, style, out)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**found, "first_s": first, "peak_mb": most, "loaded_mb": loaded}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])))
