"""The avatar of a run, used as a library: from another folder, without corpus and cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from itertools import islice
from pathlib import Path

import attrs
import av
import numpy as np
import pytest
import torch
import yaml
from faults.outcome import packets_of

import vast_core
from vast_core import api
from vast_core.errors import InputError, MediaError, RecipeError, WeightsError
from vast_core.interfaces import SAMPLE_RATE, place
from vast_core.media import VideoFile, read_wave
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.runs import load_weights, save_weights
from vast_core.speak import perform
from vast_core.speak.sliders import Factor, Sliders
from vast_core.speak.sound import Sound, frames_of

ROOT = Path(__file__).resolve().parents[1]
MODELS = Path(os.environ.get("VAST_WEIGHTS", ROOT.parent / "shared" / "models"))


# ------------------------------------------------------------------------------------------ sound, no run


def wave_of(seconds, seed=0):
    chance = np.random.default_rng(seed)
    wave = 0.1 * chance.standard_normal(round(seconds * SAMPLE_RATE))
    return (wave * np.sin(np.arange(len(wave)) / 3000)).astype(np.float32)


def test_sound_is_read_no_further_than_asked_and_forgotten_behind():
    wave, read = wave_of(2), []

    def chunks():
        for start in range(0, len(wave), 1000):
            read.append(start)
            yield wave[start : start + 1000]

    sound = Sound(chunks())
    sound.wait_for(2500)
    assert (read, sound.samples, sound.ended) == ([0, 1000, 2000], 3000, False)
    assert np.array_equal(sound.between(1500, 2500), wave[1500:2500])
    sound.wait_for(10_000)
    assert np.array_equal(sound.between(2000, 10_000), wave[2000:10_000])
    assert len(sound._kept) == 8_000, "what lies behind is not kept"
    sound.wait_for(10**9)
    assert sound.ended
    assert sound.samples == len(wave)
    assert np.array_equal(sound.between(31_000, 10**9), wave[31_000:])


@pytest.mark.parametrize(
    ("speech", "message"),
    [
        (np.zeros((2, 100), np.float32), r"the sound is float32 \(2, 100\); give floats in \[-1, 1\] of one channel"),
        (np.zeros(100, np.int16), r"the sound is int16 \(100,\)"),
        (np.full(100, np.nan), "the sound has values that are not finite"),
        ([np.zeros(5, np.float32), np.zeros(5, np.int16)], r"chunk 1 of the sound is int16"),
        ([0.1, 0.2], "chunk 0 of the sound is float;"),
        ([], "the sound is empty"),
        (np.zeros(0), "the sound is empty"),
    ],
)
def test_what_is_no_sound_is_told(speech, message):
    with pytest.raises(InputError, match=message):
        Sound.of(speech).wait_for(100)


# ------------------------------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A moved run of one step per stage, without its cache, its corpus and the plugin of its corpus."""
    place = tmp_path_factory.mktemp("avatar")
    registry = Registry.discover()
    options = ["stages.style.steps=1", "stages.renderer.steps=1", "stages.synthesize.seconds=1"]
    recipe = load_recipe("vast_tiny", registry, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAST_CACHE", str(place / "cache"))
        run_recipe(recipe, registry, place / "first", stages=["prepare", "style", "renderer", "synthesize"])
    shutil.rmtree(place / "cache")
    shutil.move(place / "first", place / "elsewhere")
    path = place / "elsewhere" / "recipe.yaml"
    document = yaml.safe_load(path.read_text())
    document["corpus"] = {"use": "gone", "path": str(place / "gone")}
    document["metrics"] = [{"use": "gone"}]
    document["run"] = ["gone"]
    path.write_text(yaml.safe_dump(document))
    return place / "elsewhere"


@pytest.fixture(scope="module")
def avatar(made):
    return vast_core.load(made, device="cpu")


slow = pytest.mark.slow


@slow
def test_what_an_avatar_says_of_itself(avatar, made):
    video = VideoFile(made / "base.mp4", 25)
    assert (avatar.name, avatar.fps, avatar.size) == ("alma", 25, (128, 128))
    assert avatar.size == video.size
    assert avatar.sizes.style == 32
    assert repr(avatar) == "<Avatar alma: 128 x 128 pixels, 25 frames a second>"


@slow
def test_frames_are_of_the_footage_and_the_face_moves_with_the_sound(avatar, made):
    neutral = avatar.style("sample", strength=0)
    frames = list(avatar.speak(wave_of(2), neutral))
    assert len(frames) == 50
    assert {(frame.shape, frame.dtype) for frame in frames} == {((128, 128, 3), np.dtype(np.uint8))}
    own = list(islice(VideoFile(made / "base.mp4", 25).frames(), 50))
    differences = np.abs(np.stack(frames).astype(int) - np.stack(own)).max((0, 3))
    assert differences[0].max() == 0, "the border is the footage's own"
    assert differences.max() > 20, "the face is drawn"
    other = list(avatar.speak(wave_of(2, seed=1), neutral))
    assert any(not np.array_equal(one, two) for one, two in zip(frames, other, strict=True))


@slow
@pytest.mark.parametrize("chunk", [37, 1600, 10**6])
def test_sound_in_chunks_gives_the_frames_of_the_whole(avatar, chunk):
    style, wave = avatar.style("sample", seed=1), wave_of(2.73)
    whole = np.stack(list(avatar.speak(wave, style))).astype(float)
    chunks = [wave[at : at + chunk] for at in range(0, len(wave), chunk)]
    parts = np.stack(list(avatar.speak(iter(chunks), style))).astype(float)
    assert len(whole) == len(parts) == frames_of(len(wave), 25) == 69
    assert (np.square(whole - parts).mean((1, 2, 3)) < 255**2 / 1e5).all(), "PSNR above 50 dB"
    blocks = list(avatar.speak(iter(chunks), style, at_once=32))
    assert np.array_equal(np.stack(blocks), whole)


@slow
def test_frames_come_as_soon_as_their_sound_is_there(avatar):
    style, heard = avatar.style("sample"), []

    def arriving():
        while True:
            heard.append(1)
            yield np.zeros(SAMPLE_RATE // 100, np.float32)

    needed = {}
    for block in (4, 32):
        heard.clear()
        speaking = avatar.speak(arriving(), style, at_once=block)
        next(speaking)
        needed[block] = len(heard) / 100
        for _ in range(block - 1):
            next(speaking)
        assert len(heard) / 100 == needed[block], "a block needs no more sound than its first frame"
        speaking.close()
    margin = avatar._pipeline.audio.receptive_field + 2 / 25 + avatar._model.decoder.lookahead / 25
    for block, seconds in needed.items():
        assert block / 25 <= seconds <= block / 25 + margin + 0.02
    assert needed[32] - needed[4] == pytest.approx(28 / 25, abs=0.011)


@slow
def test_a_live_avatar_idles_and_speaks(avatar, made):
    own = vast_core.load(made, device="cpu", look_ahead=0.12)
    assert own.latency == pytest.approx(own._model.decoder.lookahead / 25 + 0.12, abs=0.02)
    assert avatar.latency > own.latency + 1
    live = own.live(own.style("sample", seed=1))
    idle = [next(live) for _ in range(20)]
    live.hear(wave_of(1))
    spoken = [next(live) for _ in range(40)]
    assert {(moment.frame.shape, len(moment.sound)) for moment in idle + spoken} == {((128, 128, 3), 640)}
    assert not any(moment.sound.any() for moment in idle)
    sound = np.concatenate([moment.sound for moment in idle + spoken])
    whole = np.stack(list(own.speak(sound, live.style))).astype(float)[:50]
    frames = np.stack([moment.frame for moment in idle + spoken]).astype(float)[:50]
    assert (np.square(whole - frames).mean((1, 2, 3)) < 255**2 / 1e5).all(), "PSNR above 50 dB"
    with pytest.raises(RecipeError, match="look_ahead"):
        vast_core.load(made, device="cpu", look_ahead=-1)


@slow
def test_motion_is_that_of_the_faces_which_are_drawn(avatar, monkeypatch):
    style, wave, drawn = avatar.style("sample", seed=1), wave_of(1.6), []
    prepare = perform.prepare

    def watched(face, renderer, base, originals, played, wanted):
        drawn.append(wanted.vertices)
        return prepare(face, renderer, base, originals, played, wanted)

    monkeypatch.setattr(perform, "prepare", watched)
    list(avatar.speak(wave, style))
    moved = avatar.move(wave, style)
    assert len(moved) == frames_of(len(wave), 25) == 40
    seen = place(torch.from_numpy(moved.vertices), torch.from_numpy(moved.pose)).numpy()
    assert np.allclose(seen, np.concatenate(drawn), atol=0.02), "pixels"
    assert np.array_equal(moved.wave, wave)
    assert moved.own.shape[1:] == moved.neutral.shape == (468, 3)


@slow
def test_small_blocks_give_nearly_the_same_frames(avatar):
    style, wave = avatar.style("sample", seed=2), wave_of(1.5)
    one, two = (np.stack(list(avatar.speak(wave, style, at_once=count))).astype(int) for count in (5, 32))
    assert np.abs(one - two).mean() < 0.02
    with pytest.raises(InputError, match="0 frames at once"):
        avatar.speak(wave, style, at_once=0)


@slow
def test_styles_are_mixed_strengthened_and_kept(avatar, tmp_path):
    one, two = avatar.style("sample", seed=1), avatar.style("sample", seed=2)
    assert torch.equal(avatar.style("sample", seed=1).code, one.code)
    assert not torch.equal(one.code, two.code)
    assert torch.allclose(one.mix(two, 0.25).code, 0.75 * one.code + 0.25 * two.code)
    assert torch.allclose(avatar.style("sample", seed=1, strength=1.4).code, 1.4 * one.code)
    one.save(tmp_path / "one.safetensors")
    two.save(tmp_path / "two.safetensors")
    kept = avatar.style(tmp_path / "one.safetensors")
    assert torch.equal(kept.code, one.code)
    both = avatar.style(tmp_path / "one.safetensors", tmp_path / "two.safetensors", weights=[3, 1])
    assert torch.allclose(both.code, 0.75 * one.code + 0.25 * two.code)
    for weights, message in (([1], "2 prompts and 1 weights"), ([1, 0], "the weight 0 of a prompt")):
        with pytest.raises(InputError, match=message):
            avatar.style("sample", "sample", weights=weights)
    with pytest.raises(InputError, match="0 prompts"):
        avatar.style()
    with pytest.raises(WeightsError, match="is not a saved style"):
        avatar.style(Path(avatar._folder, "weights", "style.safetensors"))


@slow
def test_a_style_is_kept_under_a_name_and_packed(avatar, made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "run")
    own = vast_core.load(tmp_path / "run", device="cpu")
    lively = own.style("sample", seed=3)
    with pytest.raises(InputError, match=r"no style 'lively'; it has none .* If 'lively' is a file, write \./lively"):
        own.style("lively")
    path = own.save_style(lively, "lively")
    assert path == tmp_path / "run" / "styles" / "lively.safetensors"
    assert torch.equal(own.style("lively").code, lively.code)
    assert list(own.styles) == ["lively"]
    calm = own.style("sample", seed=4)
    with pytest.raises(InputError, match=r"there is a style 'lively' already; .* --force"):
        own.save_style(calm, "lively")
    assert torch.equal(own.style("lively").code, lively.code)
    own.save_style(calm, "lively", force=True)
    own.save_style(lively, "a-1_b")
    mixed = own.style("lively", "a-1_b", "sample", weights=[1, 2, 1], seed=5)
    third = own.style("sample", "sample", "sample", weights=[1e-9, 1e-9, 1], seed=5)
    assert torch.allclose(mixed.code, (calm.code + 2 * lively.code + third.code) / 4, atol=1e-6)
    with pytest.raises(InputError, match="no style 'happy'; it has a-1_b, lively"):
        own.style("happy")
    monkeypatch.chdir(tmp_path)
    for name in ("lively", "happy"):
        (tmp_path / name).write_text("no video")
    assert torch.equal(own.style("lively").code, calm.code), "a name is a name wherever one works"
    for file in ("./happy", Path("lively")):
        with pytest.raises(MediaError):
            own.style(file)
    with pytest.raises(InputError, match=r"lies in .*styles, which is read"):
        own.write(path, wave_of(1), calm, force=True)
    packed = vast_core.load(api.pack(tmp_path / "run", tmp_path / "alma.vast"), device="cpu")
    assert list(packed.styles) == ["a-1_b", "lively"]
    assert torch.equal(packed.style("lively").code, calm.code)
    with pytest.raises(InputError, match=r"alma\.vast: a packed avatar is not changed; save the style in its run"):
        packed.save_style(lively, "third")


@slow
@pytest.mark.parametrize(
    "name", ["", "sample", "Happy", "a.b", "../a", "a/b", "-a", "a b", "label:a", "a" * 65, "ä", "a\n"]
)
def test_what_cannot_name_a_style(avatar, name):
    with pytest.raises(InputError, match="cannot name a style: use 1 to 64 lower-case letters"):
        avatar.save_style(avatar.style("sample"), name)
    assert not (avatar._folder / "styles").exists()


@slow
def test_factors_are_added_to_a_prompt_or_stand_alone(avatar, made, tmp_path):
    with pytest.raises(InputError, match="this avatar has no factors of style: its corpus named none"):
        avatar.style("sample", factors={"smile": 1.0})
    assert (avatar.factors, avatar.style("sample", factors={}).source) == ({}, "1 sample")
    shutil.copytree(made, tmp_path / "run")
    model = avatar.style("sample").model
    learned = {"smile": Factor(low=-0.5, high=1, r2=0.9), "brow": Factor(low=-1, high=1, r2=0.5)}
    origin, directions = torch.randn(32), torch.randn(2, 32)
    sliders = Sliders(model=model, styles=20, learned=learned, origin=origin, directions=directions)
    sliders.save(tmp_path / "run" / "weights" / "sliders.safetensors")
    for path in (tmp_path / "run", api.pack(tmp_path / "run", tmp_path / "alma.vast")):
        own = vast_core.load(path, device="cpu")
        assert own.factors == learned
        prompt = own.style("sample", seed=3)
        smiling = own.style("sample", seed=3, strength=2.0, factors={"smile": 1, "brow": -0.5})
        assert torch.allclose(smiling.code, 2 * prompt.code + directions[0] - 0.5 * directions[1])
        alone = own.style(factors={"brow": 1})
        assert torch.allclose(alone.code, origin + directions[1])
        assert alone.source == "the middle of all factors with brow +1"
        with pytest.raises(InputError, match="the factor 'nose' is unknown; this avatar has smile, brow"):
            own.style("sample", factors={"nose": 1})
        with pytest.raises(InputError, match="0 prompts and 1 weights"):
            own.style(weights=[1], factors={"smile": 1})
    attrs.evolve(sliders, model="other").save(tmp_path / "run" / "weights" / "sliders.safetensors")
    with pytest.raises(WeightsError, match=r"sliders\.safetensors: belongs to other style weights than those"):
        vast_core.load(tmp_path / "run", device="cpu")


@slow
def test_a_style_of_other_weights_is_refused(avatar, made, tmp_path):
    shutil.copytree(made, tmp_path / "other")
    path = tmp_path / "other" / "weights" / "style.safetensors"
    tensors, header = load_weights(path)
    tensors["log_noise"] = tensors["log_noise"] + 0.1
    save_weights(path, tensors, {key: value for key, value in header.items() if key not in ("format", "vast")})
    other = vast_core.load(tmp_path / "other", device="cpu")
    foreign = other.style("sample")
    foreign.save(tmp_path / "s.safetensors")
    message = "this style belongs to other style weights .* than this avatar's"
    for does in (
        lambda: avatar.style(tmp_path / "s.safetensors"),
        lambda: avatar.speak(wave_of(1), foreign),
        lambda: avatar.style("sample").mix(foreign),
    ):
        with pytest.raises(WeightsError, match=message):
            does()
    assert other.style(tmp_path / "s.safetensors").code.shape == (32,)
    assert (other.fits(foreign), avatar.fits(foreign)) == (True, False)
    shutil.copy(tmp_path / "s.safetensors", other.save_style(foreign, "s").parent / "t.safetensors")
    avatar.style("sample").save(tmp_path / "other" / "styles" / "s.safetensors")
    with pytest.raises(WeightsError, match=r"styles/s\.safetensors: this style belongs to other style weights"):
        other.style("s")
    assert torch.equal(other.style("t").code, foreign.code)


@slow
def test_a_video_is_written_and_nothing_overwritten(avatar, made, tmp_path):
    wave, style, done = wave_of(1.02), avatar.style("sample"), []
    out = avatar.write(tmp_path / "out.mp4", wave, style, progress=lambda n, of: done.append((n, of)))
    assert done == [(n, 26) for n in range(1, 27)]
    with av.open(str(out)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 26
    assert np.abs(read_wave(out)[: len(wave)] - wave).max() < 0.1
    with pytest.raises(InputError, match="exists"):
        avatar.write(out, wave, style)
    before = packets_of(out)
    parts = (wave[at : at + 999] for at in range(0, len(wave), 999))
    assert packets_of(avatar.write(out, parts, style, force=True)) == before
    style.save(tmp_path / "s.safetensors")
    kept = avatar.style(tmp_path / "s.safetensors")
    for read in (out, tmp_path / "s.safetensors", made / "base.mp4", made / "weights" / "face.safetensors"):
        with pytest.raises(InputError, match="would be overwritten"):
            avatar.write(read, out, kept, force=True)


@slow
def test_the_corpus_is_not_overwritten(made, tmp_path):
    run, corpus = tmp_path / "run", tmp_path / "videos"
    shutil.copytree(made, run)
    corpus.mkdir()
    (corpus / "ann_1.mp4").write_text("x")
    document = yaml.safe_load((run / "recipe.yaml").read_text())
    document["corpus"]["path"] = str(corpus)
    (run / "recipe.yaml").write_text(yaml.safe_dump(document))
    own = vast_core.load(run, device="cpu")
    with pytest.raises(InputError, match=r"lies in .*videos, which is read"):
        own.write(corpus / "ann_1.mp4", wave_of(1), own.style("sample"), force=True)
    assert (corpus / "ann_1.mp4").read_text() == "x"


@slow
def test_a_video_that_was_exchanged_is_told(made, tmp_path):
    shutil.copytree(made, tmp_path / "run")
    shutil.copy(next((made / "samples").glob("*.mp4")), tmp_path / "run" / "base.mp4")
    with pytest.raises(MediaError, match="is not the video that this avatar was made with"):
        vast_core.load(tmp_path / "run")


FRESH = """
import sys
import vast_core as vast
assert "torch" not in sys.modules, "importing vast_core is light"
import numpy as np
avatar = vast.load(sys.argv[1])
frames = list(avatar.speak(np.zeros(16_000, np.float32), avatar.style("sample", seed=5)))
assert len(frames) == 25
np.save(sys.argv[2], np.stack(frames))
print(*sys.modules)
"""

UNUSED = r"vast_core\.(training|stages|runner|report|checking|testing)\b.*|vast_(metrics|corpora)\..*"
LIGHT = r"vast_(metrics|corpora)\.(plugin|config|\w*config|(field|networks)(\.declared)?)"


@slow
def test_a_fresh_process_speaks_without_corpus_trainer_or_metrics(made, avatar, tmp_path):
    packed = api.pack(made, tmp_path / "alma.vast")
    expected = np.stack(list(avatar.speak(np.zeros(SAMPLE_RATE, np.float32), avatar.style("sample", seed=5))))
    for source in (made, packed):
        done = subprocess.run(
            [sys.executable, "-c", FRESH, source, tmp_path / "frames.npy"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "VAST_CACHE": str(tmp_path / "empty"), "CUDA_VISIBLE_DEVICES": ""},
        )
        assert done.returncode == 0, done.stderr
        loaded = [name for name in done.stdout.split() if re.fullmatch(UNUSED, name)]
        assert [name for name in loaded if not re.fullmatch(LIGHT, name)] == []
        assert np.array_equal(np.load(tmp_path / "frames.npy"), expected)
        assert not (tmp_path / "empty").exists(), "nothing is cached"


@slow
def test_a_packed_avatar_leaves_nothing_behind(made, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    own = vast_core.load(api.pack(made, tmp_path / "alma.vast"), device="cpu")
    assert next(own.speak(wave_of(1), own.style("sample"))).shape == (128, 128, 3)
    with pytest.raises(InputError, match="would be overwritten"):
        own.write(tmp_path / "alma.vast", wave_of(1), own.style("sample"), force=True)
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    del own
    assert list((tmp_path / "temporary").iterdir()) == []


@slow
@pytest.mark.skipif(not (MODELS / "face_landmarker.task").is_file(), reason="face_landmarker.task is not here")
def test_the_example_of_the_documentation(made, tmp_path):
    after = api.__doc__.partition("::\n")[2].splitlines()
    example = textwrap.dedent("\n".join(line for line in after if line.startswith(" ") or not line) + "\n")
    assert 'vast.load("runs/vast_footage")' in example
    shutil.copytree(made, tmp_path / "runs" / "vast_footage")
    shutil.copy(made / "base.mp4", tmp_path / "happy.mp4")
    shutil.copy(next((made / "samples").glob("*.mp4")), tmp_path / "speech.wav")
    (tmp_path / "example.py").write_text(example + "print(frame.shape, avatar.size, bool(style.code.any()))\n")
    done = subprocess.run(
        [sys.executable, "example.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "VAST_WEIGHTS": str(MODELS)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(128, 128, 3) (128, 128) True\n"
    assert VideoFile(tmp_path / "out.mp4", 25).size == (128, 128)


OPENED = """
import os, sys
corpus, *sys.argv[1:] = sys.argv[1:]
def note(event, told):
    if event in ("open", "os.listdir", "os.scandir") and str(told[0]).startswith(corpus):
        print("READ", os.path.basename(told[0]), flush=True)
sys.addaudithook(note)
from vast_core.cli import main
main()
"""


@slow
def test_nothing_of_a_large_corpus_is_read(avatar, made, tmp_path):
    shutil.copytree(made, tmp_path / "run")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(40):
        (corpus / f"ann_{number}.mp4").write_bytes(b"never read")
    avatar.style("sample").save(corpus / "prompt.safetensors")
    path = tmp_path / "run" / "recipe.yaml"
    document = yaml.safe_load(path.read_text()) | {"corpus": {"use": "folder", "path": str(corpus)}}
    path.write_text(yaml.safe_dump(document))
    asked = ["--audio", str(made / "samples" / "alma.mp4"), "--style", str(corpus / "prompt.safetensors")]
    command = [sys.executable, "-c", OPENED, str(corpus), "synth", str(tmp_path / "run"), *asked]
    done = subprocess.run([*command, "--out", str(tmp_path / "out.mp4")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.findall("READ (.*)", done.stdout) == [], "the style is read by another language, which Python cannot see"
