"""The boxes of fragmented MP4 (ISO/IEC 14496-12, -14 and -15), with one video and one audio track.

A file is :func:`beginning`, then any number of :func:`fragment`. FFmpeg's muxer can write such files, too, but it holds
every picture back until the next one comes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import attrs

__all__ = ["Samples", "SoundTrack", "VideoTrack", "avc_units", "beginning", "fragment"]

VIDEO, SOUND = 1, 2
"""Numbers of the tracks."""
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_SYNC, _NO_SYNC = 0x02000000, 0x01010000
"""Flags of a sample that depends on no other, and of one that does."""


@attrs.frozen(kw_only=True)
class VideoTrack:
    """H.264 pictures."""

    size: tuple[int, int]
    """(Y, X)."""
    timescale: int
    """Units of time per second."""
    parameters: tuple[bytes, bytes]
    """Sequence and picture parameter sets."""

    @property
    def codec(self) -> str:
        """The name of the codec with profile and level, for the type of a stream (RFC 6381)."""
        return f"avc1.{self.parameters[0][1:4].hex()}"


@attrs.frozen(kw_only=True)
class SoundTrack:
    """AAC, one channel."""

    timescale: int
    """Samples per second."""
    config: bytes
    """AudioSpecificConfig."""


@attrs.frozen
class Samples:
    """Consecutive samples of one track in a fragment."""

    track: int
    start: int
    """Time of the first, in units of the track."""
    duration: int
    """Of each, in units of the track."""
    data: Sequence[bytes]
    key: bool = True
    """Whether they depend on no others."""


ENTRIES = {"title": "\xa9nam", "comment": "\xa9cmt", "description": "desc", "synopsis": "ldes", "copyright": "cprt"}
"""Boxes of the metadata, by FFmpeg's names."""


def beginning(video: VideoTrack, sound: SoundTrack, metadata: Mapping[str, str]) -> bytes:
    """The boxes ``ftyp`` and ``moov``, with ``metadata``."""
    y, x = video.size
    head = struct.pack(">4IIH10x", 0, 0, 1000, 0, 0x10000, 0x100) + _MATRIX + bytes(24) + struct.pack(">I", 3)
    tracks = [
        _track(VIDEO, "vide", video.timescale, _full("vmhd", 0, 1, bytes(8)), _avc1(video), (x, y)),
        _track(SOUND, "soun", sound.timescale, _full("smhd", 0, 0, bytes(4)), _mp4a(sound), (0, 0)),
    ]
    extends = [_full("trex", 0, 0, struct.pack(">5I", track, 1, 0, 0, 0)) for track in (VIDEO, SOUND)]
    entries = [
        _box(ENTRIES[name], _box("data", struct.pack(">II", 1, 0), text.encode())) for name, text in metadata.items()
    ]
    handler = _full("hdlr", 0, 0, bytes(4), b"mdirappl", bytes(9))
    note = _box("udta", _full("meta", 0, 0, handler, _box("ilst", *entries)))
    kind = _box("ftyp", b"iso5", struct.pack(">I", 512), b"iso5iso6mp41")
    return kind + _box("moov", _full("mvhd", 0, 0, head), *tracks, _box("mvex", *extends), note)


def fragment(number: int, runs: Sequence[Samples]) -> bytes:
    """The boxes ``moof`` and ``mdat`` of the samples of some tracks; ``number`` counts fragments from 1."""
    size = len(_moof(number, runs, 0))
    return _moof(number, runs, size + 8) + _box("mdat", *(sample for run in runs for sample in run.data))


def avc_units(annex_b: bytes) -> list[bytes]:
    """The units of an H.264 stream that are separated by start codes."""
    parts = annex_b.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01")
    return [part for part in parts if part]


def _moof(number: int, runs: Sequence[Samples], at: int) -> bytes:
    trafs = []
    for run in runs:
        flags = _SYNC if run.key else _NO_SYNC
        head = _full("tfhd", 0, 0x020028, struct.pack(">III", run.track, run.duration, flags))
        time = _full("tfdt", 1, 0, struct.pack(">Q", run.start))
        sizes = [struct.pack(">I", len(sample)) for sample in run.data]
        table = _full("trun", 0, 0x000201, struct.pack(">Ii", len(sizes), at), *sizes)
        trafs.append(_box("traf", head, time, table))
        at += sum(map(len, run.data))
    return _box("moof", _full("mfhd", 0, 0, struct.pack(">I", number)), *trafs)


def _track(number: int, kind: str, timescale: int, header: bytes, entry: bytes, size: tuple[int, int]) -> bytes:
    volume = 0x100 if kind == "soun" else 0
    place = struct.pack(">IIIII8xHHHxx", 0, 0, number, 0, 0, 0, 0, volume)
    shown = struct.pack(">II", size[0] << 16, size[1] << 16)
    empty = [_full(name, 0, 0, bytes(4)) for name in ("stts", "stsc", "stco")]
    table = _box("stbl", _full("stsd", 0, 0, struct.pack(">I", 1), entry), *empty, _full("stsz", 0, 0, bytes(8)))
    where = _box("dinf", _full("dref", 0, 0, struct.pack(">I", 1), _full("url ", 0, 1)))
    return _box(
        "trak",
        _full("tkhd", 0, 3, place, _MATRIX, shown),
        _box(
            "mdia",
            _full("mdhd", 0, 0, struct.pack(">4IHH", 0, 0, timescale, 0, 0x55C4, 0)),
            _full("hdlr", 0, 0, bytes(4), kind.encode(), bytes(12), b"vast\x00"),
            _box("minf", header, where, table),
        ),
    )


def _avc1(video: VideoTrack) -> bytes:
    y, x = video.size
    sequence, picture = video.parameters
    config = b"\x01" + sequence[1:4] + b"\xff\xe1" + struct.pack(">H", len(sequence)) + sequence
    config += b"\x01" + struct.pack(">H", len(picture)) + picture
    colour = _box("colr", b"nclx", struct.pack(">HHHB", 1, 1, 1, 0))
    fields = struct.pack(">6xH16xHHIII H32xHh", 1, x, y, 0x480000, 0x480000, 0, 1, 24, -1)
    return _box("avc1", fields, _box("avcC", config), colour)


def _mp4a(sound: SoundTrack) -> bytes:
    fields = struct.pack(">6xH8xHHHHI", 1, 1, 16, 0, 0, sound.timescale << 16)
    decoder = _descriptor(4, bytes([0x40, 0x15]) + bytes(11), _descriptor(5, sound.config))
    stream = _descriptor(3, bytes(3), decoder, _descriptor(6, b"\x02"))
    return _box("mp4a", fields, _full("esds", 0, 0, stream))


def _descriptor(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([tag, 0x80, 0x80, 0x80, len(body)]) + body


def _box(name: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name.encode("latin-1") + body


def _full(name: str, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags), *parts)
