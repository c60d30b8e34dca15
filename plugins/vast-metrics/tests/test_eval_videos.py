"""``vast eval`` on videos whose faces are drawn: a red square with a black mouth, which a small component follows."""

import json
import re
import sys
import types

import attrs
import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from vast_core import Component, hookimpl
from vast_core.cli import Session
from vast_core.errors import InputError, VastError
from vast_core.interfaces import Face, FaceTrack
from vast_core.media import VideoFile, VideoWriter
from vast_core.registry import Registry
from vast_metrics.evaluation.commands import evaluate
from vast_metrics.evaluation.evaluator import Evaluator, results_folder
from vast_metrics.evaluation.protocol import Protocol
from vast_metrics.evaluation.results import Evaluation

PROTOCOL = """
protocol: 1
max_seconds: 4.0
crop: {size: 64, margin: 1.3}
face: {use: square}
audio: {use: mel}
metrics: [{use: lip_correlation}, {use: landmark_distance}, {use: psnr}, {use: ssim}, {use: style_distance}]
bootstrap: {resamples: 200}
"""


@attrs.frozen(kw_only=True)
class SquareConfig:
    """``square`` has no options."""

    def sizes(self):
        return {"expression": 4, "lower_face": 2, "vertices": 8}


class Square(Face):
    """Corners of the red square (4-7), and the black mouth in it: top, bottom, left, right (0-3)."""

    followed = 0

    def __init__(self):
        super().__init__()
        self.triangles = np.array([[0, 1, 2]])
        self.lips, self.upper_face, self.eyes = np.arange(4), np.array([4, 5]), np.array([4, 5])
        self.millimetres = 10.0

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def track(self, frames, fps):
        Square.followed += 1
        tracks, run, begin = [], [], 0
        for number, frame in enumerate([*frames, None]):
            seen = None if frame is None else self._seen(frame.astype(int))
            if seen is None:
                if run:
                    tracks.append(self._track(np.stack(run), begin))
                run, begin = [], number + 1
            else:
                run.append(seen)
        if not tracks:
            raise InputError("no frame shows a face")
        return tracks

    def _seen(self, frame):
        red = (frame[..., 0] > 150) & (frame[..., 1] < 100)
        if red.sum() < 50:
            return None
        left, top, right, bottom = self._box(red)
        dark = np.zeros_like(red)
        dark[top:bottom, left:right] = frame[top:bottom, left:right].sum(-1) < 150
        x0, y0, x1, y1 = self._box(dark)
        middle = (x0 + x1) / 2
        lips = [(middle, y0), (middle, y1), (x0, (y0 + y1) / 2), (x1, (y0 + y1) / 2)]
        return np.array([*lips, (left, top), (right, top), (left, bottom), (right, bottom)], float)

    @staticmethod
    def _box(mask):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        return columns[0], rows[0], columns[-1], rows[-1]

    def _track(self, points, begin):
        vertices = np.concatenate([points, np.zeros((*points.shape[:2], 1))], -1).astype(np.float32)
        pose = np.zeros((len(points), 3, 4), np.float32)
        scale = (points[:, 5, 0] - points[:, 4, 0]) / 2
        for axis, sign in enumerate((1, -1, -1)):
            pose[:, axis, axis] = sign * scale
        pose[:, :2, 3] = points[:, 4:].mean(1)
        return FaceTrack(vertices=vertices, pose=pose, valid=np.ones(len(points), bool), start=begin)

    def identity(self, tracks):
        from vast_core.interfaces import unposed

        return np.median(np.concatenate([unposed(track).numpy() for track in tracks]), axis=0).astype(np.float32)

    def lip_opening(self, vertices):
        return (vertices[..., 0, :] - vertices[..., 1, :]).norm(dim=-1) / 2

    def fit(self, tracks, identities): ...

    def encode(self, track, identity): ...

    def decode(self, expression, identity): ...

    def unwrap(self, frames, vertices): ...

    def draw(self, vertices, size, texture=None): ...


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def registry(monkeypatch):
    module = types.ModuleType("square_face")
    module.Square = Square
    Square.__module__ = "square_face"
    monkeypatch.setitem(sys.modules, "square_face", module)
    monkeypatch.setattr("vast_metrics.evaluation.videos.component_key", lambda component: component.name)

    class Plugin:
        @staticmethod
        @hookimpl
        def vast_components():
            target = "square_face:Square"
            return [Component(kind="face", name="square", target=target, config=SquareConfig, summary="A square.")]

    found = Registry.discover()
    found.register(Plugin, name="square", distribution="square-face", version="1")
    return found


