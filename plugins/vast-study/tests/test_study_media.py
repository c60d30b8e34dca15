"""What judges get: the same pictures and sound, in a file that tells nothing, written once."""

from __future__ import annotations

import io
from fractions import Fraction

import attrs
import av
import cv2
import numpy as np
import pytest
from rich.console import Console
from sqlalchemy import select

from vast_core.errors import InputError, MediaError
from vast_study import media as media_module
from vast_study.enrolment import enrol
from vast_study.media import draw_instruction, write_medium
from vast_study.preparation import planned, prepare, wanted
from vast_study.storage import medium_path, open_storage
from vast_study.study import Known, Question, Study
from vast_study.tables import Medium, Task

SECRET = "ember-secret"
"""Stands wherever a file may say where it is from."""


def write_source(
    path, *, seconds=1.0, fps=25, size=(96, 64), layout="stereo", rate=44_100, sound=True, heard=None, late=0.0
):
    """A video with a bar that moves, a flash and a click at half a second, and as much metadata as fits in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        out.metadata.update({"title": SECRET, "artist": SECRET, "comment": SECRET, "description": SECRET})
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": SECRET}}]
        )
        video = out.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt, video.options = size[1], size[0], "yuv420p", {"crf": "10"}
        video.metadata.update({"handler_name": SECRET, "title": SECRET})
        if sound:
            audio = out.add_stream("aac", rate=rate, layout=layout)
            audio.bit_rate = 256_000
            audio.metadata.update({"handler_name": SECRET, "title": SECRET})
        for number in range(round(seconds * fps)):
            image = np.full((*size, 3), (60, 90, 120), np.uint8)
            image[:, number % size[1] : number % size[1] + 8] = 200
            if number / fps == 0.52:
                image[:] = 255
            out.mux(video.encode(frame_at(image, number, fps, late)))
        if sound:
            time = np.arange(round((heard or seconds) * rate)) / rate
            left = 0.2 * np.sin(2 * np.pi * 440 * time)
            channels = [left, 0.1 * np.sin(2 * np.pi * 1000 * time)] if layout == "stereo" else [left]
            wave = np.stack(channels).astype(np.float32)
            wave[:, round(0.52 * rate) : round(0.52 * rate) + 20] += 0.6
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, round(late * rate), Fraction(1, rate)
            out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
        out.mux(video.encode(None))
    return path


def frame_at(image, number, fps, late):
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    frame.pts, frame.time_base = number + round(late * fps), Fraction(1, fps)
    return frame


def sound_of(path):
    """(2, S) at the file's rate, each sample at its time after the first picture."""
    with av.open(str(path)) as container:
        start = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    wave = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
    missing = round((frames[0].time - start) * frames[0].sample_rate)
    return np.pad(wave, ((0, 0), (max(missing, 0), 0)))[:, max(-missing, 0) :], frames[0].sample_rate


def pictures_of(path):
    """By OpenCV's own FFmpeg, which is another one than PyAV's."""
    video = cv2.VideoCapture(str(path))
    images = []
    while (read := video.read())[0]:
        images.append(read[1])
    return np.stack(images), video.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_nothing_tells_where_a_video_is_from(tmp_path, ending):
    source = write_source(tmp_path / SECRET / f"{SECRET}-clip.{ending}")
    assert SECRET.encode() in source.read_bytes()
    target = tmp_path / "out.mp4"
    write_medium(source, target)
    found = target.read_bytes()
    for word in (SECRET, "clip", "Lavf", "Lavc", "x264", "libx", str(tmp_path)):
        assert word.encode() not in found, word
    with av.open(str(target)) as container:
        assert container.metadata.keys() <= {"major_brand", "minor_version", "compatible_brands"}
        assert not container.chapters()
        assert [stream.metadata.get("handler_name") for stream in container.streams] == ["VideoHandler", "SoundHandler"]
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = found.index(box)
        assert found[at + 8 : at + 16] == bytes(8), "a time of day is in the file"
    assert target.stat().st_mtime == 0, "servers tell when a file was written, and so in which order"


def test_it_is_what_browsers_play_and_begins_with_its_index(tmp_path):
    target = tmp_path / "out.mp4"
    written = write_medium(write_source(tmp_path / "a.mkv"), target)
    found = target.read_bytes()
    assert found.index(b"moov") < found.index(b"mdat")
    with av.open(str(target)) as container:
        video, audio = container.streams
        assert (video.codec.name, video.pix_fmt, audio.codec.name) == ("h264", "yuv420p", "aac")
        assert (audio.rate, audio.layout.name) == (48_000, "stereo")
        assert written.seconds == pytest.approx(float(video.duration * video.time_base)) == 1.0


