"""A bad clip among good ones gives one line of the report; a bad prompt or sound gives one clear message."""

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from rich.console import Console

from vast_core.errors import InputError
from vast_core.interfaces import listen
from vast_core.media import VideoFile, VideoWriter
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs import Run
from vast_core.speak.prompt import Prompt, read_prompt
from vast_core.speak.style_model import StyleModel
from vast_core.speak.trained import load_face
from vast_core.stages import StageContext

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("VAST_WEIGHTS", ROOT.parent / "shared" / "models"))

FOOTAGE = "corpus={{use: folder, path: {}}}"
"""vast_footage without its synthetic corpus."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (MODELS / "face_landmarker.task").is_file(), reason="face_landmarker.task is not here"),
]


def speakers():
    """Clips of a synthetic corpus, whose faces the tracker finds."""
    registry = Registry.discover()
    recipe = load_recipe("vast_tiny", registry, ["corpus.image=192"])
    return list(assemble(recipe, registry).corpus.clips())


def write(path, frames, wave, fps=25):
    with VideoWriter(path, fps, wave) as writer:
        for frame in frames:
            writer.write(frame)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good clips, and bad ones of many kinds, each made here."""
    place = tmp_path_factory.mktemp("footage")
    clip, *others = speakers()
    frames, wave = list(clip.footage.frames()), clip.footage.wave()
    write(place / "ann_1.mp4", frames, wave)
    for other, name, sound in (
        (others[0], "ann_2", others[0].footage.wave()),
        (others[1], "mute_1", None),
        (others[2], "silent_1", np.zeros_like(wave)),
    ):
        write(place / f"{name}.mp4", other.footage.frames(), sound)
    noise = np.random.default_rng(0).integers(0, 255, (40, 96, 96, 3), np.uint8)
    write(place / "noise_1.mp4", noise, wave)
    write(place / "glimpse_1.mp4", [*[np.zeros_like(f) for f in frames[:30]], *frames[:3]], wave)
    write(place / "brief_1.mp4", frames[:12], wave[:8000])
    (place / "empty_1.mp4").touch()
    (place / "text_1.mp4").write_text("this is no video")
    whole = (place / "ann_1.mp4").read_bytes()
    (place / "cut_1.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    # 5.1 sound, and 8 kHz mono, of which nothing bad may come
    for name, rate, layout in (("round_1.mkv", 48000, "5.1"), ("phone_1.mkv", 8000, "mono")):
        with av.open(str(place / name), "w") as file:
            video, sound = file.add_stream("libx264", rate=25), file.add_stream("pcm_s16le", rate=rate)
            sound.layout = layout
            video.height, video.width, video.pix_fmt = frames[0].shape[0], frames[0].shape[1], "yuv420p"
            for image in frames:
                file.mux(video.encode(av.VideoFrame.from_ndarray(image)))
            file.mux(video.encode())
            samples = np.interp(np.arange(0, len(wave), 16000 / rate), np.arange(len(wave)), wave) * 32767
            channels = 6 if layout == "5.1" else 1
            packed = np.repeat(samples.astype(np.int16)[:, None], channels, 1).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format="s16", layout=layout)
            frame.rate = rate
            file.mux(sound.encode(frame))
            file.mux(sound.encode())
    return place


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("run")
        patch.setenv("VAST_CACHE", str(place / "cache"))
        patch.setenv("VAST_WEIGHTS", str(MODELS))
        registry = Registry.discover()
        recipe = load_recipe("vast_footage", registry, [FOOTAGE.format(folder), "stages.prepare.synchronise=false"])
        run = run_recipe(recipe, registry, place / "out", False, ("prepare",))
        yield StageContext(run=run, pipeline=assemble(recipe, registry), console=Console(quiet=True))


