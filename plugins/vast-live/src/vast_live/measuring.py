"""How late a served avatar answers, from its answer alone."""

from __future__ import annotations

import io
import json
import os
import platform
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import attrs
import av
import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE

from .saying import say

__all__ = ["Answer", "Latency", "Sent", "figures", "measure"]

PIECE = 320
"""Samples of a message, 20 ms, as the page's microphone sends them."""
SETTLE, MARK, PAUSE = 2.0, 0.4, 0.8
"""Seconds before the first mark, of a mark, and at least between two."""
LOUD = 0.2
"""Share of the loudest moment above which there is sound."""
SAME = 2
"""Levels of grey, of 255, by which a picture that is shown again may differ, because it is encoded again."""
WINDOW = 0.005
"""Seconds of which a loudness is the mean."""


@attrs.frozen(eq=False)
class Sent:
    """What was sent."""

    start: float
    """Time of its first sample, on the clock of the arrivals."""
    onsets: NDArray[np.float64]
    """Seconds after it at which marks begin."""


@attrs.frozen(eq=False)
class Answer:
    """What has come back."""

    asked: float
    """Time at which the connection was asked for."""
    arrivals: list[tuple[float, bytes]]
    """Time and bytes of each message; together they are an MP4."""


@attrs.frozen(kw_only=True)
class Latency:
    """The figures, in milliseconds where nothing else is said."""

    first_frame: float
    """From the request of the connection to the first picture."""
    marks: int
    """Marks that were sent."""
    found: int
    """Marks that were found in the answer's sound."""
    sound: dict[str, float]
    """From the microphone to the answer's sound: percentiles."""
    picture_after_sound: float
    """By how much the answer's mouth follows its own sound."""
    picture: dict[str, float]
    """From the microphone to the answer's picture: percentiles."""
    frames: int
    """Pictures in the answer."""
    repeated: float
    """Share of pictures that show the one before again, because there was no time for a new one."""
    drift: float
    """By how much pictures come later, a minute."""
    apart: float
    """Length of the sound less that of the pictures."""
    machine: str
    """Processor and number of its cores, of the machine that measures."""

    def lines(self) -> list[str]:
        """The figures as lines for the terminal."""

        def shown(row: dict[str, float]) -> str:
            return ", ".join(f"{name} {value:.0f} ms" for name, value in row.items())

        return [
            f"first frame            {self.first_frame:.0f} ms after the request",
            f"microphone to sound    {shown(self.sound)} ({self.found} of {self.marks} marks found)",
            f"microphone to picture  {shown(self.picture)}",
            f"picture after sound    {self.picture_after_sound:+.0f} ms",
            f"frames                 {self.frames}, of which {100 * self.repeated:.1f} % repeat the one before",
            f"drift                  {self.drift:+.0f} ms a minute; sound and picture end {self.apart:+.0f} ms apart",
            f"measured on            {self.machine}",
        ]

    def save(self, path: Path) -> None:
        """Write the figures as JSON."""
        path.write_text(json.dumps(attrs.asdict(self), indent=2) + "\n", encoding="utf-8")


def measure(url: str, marks: int) -> Latency:
    """Send ``marks`` marks to the avatar at ``url``, in real time, and find them in its answer.

    Raises :class:`InputError` if nobody answers there, or the answer has no marks.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    address = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/live", "", ""))
    wave, onsets = marked(marks)
    asked = time.monotonic()
    try:
        with connect(address, max_size=None, compression=None) as socket:
            arrivals: list[tuple[float, bytes]] = []
            errors: list[str] = []

            def read() -> None:
                for message in socket:
                    if isinstance(message, bytes):
                        arrivals.append((time.monotonic(), message))
                    elif "error" in (told := json.loads(message)):
                        errors.append(told["error"])

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            while not arrivals and not errors and reader.is_alive():
                time.sleep(0.005)
            start = time.monotonic()
            for at in range(0, len(wave), PIECE):
                time.sleep(max(0.0, start + (at + PIECE) / SAMPLE_RATE - time.monotonic()))
                socket.send((wave[at : at + PIECE] * 32767).astype("<i2").tobytes())
            time.sleep(2.0)
        reader.join(10)
    except (OSError, WebSocketException, TimeoutError) as error:
        raise InputError(f"{url}: no avatar answers there ({error}); start one with `vast serve RUN`") from error
    if errors and not arrivals:
        raise InputError(f"{url}: {errors[0]}")
    return figures(Sent(start, onsets), Answer(asked, arrivals))


def marked(marks: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A wave (S,) of short spoken sounds in silence, and the seconds at which they begin."""
    spoken = np.concatenate(list(say("Ba ba.")))
    loud = np.flatnonzero(np.abs(spoken) > 0.1 * np.abs(spoken).max())
    mark = spoken[loud[0] :][: round(MARK * SAMPLE_RATE)]
    mark = 0.5 * mark / np.abs(mark).max()
    chance = np.random.default_rng(1)  # irregular, so that a mark is not taken for the one before
    gaps = PAUSE + 0.4 * chance.random(marks)
    onsets = SETTLE + np.concatenate([[0.0], np.cumsum(MARK + gaps)[:-1]])
    wave = np.zeros(round((onsets[-1] + MARK + PAUSE) * SAMPLE_RATE), np.float32)
    for onset in onsets:
        at = round(onset * SAMPLE_RATE)
        wave[at : at + len(mark)] = mark
    return wave, onsets


