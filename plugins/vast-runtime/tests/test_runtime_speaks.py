"""An avatar without torch says what it says with torch: the same frames, also out of a fresh environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import vast_core
import vast_core.api
import vast_runtime
from vast_core.media import VideoFile, opened, read_wave
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_core.speak.style_model import decode_whole
from vast_runtime.__main__ import main
from vast_runtime.serving import server

ROOT = Path(__file__).resolve().parents[3]
STAGES = ["prepare", "style", "renderer", "synthesize"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VAST_RUNTIME_TESTS" not in os.environ, reason="takes minutes: set VAST_RUNTIME_TESTS=1"),
]


def psnr(ours, core):
    """The lowest of all frames, dB."""
    assert len(ours) == len(core) > 0
    error = np.square(np.stack(ours).astype(float) - np.stack(core)).mean((1, 2, 3)).max()
    return 10 * np.log10(255**2 / max(error, 1e-9))


def wave_of(seconds, seed=0):
    chance = np.random.default_rng(seed)
    wave = 0.1 * chance.standard_normal(round(seconds * 16_000))
    return (wave * np.sin(np.arange(len(wave)) / 3000)).astype(np.float32)


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


@pytest.fixture(scope="module")
def runs(tmp_path_factory, registry):
    """Runs of one step per stage, with a renderer that has a state, and with one that draws close-ups."""
    place = tmp_path_factory.mktemp("runs")
    made = {}
    few = ["stages.style.steps=1", "stages.renderer.steps=1", "stages.synthesize.seconds=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAST_CACHE", str(place / "cache"))
        for name, options in {"cgan_convlstm": [], "mesh": ["renderer={use: mesh, size: 64}"]}.items():
            recipe = load_recipe("vast_tiny", registry, [*few, *options])
            run_recipe(recipe, registry, place / name, stages=STAGES)
            avatar = vast_core.api.load(place / name, device="cpu", registry=registry)
            avatar.save_style(avatar.style("sample", seed=3), "lively")
            made[name] = place / name
    return made


@pytest.fixture(scope="module")
def packed(runs, registry):
    files = {}
    for name, run in runs.items():
        ahead = 0.12 if name == "mesh" else None  # one is for sound that is heard as it comes
        files[name] = vast_core.api.pack(
            run, run.parent / f"{name}.vast", format="onnx", look_ahead=ahead, registry=registry
        )
    return files


@pytest.mark.parametrize("renderer", ["cgan_convlstm", "mesh"])
def test_frames_are_those_of_vast(runs, packed, renderer):
    core = vast_core.api.load(runs[renderer], device="cpu", look_ahead=0.12 if renderer == "mesh" else None)
    ours = vast_runtime.load(packed[renderer])
    assert (ours.name, ours.fps, ours.size, ours.styles) == (core.name, core.fps, core.size, ["lively"])
    assert ours.factors == list(core.factors)
    blocks = 0 if renderer == "mesh" else 31 / 25  # a block is heard when the sound of its last frame is there
    assert ours.latency == pytest.approx(core.latency + blocks, abs=0.05)
    wave, strong = wave_of(4.3), 1.5  # longer than the footage, which begins anew
    expected = list(core.speak(wave, core.style("lively", strength=strong)))
    assert len(expected) == 108
    frames = list(ours.speak(wave, ours.style("lively", strength=strong)))
    assert psnr(frames, expected) > 45
    assert psnr(list(ours.speak(wave, ours.style())), expected) < 45, "a style is seen"
    saved = next((runs[renderer] / "styles").glob("*.safetensors"))
    np.testing.assert_array_equal(ours.style(saved).code, ours.style("lively").code)
    chunks = (wave[at : at + 777] for at in range(0, len(wave), 777))
    assert psnr(list(ours.speak(chunks, ours.style("lively", strength=strong))), frames) > 90


def test_a_frame_comes_as_soon_as_its_sound_is_there(packed):
    avatar, heard = vast_runtime.load(packed["mesh"]), []

    def arriving():
        while True:
            heard.append(0.01)
            yield np.zeros(160, np.float32)

    frames = avatar.speak(arriving(), avatar.style())
    for number, _ in enumerate(islice(frames, 5)):
        assert sum(heard) <= number / avatar.fps + avatar.latency + 0.02
    assert avatar.latency < 0.5


def test_it_writes_a_video_and_says_what_is_wrong(runs, packed, tmp_path, capsys):
    sound, out = tmp_path / "sound.wav", tmp_path / "out.mp4"
    write_wave(sound, wave_of(1.2))
    words = ["speak", str(packed["mesh"]), "--audio", str(sound), "--out", str(out)]
    assert main([*words, "--style", "lively"]) == 0
    avatar = vast_runtime.load(packed["mesh"])
    frames = list(avatar.speak(sound, avatar.style("lively")))
    assert psnr(list(VideoFile(out, 25).frames()), frames) > 30
    core = vast_core.api.load(runs["mesh"], device="cpu", look_ahead=0.12)
    np.testing.assert_array_equal(avatar.marked(frames[3]), core.marks.frame(frames[3]))
    with opened(out) as container:
        assert core.marks.metadata().items() <= container.metadata.items()
    assert abs(len(read_wave(out)) - 1.2 * 16_000) < 1600
    for more, told in {
        (): "exists already",
        ("--force", "--style", "sad"): "no style 'sad': it has lively; keep one with `vast style save`",
        ("--force", "--style", str(out)): "a clip is read by vast alone",
        ("--force", "--style-factor", "grin=1"): "the factor 'grin' is unknown",
        ("--force", "--strength", "nan"): "give a finite number",
    }.items():
        assert main([*words, *more]) == 2
        assert told in capsys.readouterr().err


def write_wave(path, wave):
    import wave as files

    with files.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((wave * 32767).astype(np.int16).tobytes())


def test_it_is_served(packed, tmp_path):
    write_wave(tmp_path / "sound.wav", wave_of(0.8))
    sound = (tmp_path / "sound.wav").read_bytes()
    with server(vast_runtime.load(packed["mesh"]), "127.0.0.1", 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_address[1]}"
        assert b"<form>" in urllib.request.urlopen(url).read()
        assert json.loads(urllib.request.urlopen(f"{url}/avatar").read())["styles"] == ["lively"]
        answer = urllib.request.urlopen(f"{url}/speak?style=lively&strength=0.5", sound)
        assert answer.headers["Content-Type"] == "video/mp4"
        (tmp_path / "out.mp4").write_bytes(answer.read())
        assert len(list(VideoFile(tmp_path / "out.mp4", 25).frames())) == 20
        for path, data in {
            "/speak?style=/etc/passwd": sound,
            "/speak": b"no sound",
            "/speak?strength=much": sound,
            "/elsewhere": sound,
        }.items():
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url + path, data)
            assert refused.value.code in (400, 404)
        running.shutdown()


def test_vast_says_what_to_do_with_such_a_file(packed):
    with pytest.raises(vast_core.errors.InputError, match="packed with --format onnx, for vast-runtime"):
        vast_core.api.load(packed["mesh"])


def test_every_part_is_exported_and_the_example_needs_onnxruntime_alone(runs, registry, tmp_path):
    out = tmp_path / "onnx"
    told = run("-m", "vast_core", "export", runs["mesh"], "--out", out)
    for part in ("audio/ppg", "style/attentive", "decoder/hybrid", "face/landmarks", "renderer/mesh"):
        assert part in told
    sound = tmp_path / "sound.wav"
    write_wave(sound, wave_of(1.5))
    blocked = "import sys; sys.modules |= dict.fromkeys(['torch', 'vast_core', 'onnx', 'cv2', 'scipy']); import runpy; "
    example = f"sys.argv = ['example.py', {str(sound)!r}, {str(tmp_path / 'face.npy')!r}]; "
    told = run("-c", f"{blocked}{example}runpy.run_path({str(out / 'example.py')!r}, run_name='__main__')")
    assert "38 frames of 468 vertices" in told
    cast = vast_core.api.load(runs["mesh"], device="cpu", registry=registry).cast
    face = cast.pipeline.face
    with torch.no_grad():
        rows = cast.pipeline.audio(torch.from_numpy(read_wave(sound))[None], 38)[0]
        expression = decode_whole(cast.model, rows, torch.zeros(1, 32))
        expected = face.settled(face.decode(expression, cast.base.identity))
    below = face.lips  # which no blink moves
    np.testing.assert_allclose(np.load(tmp_path / "face.npy")[:, below], expected[:, below].numpy(), atol=1e-3)


def run(*words):
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_speaks_in_an_environment_of_its_own(packed, tmp_path):
    """The wheel and what it requires, in a fresh environment: no torch, no vast, little space."""
    sound, place = tmp_path / "sound.wav", tmp_path / "alone"
    write_wave(sound, wave_of(1.0))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT / "plugins" / "vast-runtime"]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    install = ["install", "-q", "--target", place, "-c", ROOT / ".ci" / "constraints.txt", wheel]
    done = subprocess.run([*pip, *install], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the packages that vast-runtime requires cannot be installed: {done.stderr.strip()[-300:]}")
    assert not [name for name in ("torch", "vast_core") if (place / name).exists()]
    megabytes = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6
    assert megabytes < 450  # of which OpenCV has 160
    code = (
        "import re, sys, time; from pathlib import Path; begun = time.monotonic(); import vast_runtime;"
        "avatar = vast_runtime.load(sys.argv[1]); ready = time.monotonic() - begun;"
        "avatar.write(sys.argv[2], sys.argv[3], avatar.style());"
        "most = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1];"
        "print(ready, int(most) / 1e3, 'torch' in sys.modules)"
    )
    out = tmp_path / "out.mp4"
    words = [sys.executable, "-S", "-c", code, packed["cgan_convlstm"], out, sound]
    environment = {"PYTHONPATH": str(place), "PATH": os.environ["PATH"]}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    _, resident, torch_there = done.stdout.split()
    assert float(resident) < 400
    assert torch_there == "False"
    assert len(list(VideoFile(out, 25).frames())) == 25