def test_good_clips_are_used_and_bad_ones_listed_with_their_reason(prepared):
    store = prepared.store
    used = {clip.source for clip in store.clips if clip.heard}
    copies = {"ann_1", "round_1", "phone_1"}
    kept = used & copies
    assert len(kept) == 1
    assert used - copies == {"ann_2"}
    assert {clip.source for clip in store.clips if not clip.heard} == {"mute_1", "silent_1"}
    reasons = {item.clip: item.reason for item in store.rejected}
    expected = {
        "noise_1": "face",
        "glimpse_1": "3 of 33",
        "brief_1": "0.48 s",
        "empty_1": "empty",
        "text_1": "text_1.mp4",
        "cut_1": "cut_1.mp4",
        "mute_1": "no sound",
        "silent_1": "silent",
    }
    expected |= dict.fromkeys(copies - kept, f"the same as {kept.pop()}")
    assert set(reasons) == set(expected)
    for clip, words in expected.items():
        assert words in reasons[clip], (clip, reasons[clip])


def test_the_same_speech_gives_the_same_features_in_any_container(prepared, folder):
    audio = prepared.pipeline.audio.eval()
    rows = {}
    for name in ("ann_1.mp4", "round_1.mkv", "phone_1.mkv"):
        wave = VideoFile(folder / name, 25).wave()
        rows[name.partition(".")[0]] = listen(audio, wave, len(wave) // 640, torch.device("cpu"))
    length = min(len(r) for r in rows.values())
    near = (rows["ann_1"][:length] - rows["round_1"][:length]).abs().sum(1).mean()
    far = (rows["ann_1"][:length] - rows["ann_1"][:length].flip(0)).abs().sum(1).mean()
    assert near < 0.2 * far


def test_nothing_usable_is_one_message_with_every_reason(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VAST_WEIGHTS", str(MODELS))
    (tmp_path / "bad").mkdir()
    for name in ("empty_1.mp4", "text_1.mp4"):
        shutil.copy(folder / name, tmp_path / "bad")
    registry = Registry.discover()
    recipe = load_recipe("vast_footage", registry, [FOOTAGE.format(tmp_path / "bad")])
    with pytest.raises(InputError, match=r"(?s)no clip of the corpus can be used.*empty_1.*text_1"):
        run_recipe(recipe, registry, tmp_path / "out", False, ("prepare",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("brief_1.mp4", r"brief_1.mp4.*0\.48 s"),
        ("noise_1.mp4", "noise_1.mp4.*face"),
        ("empty_1.mp4", "empty_1.mp4.*empty"),
        ("missing.mp4", "missing.mp4.*no such file"),
    ],
)
def test_a_bad_prompt_is_one_message(prepared, folder, name, message):
    load_face(prepared.run.weights, prepared.pipeline)
    model = StyleModel(prepared.pipeline).eval()
    with pytest.raises(InputError, match=message):
        read_prompt(folder / name, prepared.pipeline, model)


def test_a_missing_prompt_is_reported_before_missing_weights(tmp_path, monkeypatch):
    monkeypatch.delenv("VAST_WEIGHTS", raising=False)
    registry = Registry.discover()
    pipeline = assemble(load_recipe("vast_tiny", registry), registry)
    with pytest.raises(InputError, match=r"missing\.mp4.*no such file"):
        read_prompt(tmp_path / "missing.mp4", pipeline, StyleModel(pipeline))


def test_prompts_with_and_without_sound_give_different_codes(prepared, folder):
    load_face(prepared.run.weights, prepared.pipeline)
    model = StyleModel(prepared.pipeline).eval()
    loud, mute = (read_prompt(folder / name, prepared.pipeline, model)[0] for name in ("ann_1.mp4", "mute_1.mp4"))
    assert loud.shape == mute.shape == (1, prepared.pipeline.sizes.style)
    assert not loud.allclose(mute)


def test_weights_of_prompts():
    assert Prompt.parse("a.mp4:0.7") == Prompt("a.mp4", 0.7)
    assert Prompt.parse("sample") == Prompt("sample")
    assert Prompt.parse("C:\\clip.mp4") == Prompt("C:\\clip.mp4")
    for text in ("a.mp4:0", "a.mp4:-1", "a.mp4:inf"):
        with pytest.raises(InputError, match="weight above 0"):
            Prompt.parse(text)


def test_a_run_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    registry = Registry.discover()
    with pytest.raises(Exception, match="cannot be created"):
        Run(tmp_path / "file" / "out", load_recipe("vast_tiny", registry), registry).start()
