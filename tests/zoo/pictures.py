"""Forms of one video: containers, codecs, rates, edits, headers and colours, each with what a reader must find.

Its upper half is grey and becomes lighter with each frame, which tells the number of a frame; the lower half has
patches of known colours. Y'CbCr is computed here, so that what is read is held against the definition of the colours.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import attrs
import av
import numpy as np
from numpy.typing import NDArray

from .sounds import Pipe, _File, tone

FRAMES, RATE, ROWS, COLUMNS = 30, Fraction(25), 96, 128
PATCHES = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [224, 172, 140]], float)
"""R'G'B' of the patches, from left to right."""
WEIGHTS = {"709": (0.2126, 0.0722), "601": (0.299, 0.114), "2020": (0.2627, 0.0593)}
"""Of red and of blue in the luma (ITU-R BT.709, BT.601, BT.2020)."""
Content = Callable[[], bytes]


@attrs.frozen(kw_only=True)
class PictureForm:
    """One form: its file, and what must be read from it at 25 frames a second."""

    name: str
    suffix: str
    content: Content
    frames: int = FRAMES
    first: int = 0
    last: int = FRAMES - 1
    size: tuple[int, int] = (ROWS, COLUMNS)
    colour: float = 4.0
    """Largest difference of a patch, of 255."""
    sound: float | None = None
    """Seconds from the first frame at which the pause in the sound begins."""
    turned: bool = False
    """Whether the frames are shown upside down."""
    twice: bool = False
    """Whether the frames are there twice, one after the other."""
    refused: str = ""
    """Words of the message, if the form is to be refused."""
    warned: str = ""
    """Words of the warning, if a choice was made or something is left out."""


def level(number: int) -> float:
    """Grey level of a frame."""
    return 40 + 3 * number