@pytest.fixture
def evaluator(registry, tmp_path):
    (tmp_path / "drawn.yaml").write_text(PROTOCOL)
    return Evaluator(protocol=Protocol.load(str(tmp_path / "drawn.yaml"), registry), registry=registry)


def drawn(seed=0, frames=60, scale=1.0, shift=0.0):
    """A face that talks and sways, 160 by 120 pixels times ``scale``."""
    chance = np.random.default_rng(seed)
    turn = np.arange(frames) / 25 * 2 * np.pi
    opening = 6 + 5 * np.sin(turn * chance.uniform(1.5, 3) + seed)
    sway = 4 * np.sin(turn / 3)
    backdrop = cv2.resize(chance.integers(90, 140, (6, 8, 3)).astype(np.uint8), (160, 120))
    for gap, across in zip(opening, sway, strict=True):
        frame = backdrop.copy()
        x = 80 + shift + across
        left, right = round(x - 24), round(x + 24)
        frame[35:85, left:right] = (210, 40, 40)
        frame[40:50, left + 6 : left + 14] = frame[40:50, right - 14 : right - 6] = (230, 90, 60)
        frame[round(70 - gap / 2) : round(71 + gap / 2), left + 14 : right - 14] = 0
        yield frame if scale == 1.0 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def write(path, frames, sound=True):
    frames = list(frames)
    wave = 0.3 * np.sin(np.arange(len(frames) * 640) / 5).astype(np.float32) if sound else None
    with VideoWriter(path, 25.0, wave, crf=10) as writer:
        for frame in frames:
            writer.write(frame)


@pytest.fixture
def real(tmp_path):
    for seed, name in enumerate(("ada_1", "ada_2", "bo/one")):
        write(tmp_path / "real" / f"{name}.mp4", drawn(seed))
    return tmp_path / "real"


def test_a_folder_against_itself_is_perfect(evaluator, real, tmp_path):
    found = evaluator.videos(real, real, real, tmp_path / "out")
    values = {name: overall.value for name, overall in found.overall.items()}
    assert (
        values
        == {
            "lip_correlation": pytest.approx(1),
            "landmark_distance_mouth": 0,
            "landmark_distance_face": 0,
            "psnr": 100,
            "ssim": pytest.approx(1),
            "style_distance": pytest.approx(0, abs=1e-6),
        }
        or "style_distance" in found.not_computed
    )
    assert [clip.name for clip in found.clips] == ["ada_1", "ada_2", "bo/one"]
    assert [clip.speaker for clip in found.clips] == ["ada", "ada", "bo"]
    assert all("not resampled" in clip.notes[0] for clip in found.clips)
    assert Evaluation.read(tmp_path / "out") == found
    assert Square.followed == 3  # of a video on both sides, and as a prompt, once
    for clip in found.clips:
        crops = [VideoFile(tmp_path / "out" / path, 25.0) for path in (clip.generated, clip.reference)]
        assert [own.size for own in crops] == [(64, 64), (64, 64)]
        assert all(len(own.wave()) >= 59 * 640 for own in crops)


def test_what_a_mere_reencoding_moves_is_measured_beside(registry, real, tmp_path):
    text = PROTOCOL + "reencoding: {clips: 2, crf: 30}\n"
    (tmp_path / "again.yaml").write_text(text)
    (tmp_path / "plain.yaml").write_text(PROTOCOL)
    again, plain = (Protocol.load(str(tmp_path / f"{name}.yaml"), registry) for name in ("again", "plain"))
    found = Evaluator(protocol=again, registry=registry).videos(real, real, None, tmp_path / "out")
    assert (found.reencoded, found.crf) == (2, 30)
    assert again.digest({}) == plain.digest({})  # no figure depends on it
    assert not list((tmp_path / "out").rglob("*reencoded*"))
    for name in ("ada_1", "bo/one"):  # two of three, evenly chosen
        film = VideoFile(real / f"{name}.mp4", 25.0)
        with VideoWriter(tmp_path / "coded" / f"{name}.mp4", 25.0, film.wave(), crf=30) as writer:
            for frame in film.frames():
                writer.write(frame)
    other = Evaluator(protocol=plain, registry=registry).videos(tmp_path / "coded", real, None, tmp_path / "coded_out")
    assert all(overall.moved is None for overall in other.overall.values())
    for name in ("psnr", "ssim", "landmark_distance_mouth"):
        best = {clip.name: clip.values[name] for clip in found.clips}
        moved = [abs(clip.values[name] - best[clip.name]) for clip in other.clips]
        assert found.overall[name].moved == pytest.approx(sum(moved) / 2, rel=1e-6), name
    assert found.overall["psnr"].moved > 40
    printed = (tmp_path / "out" / "overall.csv").read_text()
    assert f"psnr,100.0,,,{found.overall['psnr'].moved}" in printed


