"""Forms of one sound: containers, codecs, rates, channels, headers and edits, each with what a reader must find.

The sound is a tone of 300 Hz from the first to the last sample, with a pause in it. So its length, its first and last
30 ms, and the time of the pause tell whether something is lost, late or out of place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import attrs
import av
import numpy as np
from numpy.typing import NDArray

SECONDS, PAUSE, LEVEL = 1.6, 0.7, 0.5
Floats = NDArray[np.float32]


def tone(rate: int, seconds: float = SECONDS) -> Floats:
    """The sound (S,)."""
    time = np.arange(round(seconds * rate)) / rate
    return np.where((time >= PAUSE) & (time < PAUSE + 0.1), 0, LEVEL * np.sin(2 * np.pi * 300 * time)).astype(
        np.float32
    )


@attrs.frozen(kw_only=True)
class SoundForm:
    """One form: its file, and what must be read from it."""

    name: str
    suffix: str
    content: Callable[[], bytes]
    seconds: float = SECONDS
    longer: float = 0.0
    """Seconds by which the sound may be longer, because a container cannot say how much fills up a codec's blocks."""
    late: float = 0.0
    """Seconds by which the sound may be late, because a container cannot say how much of it is priming."""
    pauses: tuple[float, ...] = (PAUSE,)
    """Seconds at which the pauses begin."""
    level: float = LEVEL
    refused: str = ""
    """Words of the message, if the form is to be refused."""
    warned: str = ""
    """Words of the warning, if a choice was made or something is left out."""