def image(number: int, rows: int, columns: int, patches: NDArray[np.float64] = PATCHES) -> NDArray[np.float64]:
    """R'G'B' (Y, X, 3) of a frame."""
    picture = np.full((rows, columns, 3), level(number))
    for place, colour in enumerate(patches):
        picture[rows // 2 :, place * columns // 4 : (place + 1) * columns // 4] = colour
    return picture


def planes(rgb: NDArray[np.float64], matrix: str, full: bool, bits: int) -> NDArray[np.float64]:
    """Y'CbCr (3, Y, X) of R'G'B' (Y, X, 3), in steps of ``bits`` bits."""
    red, blue = WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb / 255, 2, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    step, most = 2 ** (bits - 8), 2**bits - 1
    if full:
        return np.stack([y * most, cb * most + 128 * step, cr * most + 128 * step])
    return np.stack([(16 + 219 * y) * step, (128 + 224 * cb) * step, (128 + 224 * cr) * step])


def _frame(values: NDArray[np.float64], form: str, bits: int) -> av.VideoFrame:
    across, down = (1 if "444" in form else 2), (2 if "420" in form else 1)
    frame = av.VideoFrame(values.shape[2], values.shape[1], form)
    for number, plane in enumerate(frame.planes):
        own = values[number] if number == 0 else values[number][::down, ::across]
        data = np.round(own).astype(np.uint8 if bits == 8 else "<u2")
        line = np.zeros((data.shape[0], plane.line_size), np.uint8)
        raw = data.view(np.uint8).reshape(data.shape[0], -1)
        line[:, : raw.shape[1]] = raw
        plane.update(line.tobytes())
    return frame


def filmed(
    muxer: str,
    codec: str = "libx264",
    *,
    rate: Fraction = RATE,
    count: int = FRAMES,
    size: tuple[int, int] = (ROWS, COLUMNS),
    form: str = "yuv420p",
    matrix: str = "601",
    full: bool = False,
    bits: int = 8,
    tags: tuple[int, int, int, int] | None = None,
    patches: NDArray[np.float64] = PATCHES,
    times: Sequence[float] | None = None,
    start: float = 0.0,
    sound: str = "",
    sound_start: float | None = None,
    coding: Mapping[str, str] | None = None,
    muxing: Mapping[str, str] | None = None,
    pipe: bool = False,
    rotation: int | None = None,
    aspect: Fraction | None = None,
    cover: bool = False,
) -> Content:
    """The video, encoded by FFmpeg; ``tags`` are the numbers of range, matrix, primaries and curve."""

    def content() -> bytes:
        out = Pipe() if pipe else _File()
        quality = {"qp": "4"} if codec == "libx264" and coding is None else dict(coding or {})
        with av.open(out, "w", format=muxer, options=dict(muxing or {})) as file:
            stream = file.add_stream(codec, rate=rate, options=quality)
            stream.width, stream.height, stream.pix_fmt = size[1], size[0], form
            context = stream.codec_context
            if times is not None or start:
                context.time_base = Fraction(1, 90_000)
            if rotation is not None:
                stream.set_display_rotation(rotation)
            if aspect is not None:
                context.sample_aspect_ratio = aspect
            if tags:
                context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
            if codec in ("mpeg4", "mpeg2video", "mjpeg", "wmv2", "msmpeg4", "mpeg1video", "flv"):
                context.qmin = context.qmax = 2
            heard = file.add_stream(sound, rate=48_000, layout="mono") if sound else None
            for number in range(count):
                made = image(number, *size, patches)
                frame = _frame(planes(made, matrix, full, bits), form, bits)
                if tags:
                    frame.color_range, frame.colorspace = tags[0], tags[1]
                at = start + (float(number / rate) if times is None else times[number])
                frame.time_base = context.time_base or 1 / rate
                frame.pts = round(at / frame.time_base)
                file.mux(stream.encode(frame))
            if heard is not None:
                wave = av.AudioFrame.from_ndarray(tone(48_000, count / float(rate))[None], format="fltp", layout="mono")
                wave.sample_rate, wave.time_base = 48_000, Fraction(1, 48_000)
                wave.pts = round((start if sound_start is None else sound_start) * 48_000)
                file.mux(heard.encode(wave))
            file.mux(stream.encode(None))
            if heard is not None:
                file.mux(heard.encode(None))
        return out.content

    return content


def joined(*contents: Content) -> Content:
    """Files end to end."""
    return lambda: b"".join(content() for content in contents)


def cut(content: Content, share: float = 0.6) -> Content:
    """The beginning of a file."""
    return lambda: content()[: int(share * len(content()))]


def promising(content: Content, before: bytes, kind: str, factor: float = 3.0) -> Content:
    """With a length in the header that is too large by a factor; it stands behind the bytes ``before``."""

    def changed() -> bytes:
        data = bytearray(content())
        at = data.index(before) + len(before)
        (value,) = struct.unpack_from(kind, data, at)
        struct.pack_into(kind, data, at, type(value)(factor * value))
        return bytes(data)

    return changed


def _high_range(curve: str) -> NDArray[np.float64]:
    """The patches as signals of BT.2020 with a high dynamic range, whose reference white is 203 cd/m² (BT.2408)."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
    light = 203 * (PATCHES / 255) ** 2.4 @ to_2020.T
    if curve == "pq":  # SMPTE ST 2084
        powered = (light / 10_000) ** (2610 / 16384)
        signal = ((3424 / 4096 + 2413 / 128 * powered) / (1 + 2392 / 128 * powered)) ** (2523 / 32)
    else:  # BT.2100: the inverse of the gamma of a screen of 1000 cd/m², then the curve of the camera
        luminance = light @ np.array([0.2627, 0.6780, 0.0593]) / 1000
        scene = light / 1000 * luminance[:, None] ** (1 / 1.2 - 1)
        curved = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), curved)
    return 255 * signal


def forms() -> Iterator[PictureForm]:
    """All forms."""
    for name, suffix, content, more in _forms():
        yield PictureForm(name=name, suffix=suffix, content=content, **more)


def _forms() -> Iterator[tuple[str, str, Content, dict[str, Any]]]:
    plain: dict[str, Any] = {}
    heard = {"sound": 0.7}
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    # containers and codecs
    yield "H.264 in MP4", "mp4", filmed("mp4", sound="aac"), heard
    yield "H.264 in QuickTime", "mov", filmed("mov", sound="pcm_s16le"), heard
    yield "H.264 in Matroska", "mkv", filmed("matroska", sound="flac"), heard
    yield "H.264 in MPEG-TS", "ts", filmed("mpegts", sound="aac"), heard
    yield "H.264 in Flash video", "flv", filmed("flv", sound="aac"), heard
    yield "H.264 in 3GP", "3gp", filmed("3gp"), plain
    yield "H.264 with many B-frames", "mp4", filmed("mp4", coding={"qp": "4", "bf": "8"}), plain
    yield (
        "H.265 in MP4",
        "mp4",
        filmed("mp4", "libx265", coding={"crf": "8", "preset": "ultrafast", "x265-params": "log-level=none"}),
        plain,
    )
    yield (
        "VP8 in WebM",
        "webm",
        filmed("webm", "libvpx", coding={"crf": "4", "b": "2M", "qmax": "4", "cpu-used": "8", "deadline": "realtime"}),
        plain,
    )
    yield (
        "VP9 in WebM from a pipe",
        "webm",
        filmed("webm", "libvpx-vp9", pipe=True, coding={"crf": "4", "b": "0", "cpu-used": "8"}, sound="libopus"),
        heard,
    )
    yield "MPEG-4 in AVI", "avi", filmed("avi", "mpeg4", sound="pcm_s16le"), heard
    yield "Motion JPEG in AVI", "avi", filmed("avi", "mjpeg", form="yuvj420p", full=True), plain
    yield "MPEG-2 in MPEG-PS", "mpg", filmed("mpeg", "mpeg2video", sound="mp2"), {"sound": 0.71}
    yield "MPEG-2 in MXF", "mxf", filmed("mxf", "mpeg2video"), plain
    yield "WMV", "wmv", filmed("asf", "wmv2"), plain
    yield "ProRes", "mov", filmed("mov", "prores", form="yuv422p10le", bits=10), plain
    yield "FFV1", "mkv", filmed("matroska", "ffv1", form="yuv444p"), plain
    yield "MP4 in fragments from a pipe", "mp4", filmed("mp4", pipe=True, muxing=fragments), plain
    yield "AVI from a pipe", "avi", filmed("avi", "mpeg4", pipe=True), plain
    # rates, times, sizes
    yield "50 frames a second", "mp4", filmed("mp4", rate=Fraction(50), count=60), plain | {"frames": 30, "last": 58}
    yield "12.5 frames a second", "mp4", filmed("mp4", rate=Fraction(25, 2), count=15), {"last": 14}
    yield (
        "a pause of the pictures",
        "mkv",
        filmed("matroska", times=[n / 25 + (n > 9) for n in range(FRAMES)]),
        {"frames": FRAMES + 25},
    )
    yield (
        "pictures that start late",
        "mkv",
        filmed("matroska", start=0.4, sound="flac", sound_start=0.0),
        {"sound": 0.3},
    )
    yield "sound starts late", "mkv", filmed("matroska", sound="flac", sound_start=0.2), {"sound": 0.9}
    yield "turned upside down", "mp4", filmed("mp4", rotation=180), {"turned": True}
    yield "oblong pixels", "mp4", filmed("mp4", aspect=Fraction(2)), {"size": (ROWS, 2 * COLUMNS)}
    # headers and edits
    yield (
        "MP4 whose header promises more",
        "mp4",
        promising(filmed("mp4"), b"mvhd" + bytes(12) + b"\0\0\x03\xe8", ">I"),
        plain,
    )
    yield "Matroska whose header promises more", "mkv", promising(filmed("matroska"), b"\x44\x89\x88", ">d"), plain
    yield "Flash video whose header promises more", "flv", promising(filmed("flv"), b"duration\0", ">d"), plain
    yield "MP4, cut", "mp4", cut(filmed("mp4", pipe=True, muxing=fragments)), {"refused": "announces"}
    yield "Matroska, cut", "mkv", cut(filmed("matroska")), {"refused": "its header announces"}
    yield "AVI, cut", "avi", cut(filmed("avi", "mpeg4")), {"refused": "its header announces"}
    short = {"frames": -1, "last": -1}
    yield (
        "WebM from a pipe, cut",
        "webm",
        cut(filmed("webm", "libvpx-vp9", pipe=True, coding={"crf": "4", "b": "0", "cpu-used": "8"})),
        short,
    )
    yield "MPEG-TS, cut", "ts", cut(filmed("mpegts")), short
    twice = {"twice": True, "frames": 2 * FRAMES}
    transport = filmed("mpegts", sound="aac")
    yield "two MPEG-TS", "ts", joined(transport, transport), twice
    yield (
        "two MPEG-TS, the second hours later",
        "ts",
        joined(transport, filmed("mpegts", sound="aac", start=20_000)),
        twice,
    )
    yield "two MPEG-TS, the second earlier", "ts", joined(filmed("mpegts", sound="aac", start=20_000), transport), twice
    yield "MPEG-TS whose clock overflows", "ts", filmed("mpegts", start=2**33 / 90_000 - 0.6), plain
    yield "two MPEG-PS", "mpg", joined(*[filmed("mpeg", "mpeg2video")] * 2), twice
    yield "two AVI", "avi", joined(*[filmed("avi", "mpeg4")] * 2), twice
    yield (
        "two MPEG-TS, the second with another codec",
        "ts",
        joined(filmed("mpegts", "mpeg2video"), filmed("mpegts")),
        short | {"warned": "another codec"},
    )
    yield "two Flash videos", "flv", joined(*[filmed("flv", "flv")] * 2), {"warned": "another recording"}
    webm = filmed("webm", "libvpx-vp9", pipe=True, coding={"crf": "4", "b": "0", "cpu-used": "8"})
    yield "two WebM from pipes", "webm", joined(webm, webm), twice
    yield (
        "two MP4 in fragments",
        "mp4",
        joined(*[filmed("mp4", pipe=True, muxing=fragments)] * 2),
        {"warned": "another"},
    )
    # colours
    hd = (720, 64)
    yield "BT.709, tagged", "mp4", filmed("mp4", matrix="709", tags=(1, 1, 1, 1)), plain
    yield "BT.601, tagged, high definition", "mp4", filmed("mp4", size=hd, tags=(1, 6, 6, 6)), {"size": hd}
    yield "untagged high definition", "mp4", filmed("mp4", size=hd, matrix="709"), {"size": hd}
    yield (
        "untagged high definition, wide",
        "mkv",
        filmed("matroska", size=(64, 1280), matrix="709"),
        {"size": (64, 1280)},
    )
    yield "untagged standard definition", "avi", filmed("avi", "mpeg4"), plain
    yield "full range, tagged", "mp4", filmed("mp4", matrix="709", full=True, tags=(2, 1, 1, 1)), plain
    yield "10 bits", "mkv", filmed("matroska", form="yuv420p10le", bits=10, matrix="709", tags=(1, 1, 1, 1)), plain
    yield "BT.2020", "mkv", filmed("matroska", form="yuv420p10le", bits=10, matrix="2020", tags=(1, 9, 1, 1)), plain
    for curve, number in (("hlg", 18), ("pq", 16)):
        yield (
            f"high dynamic range, {curve.upper()}",
            "mp4",
            filmed(
                "mp4", form="yuv420p10le", bits=10, matrix="2020", tags=(1, 9, 9, number), patches=_high_range(curve)
            ),
            {"first": -1, "last": -1, "colour": 6.0},
        )