@pytest.mark.parametrize(("fps", "size"), [(25, (96, 64)), (30, (64, 128)), (Fraction(30_000, 1001), (50, 70))])
def test_pictures_are_those_of_the_source(tmp_path, fps, size):
    source = write_source(tmp_path / "a.mp4", fps=fps, size=size)
    target = tmp_path / "out.mp4"
    write_medium(source, target)
    (before, rate), (after, written_rate) = pictures_of(source), pictures_of(target)
    assert written_rate == pytest.approx(rate, abs=0.01)
    assert after.shape == before.shape
    noise = ((before.astype(float) - after) ** 2).mean()
    assert 10 * np.log10(255**2 / noise) > 38


@pytest.mark.parametrize("layout", ["stereo", "mono"])
@pytest.mark.parametrize("late", [0.0, 3.0])
def test_sound_keeps_level_sides_and_moment(tmp_path, layout, late):
    source = write_source(tmp_path / "a.mkv", layout=layout, late=late)
    target = tmp_path / "out.mp4"
    write_medium(source, target)
    wave, rate = sound_of(target)
    for side, (hertz, level) in enumerate([(440, 0.2), (1000, 0.1)] if layout == "stereo" else [(440, 0.2)] * 2):
        part = wave[side, round(0.1 * rate) : round(0.4 * rate)]
        assert np.sqrt(2 * (part**2).mean()) == pytest.approx(level, rel=0.02)
        assert np.abs(np.fft.rfft(part)).argmax() / 0.3 == pytest.approx(hertz, abs=4)
    click = np.abs(wave[0]).argmax() / rate
    flash = pictures_of(target)[0].mean((1, 2, 3)).argmax() / 25
    assert click == pytest.approx(0.52, abs=0.002)
    assert flash == pytest.approx(0.52, abs=1e-6)


def test_sound_is_as_long_as_the_pictures(tmp_path):
    source = write_source(tmp_path / "a.mp4", seconds=2, heard=1)
    target = tmp_path / "out.mp4"
    written = write_medium(source, target)
    assert written.seconds == 2.0
    assert written.sound == pytest.approx(1.0, abs=0.05)
    wave, rate = sound_of(target)
    assert wave.shape[1] / rate == pytest.approx(2.0, abs=0.03)
    assert np.abs(wave[:, round(1.1 * rate) :]).max() < 1e-3


def test_a_video_without_sound_stays_so(tmp_path):
    target = tmp_path / "out.mp4"
    assert write_medium(write_source(tmp_path / "a.mp4", sound=False), target).sound is None
    assert not media_module.has_sound(target)


def test_a_damaged_source_leaves_nothing(tmp_path):
    source = write_source(tmp_path / "a.mp4")
    source.write_bytes(source.read_bytes()[:-2000])
    with pytest.raises(MediaError, match=r"a\.mp4"):
        write_medium(source, tmp_path / "out" / "b.mp4")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("size", [(256, 256), (96, 64), (1080, 1920), (640, 360)])
def test_an_instruction_stands_within_the_picture(size):
    image = np.full((*size, 3), 128, np.uint8)
    drawn = draw_instruction(image, "Please answer 4\nto every question")
    assert (image == 128).all()
    letters = np.argwhere((drawn > 200).all(2))
    assert len(letters) > 0.003 * size[0] * size[1], "too small to be read"
    margins = [letters.min(0), np.array(size) - letters.max(0)]
    assert all(margin[1] > 0.02 * size[1] and margin[0] > 0.1 * size[0] for margin in margins)


# -------------------------------------------------------------------------------------------------- preparing


@pytest.fixture
def study(tmp_path):
    systems = {name: tmp_path / name for name in (SECRET, "frost-secret")}
    for number, folder in enumerate(systems.values()):
        for clip in "abcdef":
            write_source(folder / f"{clip}.mp4", seconds=0.4 + 0.04 * number, size=(48, 32 + 16 * number))
    questions = (Question(name="sync", title="Sync", text="?", best="best", worst="worst"),)
    return Study(
        path=tmp_path / "mos.yaml",
        name="mos",
        title="A study",
        contact="nobody",
        seed=1,
        judges=3,
        block=4,
        questions=questions,
        systems=systems,
        known=(Known(file=tmp_path / SECRET / "a.mp4", kind="training", expected={"sync": (4, 5)}, feedback="Good."),),
        consent="Please.",
        clips=None,
        database=None,
        reference="frost-secret",
        made={"gold": 1, "trap": 2},
    )


def prepared(study):
    """The media by key, the files, and what was said."""
    storage, told = open_storage(study), io.StringIO()
    try:
        prepare(study, storage, Console(file=told, width=400))
        with storage.reading() as session:
            found = {(own.kind, own.system, own.clip): own for own in session.scalars(select(Medium))}
            plan = planned(session, study).plan
            session.expunge_all()
    finally:
        storage.close()
    return found, plan, told.getvalue()


