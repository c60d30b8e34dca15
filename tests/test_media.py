"""Test files are written with PyAV directly (or byte by byte), so that reader and writer are tested separately."""

import hashlib
import os
import resource
import struct
import subprocess
import sys
import tracemalloc
import wave as pcm
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from vast_core.errors import MediaError, StorageError
from vast_core.interfaces import SAMPLE_RATE, Footage
from vast_core.media import VideoFile, VideoWriter, endlessly, file_digest, opening, read_wave
from vast_core.media import reading as media


def grey(level: float, size=(48, 64)):
    return np.full((*size, 3), level, np.uint8)


def make_video(
    path: Path,
    frames,
    *,
    times=None,
    fps=Fraction(25),
    sound=None,
    rate=16_000,
    layout="mono",
    sound_start=0.0,
    rotation=None,
    codec="libx264",
    sound_codec="aac",
    options=None,
):
    """Write ``frames`` at ``times`` (seconds; constant rate by default) and ``sound`` (channels, S) from a start."""
    base = 1 / Fraction(fps) if codec == "mpeg4" else Fraction(1, 90_000)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=fps, options=options or ({"qp": "0"} if codec == "libx264" else {}))
        video.width, video.height, video.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        video.codec_context.time_base = base
        if rotation is not None:
            video.set_display_rotation(rotation)
        if sound is not None:
            audio = container.add_stream(sound_codec, rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound, np.float32), format="fltp", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(sound_start * rate)
        for number, image in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            picture.pts = round((times[number] if times is not None else number / fps) / base)
            picture.time_base = base
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound is not None:
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def ramp(count: int, size=(48, 64)):
    """Frames whose grey level gives their number: 20, 23, 26, ..."""
    return [grey(20 + 3 * number, size) for number in range(count)]


def numbers(frames):
    return [round((float(frame.mean()) - 20) / 3) for frame in frames]


def click(seconds: float, at: float, rate=16_000, channels=1):
    sound = np.zeros((channels, round(seconds * rate)), np.float32)
    first = round(at * rate)
    length = max(8, rate // 1000)
    sound[:, first : first + length] = 0.8
    return sound


def onset(wave, rate=SAMPLE_RATE):
    """Seconds at which a wave first exceeds half its peak."""
    return float(np.argmax(np.abs(wave) > np.abs(wave).max() / 2)) / rate


# ---------------------------------------------------------------------------------------------- frames


def test_a_video_file_is_footage_and_touches_nothing_before_it_is_asked(tmp_path):
    assert isinstance(VideoFile(tmp_path / "absent.mp4", 25), Footage)


def test_frames_at_the_native_rate_are_the_frames_of_the_file(tmp_path):
    video = VideoFile(make_video(tmp_path / "a.mp4", ramp(50)), 25)
    frames = list(video.frames())
    assert numbers(frames) == list(range(50))
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 and frame.flags.c_contiguous for frame in frames)
    assert (video.size, video.native_fps) == ((48, 64), 25)
    assert video.seconds == pytest.approx(2.0, abs=1e-3)
    assert numbers(video.frames()) == list(range(50)), "a second reading gives the same"