@pytest.fixture(autouse=True)
def nothing_followed():
    Square.followed = 0


def changed(tmp_path, name, change):
    folder = tmp_path / name
    for seed, clip in enumerate(("ada_1", "ada_2", "bo/one")):
        write(folder / f"{clip}.mp4", change(list(drawn(seed))))
    return folder


def test_a_delay_shows_in_the_lips_and_blur_in_the_picture(evaluator, real, tmp_path):
    late = changed(tmp_path, "late", lambda frames: frames[:1] * 4 + frames[:-4])
    soft = changed(tmp_path, "soft", lambda frames: [cv2.GaussianBlur(frame, (0, 0), 1.2) for frame in frames])
    delayed = evaluator.videos(late, real, None, tmp_path / "a").overall
    blurred = evaluator.videos(soft, real, None, tmp_path / "b").overall
    assert delayed["lip_correlation"].value < 0.6
    assert blurred["lip_correlation"].value > 0.95
    assert blurred["psnr"].value < 35
    assert delayed["psnr"].low is delayed["psnr"].high is None  # of two clips


def test_a_larger_copy_and_a_shifted_one_are_brought_back(evaluator, real, tmp_path):
    for seed, name in enumerate(("ada_1", "ada_2")):
        write(tmp_path / "large" / f"{name}.mp4", drawn(seed, scale=2.0))
        write(tmp_path / "moved" / f"{name}.mp4", drawn(seed, shift=14))
    large = evaluator.videos(tmp_path / "large", real, None, tmp_path / "a")
    moved = evaluator.videos(tmp_path / "moved", real, None, tmp_path / "b")
    assert all("320 x 240 for 160 x 120: rescaled" in clip.notes[0] for clip in large.clips)
    assert all(
        re.match(r"fitted to its reference: scaled by (0\.9[89]|1\.0[01])", clip.notes[0]) for clip in moved.clips
    )
    for found in (large, moved):
        assert found.overall["psnr"].value > 27
        assert found.overall["landmark_distance_face"].value < 0.5
        assert [own.clip for own in found.left_out] == ["bo/one"]


def test_what_cannot_be_measured_is_left_out_and_says_why(evaluator, real, tmp_path):
    made = tmp_path / "made"
    write(made / "ada_1.mp4", drawn(0))
    write(made / "ada_2.mp4", drawn(1, frames=40))
    write(made / "zoe.mp4", drawn(3))
    (made / "bo").mkdir()
    (made / "bo" / "one.mp4").write_bytes((real / "bo" / "one.mp4").read_bytes()[:3000])
    found = evaluator.videos(made, real, None, tmp_path / "out")
    assert [clip.name for clip in found.clips] == ["ada_1"]
    reasons = {own.clip: own.reason for own in found.left_out}
    assert reasons["zoe"] == "generated, without a reference"
    assert "40 frames, its reference 60: they differ by 0.80 s, but the protocol allows 0.2 s" in reasons["ada_2"]
    assert reasons["bo/one"].startswith("the generated video: ")
    assert "bo/one.mp4" in reasons["bo/one"]


def test_a_small_difference_of_length_is_cut(evaluator, real, tmp_path):
    write(tmp_path / "made" / "ada_1.mp4", drawn(0, frames=57))
    found = evaluator.videos(tmp_path / "made", real, None, tmp_path / "out")
    assert found.clips[0].frames == 57
    assert found.overall["psnr"].value > 40


def test_frames_without_a_face_are_not_compared(evaluator, tmp_path):
    backdrop = np.full((120, 160, 3), 120, np.uint8)
    frames = list(drawn(0, frames=80))
    write(tmp_path / "real" / "a.mp4", [backdrop] * 10 + frames[10:])
    write(tmp_path / "made" / "a.mp4", frames[:60] + [backdrop] * 20)
    clip = evaluator.videos(tmp_path / "made", tmp_path / "real", None, tmp_path / "out").clips[0]
    assert clip.frames == 50
    assert "frames 10 to 59 of 80 are compared" in clip.notes


def test_long_clips_are_cut_and_clips_without_sound_have_none(evaluator, tmp_path):
    for side in ("real", "made"):
        write(tmp_path / side / "a.mp4", drawn(0, frames=130), sound=side == "real")
    clip = evaluator.videos(tmp_path / "made", tmp_path / "real", None, tmp_path / "out").clips[0]
    assert clip.frames == 100
    assert VideoFile(tmp_path / "out" / clip.generated, 25.0).wave() is None