def figures(sent: Sent, answer: Answer) -> Latency:
    """The figures of an answer. Raises :class:`InputError` if its sound has none of the marks."""
    film = _Film.of(answer)
    heard = film.onsets()
    delays = []
    for onset in sent.start + sent.onsets:
        later = [arrival - onset for _, arrival in heard if -0.1 < arrival - onset < 5]
        delays += later[:1]
    if not delays:
        raise InputError("the answer's sound has none of the marks: does the avatar speak what it is sent?")
    after = film.picture_after_sound()
    times, arrivals = film.times, film.arrivals
    slope = np.polyfit(times, arrivals - times, 1)[0] if len(times) > 2 else 0.0
    sound = _percentiles(np.array(delays))
    return Latency(
        first_frame=1000 * (arrivals[0] - answer.asked),
        marks=len(sent.onsets),
        found=len(delays),
        sound=sound,
        picture_after_sound=1000 * after,
        picture={name: value + 1000 * after for name, value in sound.items()},
        frames=len(times),
        repeated=film.repeated,
        drift=60_000 * float(slope),
        apart=1000 * film.apart,
        machine=f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    )


def _percentiles(seconds: NDArray[np.float64]) -> dict[str, float]:
    return {name: 1000 * float(np.percentile(seconds, p)) for name, p in (("median", 50), ("90 %", 90), ("most", 100))}


@attrs.frozen(kw_only=True, eq=False)
class _Film:
    """The answer, decoded."""

    times: NDArray[np.float64]
    """(T,): times of the pictures in the film, seconds."""
    arrivals: NDArray[np.float64]
    """(T,): times at which they came."""
    pictures: NDArray[np.float32]
    """(T, 48, 48), grey."""
    loudness: NDArray[np.float64]
    """(N,): root mean squares of the sound in windows of 5 ms."""
    sound_times: NDArray[np.float64]
    """(P,): times of the sound's packets in the film."""
    sound_arrivals: NDArray[np.float64]
    """(P,): times at which they came."""
    apart: float
    repeated: float

    @classmethod
    def of(cls, answer: Answer) -> _Film:
        ends = np.cumsum([len(part) for _, part in answer.arrivals])
        came = np.array([moment for moment, _ in answer.arrivals])
        rows: dict[str, list[Any]] = {"times": [], "arrivals": [], "pictures": [], "sound": [], "at": [], "came": []}
        same, last = 0, None
        with av.open(io.BytesIO(b"".join(part for _, part in answer.arrivals)), "r", format="mp4") as film:
            rate = film.streams.audio[0].rate
            for packet in film.demux():
                if packet.pts is None or packet.size == 0:
                    continue
                moment = came[min(len(came) - 1, int(np.searchsorted(ends, (packet.pos or 0) + packet.size)))]
                for frame in packet.decode():
                    if isinstance(frame, av.VideoFrame):
                        small = frame.reformat(48, 48, "gray").to_ndarray()
                        same += last is not None and int(np.abs(small.astype(int) - last).max()) <= SAME
                        last = small
                        rows["times"].append(frame.time)
                        rows["arrivals"].append(moment)
                        rows["pictures"].append(small.astype(np.float32))
                    elif isinstance(frame, av.AudioFrame):
                        rows["sound"].append(frame.to_ndarray()[0])
                        rows["at"].append(frame.time)
                        rows["came"].append(moment)
        wave = np.concatenate(rows["sound"]).astype(np.float64)
        window = round(WINDOW * rate)
        loudness = np.sqrt(np.square(wave[: len(wave) // window * window]).reshape(-1, window).mean(1))
        step = float(np.median(np.diff(rows["times"])))
        return cls(
            times=np.array(rows["times"]),
            arrivals=np.array(rows["arrivals"]),
            pictures=np.stack(rows["pictures"]),
            loudness=loudness,
            sound_times=np.array(rows["at"]),
            sound_arrivals=np.array(rows["came"]),
            apart=rows["at"][0] + len(wave) / rate - rows["times"][-1] - step,
            repeated=same / max(1, len(rows["times"]) - 1),
        )

    def onsets(self) -> list[tuple[float, float]]:
        """Times in the film at which sound begins after a pause, and times at which they came."""
        loud = self.loudness > LOUD * self.loudness.max()
        quiet = round(0.3 / WINDOW)
        starts = [n for n in np.flatnonzero(loud) if not loud[max(0, n - quiet) : n].any()]
        found: list[tuple[float, float]] = []
        for at in (float(start * WINDOW) for start in starts):
            packet = int(np.searchsorted(self.sound_times, at + 1e-6)) - 1
            found.append((at, float(self.sound_arrivals[max(0, packet)])))
        return found

    def picture_after_sound(self) -> float:
        """Seconds by which movement of the mouth follows the sound, where their correlation is highest.

        The mouth is where pictures move more while there is sound than while there is none.
        """
        step = float(np.median(np.diff(self.times)))
        reach = max(1, round(step / WINDOW))
        loud = self.loudness > LOUD * self.loudness.max()
        on = np.array([loud[(at := round(t / WINDOW)) : at + reach].any() for t in self.times], np.float64)
        moved = np.abs(np.diff(self.pictures, axis=0, prepend=self.pictures[:1]))
        near = np.convolve(on, np.ones(2 * round(0.24 / step) + 1), "same") > 0
        if not near.any() or near.all():
            return 0.0
        where = moved[near].mean(0) - moved[~near].mean(0)
        mouth = where >= np.percentile(where, 98)
        motion = moved[:, mouth].mean(1)
        lags = np.arange(-round(0.4 / step), round(0.8 / step) + 1)
        likeness = np.array([_correlation(np.roll(motion, -lag), on) for lag in lags])
        return float(lags[likeness.argmax()] * step)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else 0.0