@pytest.mark.parametrize(
    ("native", "fps"), [(Fraction(30), 25), (Fraction(2213, 100), 25), (Fraction(50), 25), (Fraction(12), 30)]
)
def test_a_resampled_frame_is_the_nearest_in_time(tmp_path, native, fps):
    count = 60
    found = numbers(VideoFile(make_video(tmp_path / "a.mp4", ramp(count), fps=native), fps).frames())
    assert len(found) == pytest.approx(count / native * fps, abs=0.5001)
    times = np.arange(count) / float(native)
    for number, source in enumerate(found):
        distance = np.abs(times - number / fps)
        assert distance[source] <= distance.min() + 1e-4


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rate_keeps_time_and_holds_a_paused_picture(tmp_path, suffix):
    times = [0, 0.04, 0.05, 0.12, 0.16, 0.20, 1.20, 1.24, 1.28]
    found = numbers(VideoFile(make_video(tmp_path / f"a.{suffix}", ramp(len(times)), times=times), 25).frames())
    # Output 2, at 0.08 s, is nearest to 0.05 s; frame 5 is held through the pause.
    assert found == [0, 1, 2, 3, 4, *[5] * 25, 6, 7, 8]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotated_video_comes_upright(tmp_path, rotation):
    image = grey(40)
    image[:16, :16] = 200  # upper left as stored
    path = make_video(tmp_path / "a.mp4", [image] * 5, rotation=rotation)
    video = VideoFile(path, 25)
    frame = next(iter(video.frames()))
    upright = np.rot90(image, rotation // 90)  # both count counter-clockwise
    assert video.size == upright.shape[:2] == frame.shape[:2]
    assert np.abs(frame.astype(int) - upright).mean() < 3
    assert frame.flags.c_contiguous


def test_a_turned_track_header_is_obeyed(tmp_path):
    """The rotation matrix that phones write, 90 degrees clockwise, patched into the track's header."""
    image = grey(40)
    image[:16, :16] = 200
    path = make_video(tmp_path / "a.mp4", [image] * 5)
    data = bytearray(path.read_bytes())
    identity = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    turned = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    at = data.index(identity, data.index(b"tkhd"))
    data[at : at + 36] = turned
    path.write_bytes(data)
    frame = next(iter(VideoFile(path, 25).frames()))
    assert np.abs(frame.astype(int) - np.rot90(image, -1)).mean() < 3


def test_mirrored_matrices():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(media._upright(image, (-65536, 0, 0, 65536)), image[:, ::-1])
    assert np.array_equal(media._upright(image, (65536, 0, 0, -65536)), image[::-1])
    assert np.array_equal(media._upright(image, (0, 65536, 65536, 0)), image.swapaxes(0, 1))


def test_odd_sizes_and_oblong_pixels(tmp_path):
    path = make_video(tmp_path / "odd.webm", ramp(4, (35, 51)), codec="libvpx", options={"crf": "4", "b": "2M"})
    frames = list(VideoFile(path, 25).frames())
    assert frames[0].shape == (35, 51, 3)
    assert frames[0].flags.c_contiguous
    with av.open(str(tmp_path / "wide.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for number in range(3):
            picture = av.VideoFrame.from_ndarray(grey(90, (64, 48)), format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    video = VideoFile(tmp_path / "wide.mp4", 25)
    assert video.size == next(iter(video.frames())).shape[:2] == (64, 64)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "m4v", "webm"])
def test_containers(tmp_path, suffix):
    codec = {"webm": "libvpx", "avi": "mpeg4"}.get(suffix, "libx264")
    sound_codec = {"webm": "libopus", "avi": "mp2"}.get(suffix, "aac")
    rate = 48_000 if suffix in ("webm", "avi") else 16_000
    path = make_video(
        tmp_path / f"a.{suffix}", ramp(50), codec=codec, sound=click(2, 1.0, rate), rate=rate, sound_codec=sound_codec
    )
    video = VideoFile(path, 25)
    assert len(list(video.frames())) == 50
    # AVI can say neither when sound starts nor how much of it is priming; MP2's is 30 ms.
    assert onset(video.wave()) == pytest.approx(1.0, abs=0.04 if suffix == "avi" else 0.003)


def test_no_frame_is_lost_where_pictures_are_not_the_first_stream(tmp_path):
    plain = make_video(tmp_path / "a.mp4", ramp(50), sound=click(2, 1.0), options={"bf": "3"})
    turned = tmp_path / "b.mp4"
    with av.open(str(plain)) as source, av.open(str(turned), "w") as out:
        streams = {own: out.add_stream_from_template(own) for own in (source.streams.audio[0], source.streams.video[0])}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    assert numbers(VideoFile(turned, 25).frames()) == numbers(VideoFile(plain, 25).frames())
    assert numbers(VideoFile(turned, 25).frames()) == list(range(50))


def test_chapters_are_no_frames(tmp_path):
    plain, named = make_video(tmp_path / "a.mp4", ramp(10)), tmp_path / "b.mp4"
    with av.open(str(plain)) as source, av.open(str(named), "w") as out:
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "I"}}]
        )
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    assert len(list(VideoFile(named, 25).frames())) == 10


# ----------------------------------------------------------------------------------------------- sound