class Pipe:
    """Where a program cannot go back to fill in the length."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data: bytes) -> int:
        """Append."""
        self.content += bytes(data)
        return len(data)


class _File(Pipe):
    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    def write(self, data: bytes) -> int:
        self.content = (
            self.content[: self._at].ljust(self._at, b"\0") + bytes(data) + self.content[self._at + len(data) :]
        )
        self._at += len(data)
        return len(data)

    def seek(self, at: int, whence: int = 0) -> int:
        """Move."""
        self._at = at + (0, self._at, len(self.content))[whence]
        return self._at

    def tell(self) -> int:
        """Where it is."""
        return self._at


def coded(
    muxer: str,
    codec: str,
    rate: int = 16_000,
    layout: str = "mono",
    *,
    form: str = "",
    mixed: Callable[[Floats], list[Floats]] | None = None,
    muxing: Mapping[str, str] | None = None,
    bit_rate: int = 0,
    start: float = 0.0,
    pipe: bool = False,
    tracks: int = 1,
    spoken: int | None = None,
    coding: Mapping[str, str] | None = None,
) -> Callable[[], bytes]:
    """The sound, or channels ``mixed`` of it, encoded by FFmpeg; of several tracks, only one may be ``spoken``."""

    def content() -> bytes:
        out = Pipe() if pipe else _File()
        with av.open(out, "w", format=muxer, options=dict(muxing or {})) as file:
            streams = [
                file.add_stream(codec, rate=rate, layout=layout, options=dict(coding or {})) for _ in range(tracks)
            ]
            for number, stream in enumerate(streams):
                if form:
                    stream.format = form
                if bit_rate:
                    stream.bit_rate = bit_rate
                wave = tone(rate) * (spoken in (None, number))
                count = len(av.AudioLayout(layout).channels)
                made = np.stack(mixed(wave) if mixed else [wave] * count).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(made, format="fltp", layout=layout)
                frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(start * rate)
                file.mux(stream.encode(frame))
            for stream in streams:
                file.mux(stream.encode(None))
        return out.content

    return content


def pcm() -> bytes:
    """Its samples in 16 bits."""
    return (tone(16_000) * 32767).astype("<i2").tobytes()


def wav(
    riff: int | None = None,
    data: int | None = None,
    *,
    samples: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
    format: int = 1,
    bits: int = 16,
    rate: int = 16_000,
    channels: int = 1,
    extension: bytes = b"",
) -> Callable[[], bytes]:
    """A WAV file byte by byte, with these sizes in its header."""

    def content() -> bytes:
        own = pcm() if samples is None else samples
        block = channels * bits // 8
        fmt = struct.pack("<HHIIHH", format, channels, rate, rate * block, block, bits) + extension
        body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + before
        size = len(own) if data is None else data
        whole = len(body) + 8 + len(own) if riff is None else riff
        return b"RIFF" + struct.pack("<I", whole) + body + b"data" + struct.pack("<I", size) + own + after

    return content


def aiff(size: int) -> Callable[[], bytes]:
    """An AIFF file with this size in the headers of the file and of the sound."""

    def content() -> bytes:
        rate = b"\x40\x0c\xfa\x00" + bytes(6)  # 16,000 in 80 bits
        common = struct.pack(">4sIhIh", b"COMM", 18, 1, 0, 16) + rate
        sound = (tone(16_000) * 32767).astype(">i2").tobytes()
        return (
            struct.pack(">4sI4s", b"FORM", size, b"AIFF") + common + struct.pack(">4sIII", b"SSND", size, 0, 0) + sound
        )

    return content


def au(size: int) -> Callable[[], bytes]:
    """An AU file with this size in its header."""
    return lambda: b".snd" + struct.pack(">5I", 24, size, 3, 16_000, 1) + (tone(16_000) * 32767).astype(">i2").tobytes()


def rf64(data: int) -> Callable[[], bytes]:
    """An RF64 file with this number of bytes in its chunk ds64."""

    def content() -> bytes:
        fmt = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
        long = struct.pack("<QQQI", 2**40, data, len(pcm()) // 2, 0)
        chunks = b"ds64" + struct.pack("<I", len(long)) + long + b"fmt " + struct.pack("<I", 16) + fmt
        return b"RF64\xff\xff\xff\xffWAVE" + chunks + b"data\xff\xff\xff\xff" + pcm()

    return content


def cut(content: Callable[[], bytes], share: float = 0.5) -> Callable[[], bytes]:
    """The beginning of a file."""
    return lambda: content()[: int(share * len(content()))]


def joined(*contents: Callable[[], bytes]) -> Callable[[], bytes]:
    """Files end to end."""
    return lambda: b"".join(content() for content in contents)


def tagged(content: Callable[[], bytes]) -> Callable[[], bytes]:
    """With an ID3v2 tag in front and an ID3v1 tag behind."""
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 0]) + bytes(256)
    return lambda: tag + content() + b"TAG" + bytes(125)


def _sides(left: float, right: float) -> Callable[[Floats], list[Floats]]:
    return lambda wave: [left * wave, right * wave]


def _surround(**levels: float) -> Callable[[Floats], list[Floats]]:
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    return lambda wave: [levels.get(name, 0.0) * wave for name in names]


def _integers(kind: str, scale: float, offset: float = 0.0) -> bytes:
    return (tone(16_000) * scale + offset).astype(kind).tobytes()


def forms() -> Iterator[SoundForm]:
    """All forms."""
    for name, suffix, own, more in _forms():
        yield SoundForm(name=name, suffix=suffix, content=own, **more)


def _forms() -> Iterator[tuple[str, str, Callable[[], bytes], dict[str, Any]]]:
    plain: dict[str, Any] = {}
    n = len(pcm())
    # lengths in the header
    yield "WAV", "wav", wav(), plain
    yield "WAV from a pipe: 0xFFFFFFFF", "wav", wav(0xFFFFFFFF, 0xFFFFFFFF), plain
    yield "WAV from a pipe: 0x7FFFFFFF", "wav", wav(0x7FFFFFFF, 0x7FFFFFFF), plain
    yield "WAV from a pipe: 0x7FFFF000", "wav", wav(0x7FFFF024, 0x7FFFF000), plain
    yield "WAV from a pipe: 0x80000000", "wav", wav(0x80000024, 0x80000000), plain
    yield "WAV from a pipe: 0", "wav", wav(0, 0), plain
    yield "WAV from a pipe: 0xFFFFFFFF less its header", "wav", wav(0xFFFFFFFF, 0xFFFFFFFF - 36), plain
    yield "WAV, size of the file unknown", "wav", wav(0xFFFFFFFF, n), plain
    yield "WAV, FFmpeg to a pipe", "wav", coded("wav", "pcm_s16le", pipe=True), plain
    yield "WAV, cut", "wav", cut(wav()), {"refused": r"its header announces 51,200 bytes of sound, of which 25,"}
    yield (
        "WAV, a chunk before and one behind",
        "wav",
        wav(before=b"LIST" + struct.pack("<I", 4) + b"INFO", after=b"id3 " + struct.pack("<I", 4) + b"abcd"),
        plain,
    )
    yield "RF64", "wav", rf64(n), plain
    yield "WAV, a placeholder of 1 GiB", "wav", wav(0x40000024, 0x40000000), plain
    yield "RF64 from a pipe", "wav", rf64(0), plain
    yield "RF64 from a pipe: 2^64 - 1", "wav", rf64(2**64 - 1), plain
    yield "RF64, cut", "wav", cut(rf64(n)), {"refused": "its header announces 51,200 bytes of sound"}
    for bits, kind, scale, offset, number in (
        (8, "u1", 127, 128, 1),
        (32, "<i4", 2.0**31 - 256, 0, 1),
        (32, "<f4", 1, 0, 3),
        (64, "<f8", 1, 0, 3),
    ):
        what = f"WAV, {bits} bits, {'integers' if number == 1 else 'floats'}"
        yield what, "wav", wav(samples=_integers(kind, scale, offset), bits=bits, format=number), plain
    yield "WAV, 24 bits", "wav", coded("wav", "pcm_s24le", form="s32"), plain
    yield "WAV, A-law", "wav", coded("wav", "pcm_alaw", 8_000), plain
    yield "WAV, mu-law", "wav", coded("wav", "pcm_mulaw", 8_000), plain
    yield "WAV, ADPCM", "wav", coded("wav", "adpcm_ms"), {"longer": 0.07}
    yield "AIFF", "aiff", coded("aiff", "pcm_s16be"), plain
    yield "AIFF from a pipe", "aiff", coded("aiff", "pcm_s16be", pipe=True), plain
    for size in (0x7FFFFFFF, 0x7FFFFFF0, 0):
        yield f"AIFF from a pipe: {size:#x}", "aiff", aiff(size), plain
    yield "AIFF, cut", "aiff", cut(coded("aiff", "pcm_s16be")), {"refused": "announces 51,208 bytes of sound"}
    yield "AU", "au", coded("au", "pcm_s16be"), plain
    yield "AU from a pipe", "au", coded("au", "pcm_s16be", pipe=True), plain
    yield "AU from a pipe: 0", "au", au(0), plain
    yield "AU, cut", "au", cut(coded("au", "pcm_s16be")), {"refused": "announces 51,200 bytes of sound"}
    yield "CAF", "caf", coded("caf", "pcm_s16le"), plain
    yield "CAF from a pipe", "caf", coded("caf", "pcm_s16le", pipe=True), plain
    yield "W64", "w64", coded("w64", "pcm_s16le"), plain
    yield "W64 from a pipe", "w64", coded("w64", "pcm_s16le", pipe=True), plain
    yield "W64, cut", "w64", cut(coded("w64", "pcm_s16le")), {"refused": "its header announces"}
    yield "FLAC", "flac", coded("flac", "flac", form="s16"), plain
    yield "FLAC from a pipe", "flac", coded("flac", "flac", form="s16", pipe=True), plain
    yield "FLAC, cut", "flac", cut(coded("flac", "flac", form="s16")), {"refused": "announces 1.60 s of sound"}
    yield "FLAC in Ogg", "ogg", coded("ogg", "flac", form="s16"), plain
    yield "ALAC", "m4a", coded("ipod", "alac", form="s16p"), plain
    yield "WavPack", "wv", coded("wv", "wavpack", form="s16p"), plain
    yield "True Audio", "tta", coded("tta", "tta", form="s16"), plain
    # codecs with loss
    fills = {"late": 0.01, "longer": 0.04}
    mp3 = coded("mp3", "libmp3lame", 44_100, bit_rate=64_000)
    bare = {"write_xing": "0", "id3v2_version": "0"}
    variable = {"flags": "+qscale", "global_quality": str(4 * 118)}
    naked = coded("mp3", "libmp3lame", 44_100, muxing=bare, coding=variable)
    yield "MP3", "mp3", mp3, {"late": 0.001}
    yield "MP3, tags in front and behind", "mp3", tagged(mp3), {"late": 0.001}
    yield "MP3, variable rate, no Xing header", "mp3", naked, {"late": 0.03, "longer": 0.06}
    yield "MP3, 8 kHz", "mp3", coded("mp3", "libmp3lame", 8_000), {"late": 0.002}
    yield "MP3, cut", "mp3", cut(mp3), {"refused": "damaged or cut short"}
    yield "MP2", "mp2", coded("mp2", "mp2", 48_000), {"late": 0.03, "longer": 0.06}
    aac = coded("adts", "aac", 48_000)
    yield "AAC, raw", "aac", aac, {"late": 0.022, "longer": 0.05}
    yield "AAC, raw, cut in a frame", "aac", cut(aac), {"seconds": 0.8, "longer": 0.06, "late": 0.022}
    yield "AAC in M4A", "m4a", coded("ipod", "aac", 44_100), plain
    yield (
        "AAC in M4A, cut",
        "m4a",
        cut(coded("ipod", "aac", 44_100)),
        {"refused": r"one whose end \(and with it the index\) is missing"},
    )
    yield (
        "AAC in fragments from a pipe",
        "mp4",
        coded("mp4", "aac", pipe=True, muxing={"movflags": "frag_keyframe+empty_moov"}),
        {"late": 0.065, "longer": 0.13},
    )
    yield "Opus in Ogg", "opus", coded("ogg", "libopus", 48_000), plain
    yield "Opus in WebM", "webm", coded("webm", "libopus", 48_000), plain
    yield "Opus in WebM from a pipe", "webm", coded("webm", "libopus", 48_000, pipe=True), plain
    yield "Opus in Matroska, cut", "mkv", cut(coded("matroska", "libopus", 48_000)), {"refused": "its header announces"}
    yield (
        "Vorbis in Ogg",
        "ogg",
        coded("ogg", "vorbis", 44_100, "stereo", coding={"strict": "experimental"}),
        {"late": 0.01, "longer": 0.02},
    )
    yield "AC-3", "ac3", coded("ac3", "ac3", 48_000), fills
    yield (
        "AMR",
        "amr",
        coded("amr", "libopencore_amrnb", 8_000, bit_rate=12_200),
        {"late": 0.01, "longer": 0.03, "level": 0.43},
    )
    yield "PCM in AVI", "avi", coded("avi", "pcm_s16le"), plain
    yield "PCM in AVI from a pipe", "avi", coded("avi", "pcm_s16le", pipe=True), plain
    yield "PCM in QuickTime", "mov", coded("mov", "pcm_s16be"), plain
    yield "AAC in MPEG-TS", "ts", coded("mpegts", "aac", 48_000), {"late": 0.022, "longer": 0.05}
    yield "MP2 in MPEG-PS", "mpg", coded("mpeg", "mp2", 48_000), {"late": 0.03, "longer": 0.06}
    yield "MP3 in Flash video", "flv", coded("flv", "libmp3lame", 44_100), {"late": 0.03, "longer": 0.06}
    # rates and channels
    cancelled = {"warned": "cancel out"}
    for rate in (11_025, 22_050, 48_000, 96_000, 192_000):
        yield f"WAV, {rate} Hz", "wav", coded("wav", "pcm_s16le", rate), plain
    yield "stereo", "wav", coded("wav", "pcm_s16le", 44_100, "stereo"), plain
    yield (
        "stereo, one side silent",
        "wav",
        coded("wav", "pcm_s16le", layout="stereo", mixed=_sides(1, 0)),
        {"level": 0.25},
    )
    yield "stereo, opposite phase", "wav", coded("wav", "pcm_s16le", layout="stereo", mixed=_sides(1, -1)), cancelled
    yield (
        "stereo, nearly opposite",
        "flac",
        coded("flac", "flac", form="s16", layout="stereo", mixed=_sides(-0.9, 1)),
        cancelled,
    )
    yield "5.1", "wav", coded("wav", "pcm_s16le", 48_000, "5.1"), plain
    yield (
        "5.1, opposite phase",
        "mkv",
        coded("matroska", "pcm_s16le", 48_000, "5.1", mixed=_surround(FL=1, FR=-1, LFE=1)),
        cancelled,
    )
    yield (
        "two tracks, the first silent",
        "mkv",
        coded("matroska", "pcm_s16le", tracks=2, spoken=1),
        {"warned": "track 2"},
    )
    yield "two tracks, the other silent", "mkv", coded("matroska", "pcm_s16le", tracks=2, spoken=0), plain
    yield (
        "three tracks, the last speaks",
        "m4a",
        coded("ipod", "aac", 44_100, tracks=3, spoken=2),
        {"warned": "track 3"},
    )
    # joined end to end
    twice = {"seconds": 2 * SECONDS, "pauses": (PAUSE, PAUSE + SECONDS)}
    opus = coded("ogg", "libopus", 48_000)
    yield "two Opus files in a chain", "opus", joined(opus, opus), twice
    transport = coded("mpegts", "aac", 48_000)
    yield "two MPEG-TS", "ts", joined(transport, transport), {**twice, "late": 0.1, "longer": 0.12}
    yield (
        "two MPEG-TS, the second hours later",
        "ts",
        joined(transport, coded("mpegts", "aac", 48_000, start=20_000.0)),
        {**twice, "late": 0.1, "longer": 0.12},
    )
    yield "two MP3", "mp3", joined(mp3, mp3), {**twice, "late": 0.08, "longer": 0.1}
    yield "two MP3 with tags", "mp3", joined(tagged(mp3), tagged(mp3)), {**twice, "late": 0.08, "longer": 0.1}
    yield "two AAC", "aac", joined(aac, aac), {**twice, "late": 0.06, "longer": 0.1}
    flac = coded("flac", "flac", form="s16")
    yield "two FLAC", "flac", joined(flac, flac), twice
    yield "two MPEG-PS", "mpg", joined(*[coded("mpeg", "mp2", 48_000)] * 2), {**twice, "late": 0.1, "longer": 0.12}
    webm = coded("webm", "libopus", 48_000, pipe=True)
    yield "two WebM from pipes", "webm", joined(webm, webm), {**twice, "late": 0.007, "longer": 0.007}
    for name, suffix, own in (
        ("AIFF", "aiff", coded("aiff", "pcm_s16be")),
        ("CAF", "caf", coded("caf", "pcm_s16le")),
        ("W64", "w64", coded("w64", "pcm_s16le")),
        ("True Audio", "tta", coded("tta", "tta", form="s16")),
        ("Flash videos", "flv", coded("flv", "pcm_s16le", 44_100)),
    ):
        yield f"two {name}", suffix, joined(own, own), {"warned": "another recording"}
    yield "two WAV", "wav", joined(wav(), wav()), {"warned": "another recording"}