def test_no_name_on_both_sides_is_an_error_and_all_bad_another(evaluator, real, tmp_path):
    write(tmp_path / "made" / "zoe.mp4", drawn(3))
    with pytest.raises(InputError, match=r"generated ones are zoe .*references ada_1, ada_2, bo/one"):
        evaluator.videos(tmp_path / "made", real, None, tmp_path / "out")
    write(tmp_path / "bad" / "ada_1.mp4", [np.full((120, 160, 3), 120, np.uint8)] * 60)
    with pytest.raises(VastError, match=r"no clip could be measured:\n(.*\n)*.*no frame shows a face") as caught:
        evaluator.videos(tmp_path / "bad", real, None, tmp_path / "out")
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_an_interrupt_leaves_nothing_and_an_earlier_result_whole(evaluator, real, tmp_path, monkeypatch):
    before = evaluator.videos(real, real, None, tmp_path / "out")

    def interrupted(self, pair):
        raise KeyboardInterrupt

    monkeypatch.setattr("vast_metrics.evaluation.engine.Engine.measure", interrupted)
    for out in (tmp_path / "out", tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            evaluator.videos(real, real, None, out)
    assert Evaluation.read(tmp_path / "out") == before
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").write_bytes(b"me")
    with pytest.raises(InputError, match="contains files"), results_folder(tmp_path / "photos", []):
        pass
    assert (tmp_path / "photos" / "me.png").read_bytes() == b"me"


def test_the_command_prints_the_protocols_digest_and_writes_the_numbers(registry, evaluator, real, tmp_path):
    arguments = [
        "--generated",
        real,
        "--reference",
        real,
        "--protocol",
        tmp_path / "drawn.yaml",
        "--out",
        tmp_path / "o",
    ]
    done = CliRunner().invoke(
        evaluate, list(map(str, arguments)), obj=Session(registry=registry), catch_exceptions=False
    )
    assert done.exit_code == 0
    digest = json.loads((tmp_path / "o" / "eval.json").read_text())["digest"]
    assert digest[:12] in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either a run, or both"),
        (["--generated", "."], "either a run, or both"),
        ([".", "--reference", "."], "either a run, or both"),
        (["--generated", ".", "--reference", ".", "--tracked"], "--tracked requires a run"),
        ([".", "--prompts", "."], "--prompts requires"),
        ([".", "--corpus", ".", "--tracked"], "no avatar to draw"),
        ([".", "--protocol", "v0"], "no packaged file of that name"),
        (["."], "not the folder of a run"),
    ],
)
def test_wrong_calls_say_what_is_right(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(evaluate, arguments, obj=Session())
    assert done.exit_code != 0
    assert message in done.output + str(done.exception)
    assert not list(tmp_path.iterdir())


def test_performances_in_the_crop(evaluator, real, tmp_path, monkeypatch):
    pairs = []
    monkeypatch.setattr("vast_metrics.evaluation.engine.Engine.measure", lambda self, pair: pairs.append(pair))
    with pytest.raises(VastError):
        evaluator.videos(real, real, real, tmp_path / "out")
    for pair in pairs:
        side = pair.reference
        placed = side.vertices @ side.pose[:, :, :3].mT + side.pose[:, None, :, 3]
        corners = placed[:, 4:, :2]
        assert 0 < float(corners.min()) < float(corners.max()) < 63
        mean = [(side.frames * mask).sum((0, 2, 3)) / mask.sum() for mask in (side.region, 1 - side.region)]
        assert mean[0][0] > 2 * mean[0][1]  # the face is red
        assert abs(mean[1][0] - mean[1][1]) < 0.2  # what surrounds it is grey, but for the seam
        wide, high = side.mouth[:, 2].mean(), side.mouth[:, 3].mean()
        opening = placed[:, 1, 1] - placed[:, 0, 1]
        assert torch.allclose(side.mouth[:, 3], opening, atol=0.01)
        assert wide > high
        assert side.wave.shape == (60 * 640,)
        assert len(side.audio) == 60
        assert pair.prediction.prompt.name == side.name


def test_results_do_not_replace_what_is_read(tmp_path):
    (tmp_path / "eval" / "videos").mkdir(parents=True)
    (tmp_path / "eval" / "eval.json").write_text("{}")
    (tmp_path / "way").symlink_to(tmp_path / "eval")
    for read in ("eval", "eval/videos", "way/videos"):
        with (
            pytest.raises(InputError, match="is replaced by the results"),
            results_folder(tmp_path / "eval", [tmp_path / read]),
        ):
            pass
    with results_folder(tmp_path / "eval", [tmp_path]):
        pass