def test_no_audio_stream(tmp_path):
    path = make_video(tmp_path / "mute.mp4", ramp(5))
    assert VideoFile(path, 25).wave() is None
    with pytest.raises(MediaError, match=r"mute\.mp4: has no sound"):
        read_wave(path)


def test_silent_sound_is_sound(tmp_path):
    wave = VideoFile(make_video(tmp_path / "a.mp4", ramp(25), sound=np.zeros((1, 16_000))), 25).wave()
    assert wave.dtype == np.float32
    assert len(wave) == pytest.approx(16_000, abs=1024)
    assert np.abs(wave).max() < 1e-4


@pytest.mark.parametrize(
    ("rate", "layout", "channels"), [(8_000, "mono", 1), (44_100, "stereo", 2), (48_000, "5.1", 6)]
)
def test_any_rate_and_layout_becomes_mono_at_16_khz(tmp_path, rate, layout, channels):
    seconds = 1.0
    t = np.arange(round(rate * seconds)) / rate
    tone = np.broadcast_to(0.9 * np.sin(2 * np.pi * 440 * t), (channels, len(t)))
    wave = VideoFile(make_video(tmp_path / "a.mp4", ramp(25), sound=tone, rate=rate, layout=layout), 25).wave()
    assert len(wave) == pytest.approx(16_000, abs=SAMPLE_RATE * 1024 / rate)
    middle = wave[4000:12_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(middle) == pytest.approx(440, abs=2)
    # The same tone in all channels keeps its level: no channel is lost, and nothing clips.
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.9, rel=0.05)


@pytest.mark.parametrize("start", [0.0, 0.3])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_that_starts_late_stays_in_sync(tmp_path, suffix, start):
    path = make_video(tmp_path / f"a.{suffix}", ramp(50), sound=click(1.5, 0.5), sound_start=start)
    assert onset(VideoFile(path, 25).wave()) == pytest.approx(0.5 + start, abs=0.002)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_pictures_that_start_late_are_time_0(tmp_path, suffix):
    times = 0.2 + np.arange(40) / 25
    path = make_video(tmp_path / f"a.{suffix}", ramp(40), times=times, sound=click(1.5, 0.5))
    video = VideoFile(path, 25)
    assert numbers(video.frames()) == list(range(40))
    assert onset(video.wave()) == pytest.approx(0.3, abs=0.002)
    assert onset(read_wave(path)) == pytest.approx(0.5, abs=0.002)


