"""The runtime hears, plays and writes files as vast does."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from hashlib import sha256
from itertools import islice
from types import SimpleNamespace
from unittest.mock import MagicMock

import av
import numpy as np
import pytest

from vast_core.interfaces import Consent
from vast_core.media import SPOKEN, VideoFile, VideoWriter, endlessly, is_spoken, read_wave
from vast_core.speak.consenting import plain_consent
from vast_export.packing import ends_of
from vast_runtime import AvatarError, load
from vast_runtime.packed import Packed
from vast_runtime.playing import play
from vast_runtime.sound import Sound
from vast_runtime.sound import read_wave as our_read_wave
from vast_runtime.writing import write_video


def write_sound(path, rate, channels, codec="pcm_s16le", seconds=1.3):
    chance = np.random.default_rng(0)
    wave = 0.2 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono" if channels == 1 else "stereo")
        both = np.stack([wave * (1 - 0.3 * n) for n in range(channels)]) + 0.01 * chance.normal(
            size=(channels, len(wave))
        )
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(both.astype(np.float32)), format="fltp", layout=stream.layout.name
        )
        frame.sample_rate = rate
        for block in (frame, None):
            container.mux(stream.encode(block))


@pytest.mark.parametrize(
    ("name", "rate", "channels", "codec"),
    [
        ("a.wav", 16_000, 1, "pcm_s16le"),
        ("b.wav", 44_100, 2, "pcm_s16le"),
        ("c.flac", 48_000, 1, "flac"),
        ("d.m4a", 44_100, 2, "aac"),
        ("e.wav", 8_000, 2, "pcm_f32le"),
    ],
)
def test_a_file_sounds_as_in_vast(tmp_path, name, rate, channels, codec):
    write_sound(tmp_path / name, rate, channels, codec)
    wave = read_wave(tmp_path / name)
    assert wave.std() > 0.05
    np.testing.assert_array_equal(our_read_wave(tmp_path / name), wave)
    np.testing.assert_array_equal(our_read_wave(io.BytesIO((tmp_path / name).read_bytes())), wave)


def test_a_window_of_sound_is_filled_up_with_silence_and_forgets_what_is_behind():
    wave = np.arange(1, 101, dtype=np.float32)
    sound = Sound(wave[at : at + 7] for at in range(0, 100, 7))
    sound.wait_for(20)
    assert (sound.samples, sound.ended) == (21, False)
    np.testing.assert_array_equal(sound.window(-3, 6), [0, 0, 0, 1, 2, 3])
    np.testing.assert_array_equal(sound.window(5, 4), [6, 7, 8, 9])
    sound.wait_for(1000)
    np.testing.assert_array_equal(sound.window(97, 6), [98, 99, 100, 0, 0, 0])
    assert sound.ended
    assert len(sound._kept) == 3
    np.testing.assert_array_equal(sound.window(200, 2), [0, 0])


@pytest.mark.parametrize(
    ("speech", "message"),
    [
        (np.zeros((2, 5), np.float32), r"float32 \(2, 5\)"),
        (np.zeros(5, np.int16), "int16"),
        (np.full(5, np.nan, np.float32), "not finite"),
        ([0.5], "float; give"),
        ([], "is empty"),
    ],
)
def test_what_is_no_sound_is_told(speech, message):
    with pytest.raises(AvatarError, match=message):
        Sound(speech).wait_for(10)


def test_a_video_is_written_as_by_vast(tmp_path):
    chance = np.random.default_rng(1)
    frames = [np.full((50, 41, 3), 9 * n, np.uint8) + chance.integers(0, 9, (50, 41, 3), np.uint8) for n in range(9)]
    wave = 0.1 * chance.normal(size=6000).astype(np.float32)
    write_video(iter(frames), 25, wave, tmp_path / "ours.mp4", {"comment": SPOKEN})
    with VideoWriter(tmp_path / "core.mp4", 25, wave, metadata={"comment": SPOKEN}) as writer:
        for frame in frames:
            writer.write(frame)
    ours, core = (list(VideoFile(tmp_path / f"{name}.mp4", 25).frames()) for name in ("ours", "core"))
    # not bit for bit: x264 now and then chooses otherwise in a block that is partly outside of such an odd picture
    assert np.abs(np.stack(ours).astype(int) - np.stack(core)).mean() < 0.05
    np.testing.assert_array_equal(read_wave(tmp_path / "ours.mp4"), read_wave(tmp_path / "core.mp4"))
    assert is_spoken(tmp_path / "ours.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["core.mp4", "ours.mp4"]


FACTS = {
    "format": 1,
    "name": "ann",
    "fps": 25,
    "size": [32, 48],
    "frames": 11,
    "audio": {"frames": 1, "lead": 0, "samples": 640},
    "lookahead": 0,
    "style_size": 4,
    "model": "abc",
    "styles": {},
    "factors": {},
    "middle": None,
    "graphs": {},
    "crop": {"x": 0, "y": 0, "side": 32, "size": 16},
    "erosion": 1,
    "draws_close_up": False,
    "mouth": None,
    "metadata": {},
    "consent": {"until": None, "withdrawn": None},
}


def packed(path, facts, **members):
    """A file with ``avatar.json`` and other members, whose SHA-256 is right."""
    digests = {name: sha256(content).hexdigest() for name, content in members.items()}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("avatar.json", json.dumps(FACTS | {"sha256": digests} | facts))
        for name, content in members.items():
            file.writestr(name, content)
    return path


def tables():
    content = io.BytesIO()
    np.savez(content, pose=np.zeros((1, 3, 4)))
    return content.getvalue()


def test_footage_is_played_out_of_the_packed_file(tmp_path):
    with VideoWriter(tmp_path / "base.mp4", 25, crf=6, full_colour=True) as writer:
        for number in range(11):
            writer.write(np.full((32, 48, 3), 20 * number, np.uint8))
    video = (tmp_path / "base.mp4").read_bytes()
    path = packed(tmp_path / "a.vast", {}, **{"base.mp4": video, "tables.npz": tables()})
    core = list(islice(endlessly(tmp_path / "base.mp4", 11), 45))
    ours = list(islice(play(Packed(path, 1)), 45))
    assert [number for number, _ in ours] == [number for number, _ in core]
    np.testing.assert_array_equal(np.stack([p for _, p in ours]), np.stack([p for _, p in core]))


@pytest.mark.parametrize("fault", ["missing", "text", "core", "format", "digest", "extra", "no video"])
def test_what_is_no_avatar_is_told(tmp_path, fault):
    path, members = tmp_path / "a.vast", {"base.mp4": b"video", "tables.npz": tables()}
    packed(path, {"format": 2} if fault == "format" else {}, **members)
    if fault == "missing":
        path.unlink()
    elif fault == "text":
        path.write_text("an avatar")
    elif fault == "core":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("manifest.json", "{}")
    elif fault == "digest":
        path.write_bytes(path.read_bytes().replace(b"video", b"audio"))
    elif fault == "extra":
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("../elsewhere", "x")
    elif fault == "no video":
        packed(path, {"sha256": {}})
    told = {
        "missing": "there is no such file",
        "text": "is not an avatar",
        "core": "packed for vast itself; pack its run with `vast pack --format onnx`",
        "format": "is of format 2, where this vast-runtime reads 1",
        "digest": "SHA-256|damaged",
        "extra": "members are not those",
        "no video": "or is damaged",
    }
    with pytest.raises(AvatarError, match=told[fault]):
        load(path)


def test_tables_are_read_without_pickle(tmp_path):
    content = io.BytesIO()
    np.savez(content, pose=np.array([SimpleNamespace()], object))
    path = packed(tmp_path / "a.vast", {}, **{"tables.npz": content.getvalue()})
    with pytest.raises(AvatarError, match="allow_pickle"):
        load(path)


def test_each_fact_is_needed_and_of_its_type(tmp_path):
    path, members = tmp_path / "a.vast", {"base.mp4": b"video", "tables.npz": tables()}
    for name in FACTS.keys() - {"format", "middle", "mouth"}:
        for value in (None, [[]], {"x": 1}):
            if type(value) is type(FACTS[name]):
                continue
            packed(path, {name: value}, **members)
            with pytest.raises(AvatarError, match=r"a\.vast.*(damaged|announces)"):
                load(path)
    for facts in ({"fps": 0}, {"size": [1]}, {"draws_close_up": True}, {"fps": float("nan")}):
        with pytest.raises(AvatarError, match="damaged"):
            load(packed(path, facts, **members))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("avatar.json", "[1]")
    with pytest.raises(AvatarError, match=r"a\.vast.*no mapping"):
        load(path)


def test_a_network_or_a_table_that_cannot_be_used_is_told(tmp_path):
    about = {"file": "face.onnx", "inputs": {}, "outputs": [], "states": []}
    members = {"base.mp4": b"video", "tables.npz": tables()}
    with pytest.raises(AvatarError, match=r"a\.vast.*damaged \(face is missing\)"):
        load(packed(tmp_path / "a.vast", {}, **members))
    path = packed(tmp_path / "a.vast", {"graphs": {"face": about}}, **members, **{"face.onnx": b"no network"})
    with pytest.raises(AvatarError, match=r"a\.vast.*damaged"):
        load(path)


def test_bytes_of_an_archive_that_change_never_raise_another_error(tmp_path):
    path, chance = tmp_path / "a.vast", np.random.default_rng(0)
    content = packed(path, {}, **{"base.mp4": b"video", "tables.npz": tables()}).read_bytes()
    for at in range(len(content) - 300, len(content), 4):  # the directory of the archive
        changed = bytearray(content)
        changed[at] = chance.integers(256)
        path.write_bytes(changed)
        with pytest.raises(AvatarError, match=r"a\.vast"):
            load(path)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"7", b"{}", b'{"__metadata__": {"vast": "[]"}, "code": {"dtype": "F32", "data_offsets": [0, 4]}}'],
)
def test_a_damaged_style_is_told(tmp_path, header, monkeypatch):
    monkeypatch.setattr("vast_runtime.avatar.Artist", MagicMock())
    avatar = load(packed(tmp_path / "a.vast", {}, **{"base.mp4": b"video", "tables.npz": tables()}))
    style = tmp_path / "sad.safetensors"
    style.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(AvatarError, match=r"sad\.safetensors: is not a style"):
        avatar.style(style)


DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        ({}, True),
        ({"until": datetime.date.today() + DAY}, True),
        ({"until": datetime.date.today() - DAY}, False),
        ({"withdrawn": datetime.date.today() - DAY}, False),
    ],
)
def test_an_avatar_whose_consent_has_ended_does_not_speak(tmp_path, monkeypatch, given, holds):
    monkeypatch.setattr("vast_runtime.avatar.Artist", MagicMock())
    consent = Consent(who="Ann", purpose="a page", **given)
    facts = {"consent": ends_of({"consent": plain_consent("ann", {"ann": consent})})}
    path = packed(tmp_path / "a.vast", facts, **{"base.mp4": b"video", "tables.npz": tables()})
    if holds:
        avatar = load(path)
        avatar._packed.facts["consent"]["until"] = "2020-01-01"  # ends while a server runs
        with pytest.raises(AvatarError, match="ended on 2020-01-01"):
            avatar.speak(np.zeros(640, np.float32), avatar.style())
    else:
        with pytest.raises(AvatarError, match=consent.ended(datetime.date.today())):
            load(path)


def test_without_consent_of_anybody_nothing_ends():
    for header in ({}, {"consent": None}, {"consent": {"state": "missing"}}):
        assert ends_of(header) == {"until": None, "withdrawn": None}


def test_bytes_cannot_name_other_files(tmp_path, monkeypatch):
    write_sound(tmp_path / "secret.wav", 16_000, 1)
    monkeypatch.chdir(tmp_path)
    playlist = b"ffconcat version 1.0\nfile secret.wav\n"
    (tmp_path / "list.ffconcat").write_bytes(playlist)
    assert len(our_read_wave("list.ffconcat")), "as a file of the user it is read"
    with pytest.raises(AvatarError, match="cannot be read as sound"):
        our_read_wave(io.BytesIO(playlist))


def test_only_the_first_seconds_are_read(tmp_path):
    write_sound(tmp_path / "a.wav", 16_000, 1, seconds=3)
    whole = our_read_wave(tmp_path / "a.wav")
    np.testing.assert_array_equal(our_read_wave(tmp_path / "a.wav", 0.5), whole[:8000])
    np.testing.assert_array_equal(our_read_wave(tmp_path / "a.wav", 9), whole)
