"""Pictures, pauses and sounds that claim to be enormous are refused before anything is allocated for them."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from vast_core.errors import MediaError
from vast_core.media import VideoFile, VideoWriter
from vast_core.media.hearing import read_wave
from vast_core.media.limits import check_picture
from vast_core.media.writing import h264_encoder


def write(path, times, size=32):
    with av.open(str(path), "w") as file:
        stream = file.add_stream(h264_encoder(), rate=25)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for time in times:
            picture = av.VideoFrame.from_ndarray(np.full((size, size, 3), 99, np.uint8))
            picture.pts, picture.time_base = time, Fraction(1, 25)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    return path


def test_a_picture_that_lasts_too_long(tmp_path):
    video = VideoFile(write(tmp_path / "v.mkv", times=(0, 1, 25 * 3000)), 25)
    with pytest.raises(MediaError, match=r"v\.mkv: the picture at .* is to be shown for .* at most 600 s"):
        list(video.frames())


def test_a_recording_that_lasts_too_long(tmp_path):
    video = VideoFile(write(tmp_path / "v.mkv", times=(0, 1, 25 * 100_000)), 25)
    with pytest.raises(MediaError, match=r"v\.mkv: something in it is to be seen or heard at .* at most 4 hours"):
        list(video.frames())


def test_a_box_that_claims_an_enormous_picture(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 25) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
    content = (tmp_path / "v.mp4").read_bytes()
    entry = content.index(b"avc1", content.index(b"stsd"))
    wide = content[: entry + 28] + struct.pack(">HH", 65535, 65535) + content[entry + 32 :]
    (tmp_path / "wide.mp4").write_bytes(wide)
    # the box is not believed, but the pictures themselves
    assert [frame.shape for frame in VideoFile(tmp_path / "wide.mp4", 25).frames()] == [(32, 32, 3)]


@pytest.mark.parametrize("size", [(64, 4_194_240), (0, 5)])
def test_pictures_that_their_pixels_make_wide_or_narrow(size, tmp_path):
    with pytest.raises(MediaError, match=rf"v\.mkv: its pictures are {size[1]} x {size[0]}, and may have 67,108,864"):
        check_picture(tmp_path / "v.mkv", *size)
    check_picture(tmp_path / "v.mkv", 4320, 7680)


def test_sound_that_claims_to_come_in_a_year(tmp_path):
    path = tmp_path / "s.mka"
    with av.open(str(path), "w", format="matroska") as file:
        stream = file.add_stream("pcm_s16le", rate=16000, layout="mono")
        for second in (0, 365 * 86400):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), 900, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, second * 16000
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"s\.mka: something in it is to be seen or heard at 31536000 s"):
        read_wave(path)