def test_everything_is_written_once_under_names_that_say_nothing(study, monkeypatch):
    found, plan, told = prepared(study)
    assert len(plan.clips) == 5  # of six, one is gold
    assert (len(plan.training), len(plan.gold), len(plan.trap)) == (1, 1, 2)
    assert not set(plan.gold) & set(plan.clips)
    assert set(plan.trap) <= set(plan.clips)
    assert len(found) == 5 * 2 + 4
    assert {file.name for file in study.media.iterdir()} == {f"{own.id}.mp4" for own in found.values()}
    assert all(len(bytes.fromhex(own.id)) == 16 for own in found.values())
    assert found["training", None, "a"].expected == {"sync": [4, 5]}
    assert found["training", None, "a"].feedback == "Good."
    assert found["gold", None, plan.gold[0]].expected == {"sync": [3, 5]}
    traps = [found["trap", None, clip] for clip in plan.trap]
    assert sorted(own.expected["sync"] for own in traps) == [[2, 2], [4, 4]]
    assert f"not rated, because they are used for gold: {plan.gold[0]}" in told
    assert "differ in length" not in told
    monkeypatch.setattr(media_module, "write_medium", None)  # nothing is left to write
    again, _, _ = prepared(study)
    assert {key: own.id for key, own in again.items()} == {key: own.id for key, own in found.items()}


def test_traps_say_which_score_to_give(study):
    found, plan, _ = prepared(study)
    for own in wanted(study):
        if own.kind == "trap":
            score = own.expected["sync"][0]
            assert f"answer {score}" in own.instruction
            drawn, _ = pictures_of(medium_path(study, found[own.key]))
            plain, _ = pictures_of(own.source)
            assert (np.abs(drawn.astype(int) - plain).mean((1, 2, 3)) > 5).all(), "a picture without it"
    assert plan.trap


def test_what_was_stopped_goes_on(study, monkeypatch):
    written = []

    def stop(source, target, instruction="", beside=None):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(target)
        return write_medium(source, target, instruction, beside)

    monkeypatch.setattr(media_module, "write_medium", stop)
    with pytest.raises(KeyboardInterrupt):
        prepared(study)
    first = set(written)
    (study.media / ".of-one-killed.mp4.7.part.mp4").touch()
    written.clear()
    written.extend([None] * 6)
    found, _, _ = prepared(study)
    assert len(written) - 6 == len(found) - 5
    assert first < {medium_path(study, own) for own in found.values()}
    assert len(list(study.media.iterdir())) == len(found)
    lost = medium_path(study, found["training", None, "a"])
    lost.unlink()
    prepared(study)
    assert lost.is_file()


def test_odd_sources_are_told_of(study):
    write_source(study.systems[SECRET] / "a.mp4", seconds=1.0, size=(48, 32), sound=False)
    plain = attrs.evolve(study, known=(), made={})
    _, _, told = prepared(plain)
    lengths = "ember-secret 1.00 s, frost-secret 0.44 s"
    assert f"the videos of a differ in length, which makes them distinguishable: {lengths}" in told
    assert "without sound: rated ember-secret a" in told
    assert "videos of b" not in told


def test_a_plan_changes_until_the_first_judge_joins(study):
    found, _, _ = prepared(study)
    source = study.systems[SECRET] / "b.mp4"
    write_source(source, seconds=0.4, size=(48, 32), layout="mono")
    changed, _, _ = prepared(study)
    same = {key for key, own in found.items() if own.id == changed[key].id}
    assert {key[2] for key in found.keys() - same} == {"b"}
    assert {file.stem for file in study.media.iterdir()} == {own.id for own in changed.values()}
    other = attrs.evolve(study, known=(attrs.evolve(study.known[0], expected={"sync": (1, 2)}, feedback="Bad."),))
    training = prepared(other)[0]["training", None, "a"]
    assert (training.expected, training.feedback) == ({"sync": [1, 2]}, "Bad.")
    smaller = attrs.evolve(study, made={"trap": 1}, seed=2)
    prepared(smaller)
    storage = open_storage(smaller)
    with storage.session() as session:
        enrol(session, smaller)
        assert session.scalar(select(Task.id).where(Task.kind == "trap")) is not None
    storage.close()
    with pytest.raises(InputError, match=r"mos\.yaml: changed since the first of 1 judges joined: seed, videos \(trap"):
        prepared(attrs.evolve(smaller, seed=1))
    prepared(attrs.evolve(smaller, judges=40, title="Another title"))
    write_source(source, seconds=0.4, size=(48, 32), rate=48_000)
    with pytest.raises(InputError, match=r"videos \((gold|rated|trap).* b"):
        prepared(smaller)
