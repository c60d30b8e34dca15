"""The example for browsers, in chromium: its faces are those of the example in Python, and it hears a microphone."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
import wave
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from vast_core.interfaces import place
from vast_export import exporting, formats, parts
from vast_export.graphs import Graph

playwright = pytest.importorskip("playwright.async_api", reason="pip install 'vast-avatar[oracles]'")
CHROMIUM, NPM = shutil.which("chromium"), shutil.which("npm")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium is not installed"),
    pytest.mark.skipif(NPM is None, reason="needs npm, to install onnxruntime-web"),
]
KEEP = """window.faces = [];
document.getElementById("face").addEventListener("drawn", ({detail}) => window.faces.push([...detail]));"""


class Mesh(nn.Module):
    """A face of eight vertices, which is linear in the expression."""

    def __init__(self, size):
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        self.neutral = nn.Parameter(torch.randn(1, 8, 3, generator=chance))
        self.basis = nn.Parameter(torch.randn(size, 24, generator=chance))

    def forward(self, expression, played, pose):
        shape = self.neutral + (expression @ self.basis).reshape(-1, 8, 3) + 0 * played[:, None, None]
        return shape, place(shape, pose), place(self.neutral, pose), shape[:, 0, 0]


@pytest.fixture(scope="module")
def folder(cast, heard, tmp_path_factory):
    """An export: the model's own ears and decoder, a small face, and onnxruntime-web as its users install it."""
    folder = tmp_path_factory.mktemp("export")
    command = [NPM, "install", "--no-audit", "--no-fund", "--ignore-scripts", "onnxruntime-web"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot install onnxruntime-web: {done.stderr.strip().splitlines()[-1]}")
    code = torch.randn(1, 32, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        listening, deciding = parts._audio(cast, *heard), parts._decoder(cast, heard[1], code)
    given = {
        "expression": torch.zeros(1, 32),
        "played": torch.zeros(1, dtype=torch.int64),
        "pose": torch.eye(3, 4)[None],
    }
    outputs = ["shape", "vertices", "before", "opening"]
    face = Graph(name="face", component="face/small", module=Mesh(32), inputs=given, outputs=outputs)
    graphs = [listening.graph, deciding.graph, face]
    written = {formats.write(graph, "onnx", folder).path.name: graph for graph in graphs}
    pipeline = SimpleNamespace(
        sizes=cast.pipeline.sizes, face=SimpleNamespace(triangles=np.array([[0, 1, 2], [3, 4, 5]]))
    )
    avatar = SimpleNamespace(
        cast=SimpleNamespace(pipeline=pipeline, model=cast.model, digest="0"),
        name="ann",
        fps=cast.pipeline.sizes.fps,
        styles={"happy": SimpleNamespace(code=code[0], source="happy.mp4")},
        factors=["smile"],
        sliders=SimpleNamespace(learned={"smile": 1}, directions=torch.ones(1, 32), origin=torch.zeros(32)),
    )
    (folder / exporting.FACTS).write_text(json.dumps(exporting.facts_of(avatar, written)))
    exporting.copy_examples(folder)
    return folder


@pytest.fixture
def url(folder):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/example.html"
        server.shutdown()


def in_browser(go, url, *arguments):
    """Run ``go(page)`` on the ready page; gives its result, and what the browser complained of."""
    complaints = []

    async def run():
        async with playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *arguments])
            try:
                page = await browser.new_page()
                page.set_default_timeout(120_000)  # on a busy machine, too
                page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
                page.on("pageerror", lambda e: complaints.append(str(e)))
                await page.goto(url)
                await page.locator("#microphone:enabled").wait_for()
                await page.evaluate(KEEP)
                return await go(page)
            finally:
                await browser.close()

    return asyncio.run(run()), complaints


def sound_file(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32767).round().astype(np.int16).tobytes())
    return path


def test_a_file_moves_the_face_as_the_example_in_python_does(folder, url, heard, tmp_path):
    spoken = sound_file(tmp_path / "speech.wav", heard[0])
    face = tmp_path / "face.npy"
    command = [sys.executable, str(folder / "example.py"), str(spoken), str(face), "happy"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    expected = np.load(face)

    async def go(page):
        await page.select_option("#style", "happy")
        await page.set_input_files("#file", spoken)
        await page.get_by_text("68 frames").wait_for()
        return await page.evaluate("window.faces")

    faces, complaints = in_browser(go, url)
    assert complaints == []
    found = np.array(faces).reshape(-1, 8, 3)
    assert found.shape == expected.shape == (68, 8, 3)
    assert expected.std(0).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-3)  # the browser's decoder of sound rounds otherwise


def test_the_face_hears_the_microphone_and_stops(url):
    fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")  # it beeps once a second

    async def go(page):
        await page.get_by_role("button", name="Listen").click()
        await page.get_by_text("ms for a frame").wait_for()
        await page.wait_for_function("window.faces.length > 40")
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_role("button", name="Listen").wait_for()
        await page.wait_for_timeout(300)
        faces = await page.evaluate("window.faces")
        await page.wait_for_timeout(500)
        return faces, await page.evaluate("window.faces.length")

    (faces, later), complaints = in_browser(go, url, *fake)
    assert complaints == []
    assert np.isfinite(faces).all()
    assert np.array(faces).std(0).max() > 1e-3, "it moves"
    assert later == len(faces), "it stopped"


def test_a_refused_microphone_is_said(url):
    async def go(page):
        await page.evaluate("void (navigator.mediaDevices.getUserMedia = async () => { throw new Error('refused') })")
        await page.get_by_role("button", name="Listen").click()
        await page.get_by_text("No microphone: refused").wait_for()

    assert in_browser(go, url)[1] == []