def test_a_hole_in_the_sound_becomes_silence(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0.0, 1.0):
            frame = av.AudioFrame.from_ndarray(np.full((1, 4000), 8000, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 16_000, Fraction(1, 16_000), round(start * 16_000)
            for packet in stream.encode(frame):
                container.mux(packet)
    wave = read_wave(path)
    assert len(wave) == 20_000
    assert np.allclose(wave[:4000], 8000 / 32768, atol=1e-4)
    assert np.all(wave[4010:15_990] == 0)
    assert np.allclose(wave[16_000:], 8000 / 32768, atol=1e-4)


def test_a_wav_file_is_read_sample_by_sample(tmp_path):
    samples = np.random.default_rng(0).integers(-30_000, 30_000, 5000).astype("<i2")
    with pcm.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(samples.tobytes())
    assert np.allclose(read_wave(tmp_path / "a.wav"), samples / 32768, atol=1e-6)


# ------------------------------------------------------------------------------------------- bad files


def read_all(path):
    video = VideoFile(path, 25)
    list(video.frames())
    video.wave()


def write_pcm(path, samples, rate):
    with pcm.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@pytest.mark.parametrize(("rate", "within"), [(16_000, 0.0), (44_100, 0.02), (8_000, 0.02)])
@pytest.mark.parametrize(("start", "seconds"), [(0.0, 1.0), (1.37, 0.5), (2.5, 9.0)])
def test_a_part_of_the_sound_is_that_part_of_the_whole(tmp_path, rate, within, start, seconds):
    time = np.arange(3 * rate) / rate
    write_pcm(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * (200 + 50 * time) * time), rate)
    whole, part = read_wave(tmp_path / "a.wav"), read_wave(tmp_path / "a.wav", start, seconds)
    first = round(start * SAMPLE_RATE)
    expected = whole[first : first + round(seconds * SAMPLE_RATE)]
    assert abs(len(part) - len(expected)) <= 1
    common = min(len(part), len(expected))
    assert np.abs(part[:common] - expected[:common]).max() <= within


def test_a_part_of_a_coded_video_is_that_part_of_its_sound(tmp_path):
    time = np.arange(3 * 48_000) / 48_000
    make_video(tmp_path / "a.mp4", [grey(9)] * 75, sound=0.5 * np.sin(900 * time)[None], rate=48_000)
    whole, part = read_wave(tmp_path / "a.mp4"), read_wave(tmp_path / "a.mp4", 1.0, 0.5)
    assert np.abs(part - whole[16_000:24_000]).max() < 0.02


def test_a_part_beyond_the_end_is_empty(tmp_path):
    write_pcm(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    assert read_wave(tmp_path / "a.wav", 1.5, 1.0).shape == (0,)


def test_a_part_takes_no_memory_for_the_whole(tmp_path):
    write_pcm(tmp_path / "a.wav", np.zeros(120 * 16_000), 16_000)
    tracemalloc.start()
    read_wave(tmp_path / "a.wav", 60.0, 1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6  # all of it would be 7.7e6


def test_unreadable_files_are_explained(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("Not a film.\n" * 50)
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n")
    (tmp_path / "folder.mp4").mkdir()
    for name, reason in {
        "empty": "the file is empty",
        "text": "is no video or sound file",
        "playlist": "is no video or sound file|has no video stream|holds no frame|damaged",
        "folder": "is a folder",
        "absent": "no such file",
    }.items():
        with pytest.raises(MediaError, match=rf"{name}\.mp4: .*({reason})"):
            read_all(tmp_path / f"{name}.mp4")


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "a.wav"
    with pcm.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(4000))
    with pytest.raises(MediaError, match="has no video stream"):
        VideoFile(path, 25).size  # noqa: B018


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_truncated_file_gives_what_it_has_then_names_the_frame(tmp_path, suffix):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(100)]
    whole = make_video(
        tmp_path / f"whole.{suffix}",
        noise,
        sound=rng.normal(0, 0.1, (1, 64_000)),
        options={"crf": "10", "bf": "0", "tune": "zerolatency"},
    )
    if suffix == "mp4":  # the index in front, as on the web: else nothing can be read
        with (
            av.open(str(whole)) as source,
            av.open(str(tmp_path / "front.mp4"), "w", options={"movflags": "+faststart"}) as target,
        ):
            streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    target.mux(packet)
        whole = tmp_path / "front.mp4"
    read_all(whole)
    data = whole.read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(data[: len(data) // 2])
    frames = []
    with pytest.raises(MediaError, match=rf"cut\.{suffix}: damaged or cut short at frame \d+, [123]\.\d+ s"):
        frames.extend(VideoFile(path, 25).frames())
    assert 25 <= len(frames) <= 75
    with pytest.raises(MediaError, match="damaged or cut short at block of sound"):
        VideoFile(path, 25).wave()


def test_an_mp4_cut_before_its_index(tmp_path):
    path = make_video(tmp_path / "a.mp4", ramp(20))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MediaError, match=r"a\.mp4: .*index.*convert it again"):
        read_all(path)


def test_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(MediaError, match="b: there is no such file"):
        file_digest(tmp_path / "b")


# --------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("fps", [25, 29.97, 22.13])
def test_click_and_flash_stay_together(tmp_path, fps):
    count, flashes = 100, (5, 50, 93)
    wave = np.zeros(round(count / fps * SAMPLE_RATE), np.float32)
    for number in flashes:
        wave[round(number / fps * SAMPLE_RATE) :][:32] = 0.9
    path = tmp_path / "a.mp4"
    with VideoWriter(path, fps, wave) as writer:
        for number in range(count):
            writer.write(grey(230 if number in flashes else 20))
    # Read by PyAV itself: times in the file, as a player sees them.
    with av.open(str(path)) as container:
        seen = [frame.time for frame in container.decode(video=0) if frame.to_ndarray(format="gray").mean() > 120]
    heard = []
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.5)
            heard += [frame.time + at / rate for at in loud]
    heard = [time for time, before in zip(heard, [-1, *heard], strict=False) if time - before > 0.1]
    assert len(seen) == len(heard) == 3
    assert np.allclose(seen, [number / fps for number in flashes], atol=2e-3)
    assert np.allclose(heard, seen, atol=5e-3)
    # And by our own reader.
    video = VideoFile(path, fps)
    assert [number for number, frame in enumerate(video.frames()) if frame.mean() > 120] == list(flashes)
    own = np.flatnonzero(np.abs(video.wave()) > 0.5) / SAMPLE_RATE
    assert all(np.abs(own - number / fps).min() < 2e-3 for number in flashes)
    assert len(own) < 200


def boxes(path):
    """Names and codecs of an mp4's boxes, parsed by hand."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        names.append(name)
        at += size
    assert at == len(data)
    return names, data


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_what_is_written_suits_a_browser(tmp_path, seconds):
    wave = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE)).astype(np.float32)
    with VideoWriter(tmp_path / "a.mp4", 25, wave) as writer:
        for _ in range(40):
            writer.write(grey(100, (35, 51)))
    assert os.listdir(tmp_path) == ["a.mp4"]
    names, data = boxes(tmp_path / "a.mp4")
    assert names.index(b"moov") < names.index(b"mdat")
    assert b"avc1" in data
    assert b"mp4a" in data
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.pix_fmt, video.frames) == (52, 36, "yuv420p", 40)
        assert video.codec_context.profile in ("High", "Main", "Constrained Baseline")
        assert abs(float(audio.duration * audio.time_base) - 40 / 25) < 1 / 25
        assert float(video.duration * video.time_base) == pytest.approx(40 / 25)


def test_colours_and_the_doubled_edge_survive(tmp_path):
    colours = np.array([[200, 30, 60], [10, 220, 30], [20, 40, 230], [128, 128, 128], [230, 180, 150]], np.uint8)
    image = np.repeat(np.repeat(colours[None], 33, 0), 15, 1)  # (33, 75, 3)
    with VideoWriter(tmp_path / "a.mp4", 25, crf=5) as writer:
        for _ in range(3):
            writer.write(image)
    frame = next(iter(VideoFile(tmp_path / "a.mp4", 25).frames()))
    assert frame.shape == (34, 76, 3)
    for number, colour in enumerate(colours):
        block = frame[4:-4, 15 * number + 4 : 15 * number + 11]
        assert np.abs(block.reshape(-1, 3).mean(0) - colour).max() < 3
    assert np.abs(frame[:, -1].astype(int) - frame[:, -2]).mean() < 3
    assert np.abs(frame[-1].astype(int) - frame[-2]).mean() < 3


def test_pictures_do_not_darken(tmp_path):
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 25, crf=1) as writer:
        for level in levels:
            writer.write(grey(level))
    found = np.array([frame.mean() for frame in VideoFile(tmp_path / "a.mp4", 25).frames()])
    assert np.abs(found - levels).max() <= 1.0
    assert abs((found - levels).mean()) < 0.15


def test_an_error_while_writing_leaves_nothing(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"what was there before")

    def write(*frames, after=None):
        with VideoWriter(tmp_path / "a.mp4", 25) as writer:
            for frame in frames:
                writer.write(frame)
            if after:
                raise after

    with pytest.raises(RuntimeError, match="the renderer broke"):
        write(*[grey(9)] * 3, after=RuntimeError("the renderer broke"))
    with pytest.raises(ValueError, match="no frame"):
        write()
    with pytest.raises(ValueError, match=r"frame 1 is \(48, 66\)"):
        write(grey(9), grey(9, (48, 66)))
    with pytest.raises(ValueError, match="float64"):
        write(np.zeros((8, 8, 3)))
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"what was there before"
    with pytest.raises(StorageError, match=r"b\.mp4: cannot be written"), VideoWriter(tmp_path / "a.mp4/b.mp4", 25):
        pass


def write_noise(path):
    rng = np.random.default_rng(0)
    with VideoWriter(path, 25, np.zeros(32_000, np.float32), crf=10) as writer:
        for _ in range(50):
            writer.write(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8))


def test_a_file_that_cannot_grow_is_a_storage_error(tmp_path):
    path = tmp_path / "a.mp4"
    write_noise(path)
    size = path.stat().st_size
    path.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (4096, size // 2, size - 100):  # at the first packet, midway, and in the very last write
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(StorageError, match=r"a\.mp4: cannot be written \(File too large\); free space"):
                write_noise(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert os.listdir(tmp_path) == []


def test_a_full_disk_is_a_storage_error(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a small disk here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(StorageError, match=r"a\.mp4: cannot be written \(No space left on device\); free space"):
            write_noise(tmp_path / "a.mp4")
        assert os.listdir(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path):
    def peak(count):
        program = f"""
import resource
from pathlib import Path
import numpy as np
from vast_core.media import VideoFile, VideoWriter
frame = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
with VideoWriter(Path({str(tmp_path / "a.mp4")!r}), 25, np.zeros({count} * 640, np.float32)) as writer:
    for number in range({count}):
        writer.write(np.roll(frame, number, 0))
print(sum(1 for _ in VideoFile(Path({str(tmp_path / "a.mp4")!r}), 25).frames()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
        lines = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
        assert int(lines[0]) == count
        return int(lines[1])

    assert peak(4000) < peak(500) + 30


# ------------------------------------------------------------------------------------------------ endlessly


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 40])
def test_a_video_is_played_again_and_again(tmp_path, count):
    path, size = tmp_path / "base.mp4", (35, 51)
    with VideoWriter(path, 25, crf=4, full_colour=True) as writer:
        for number in range(count):
            writer.write(grey(5 * number, size))
    expected = (list(range(count)) * 4)[: 3 * count + 2]
    played = list(islice(endlessly(path, count), len(expected)))
    assert [number for number, _ in played] == expected
    for number, picture in played:
        assert picture.shape == (*size, 3)
        assert np.abs(picture.astype(int) - 5 * number).max() <= 2


def test_a_video_that_ends_early_is_named_while_it_plays(tmp_path):
    path = tmp_path / "base.mp4"
    with VideoWriter(path, 25) as writer:
        for number in range(5):
            writer.write(grey(5 * number))
    with pytest.raises(MediaError, match=r"base\.mp4: ends before frame 8"):
        list(islice(endlessly(path, 9), 20))


def test_full_colour_keeps_the_colour_of_every_pixel(tmp_path):
    stripes = np.zeros((32, 33, 3), np.uint8)
    stripes[:, ::2, 0] = 200
    stripes[:, 1::2, 2] = 200
    errors = {}
    for full in (True, False):
        with VideoWriter(tmp_path / "v.mp4", 25, crf=0, full_colour=full) as writer:
            writer.write(stripes)
        shown = next(iter(VideoFile(tmp_path / "v.mp4", 25).frames()))
        errors[full] = np.abs(shown[:, :33].astype(int) - stripes).mean()
    assert errors[True] < 2 < 30 < errors[False]


def test_a_pointer_of_a_checkout_is_told(tmp_path):
    (tmp_path / "a.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(MediaError, match="is a pointer of Git LFS, not the file itself; get it with `git lfs pull`"):
        read_all(tmp_path / "a.mp4")


def test_the_digest_of_a_large_file_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(opening, "KEPT_BYTES", 1000)
    path, read = tmp_path / "a.mp4", []
    path.write_bytes(b"a" * 2000)
    os.utime(path, (1, 1))
    whole = opening.content_digest
    monkeypatch.setattr(opening, "content_digest", lambda own: read.append(own) or whole(own))

    def digest():
        opening._known_digest.cache_clear()  # as in another process
        return file_digest(path)

    for _ in range(3):
        assert digest() == hashlib.sha256(b"a" * 2000).hexdigest()
    assert len(read) == 1
    path.write_bytes(b"b" * 2000)
    os.utime(path, (2, 2))
    assert digest() == hashlib.sha256(b"b" * 2000).hexdigest()
    path.write_bytes(b"c" * 2000)  # just now: another change within the same tick would not be seen
    assert [digest(), digest()] == [hashlib.sha256(b"c" * 2000).hexdigest()] * 2
    assert len(read) == 4
    os.utime(path, (3, 3))
    (tmp_path / "file").touch()
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "file"))
    assert digest() == hashlib.sha256(b"c" * 2000).hexdigest(), "a cache that cannot be written does no harm"
