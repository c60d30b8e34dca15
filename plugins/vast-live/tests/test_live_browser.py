"""The page in a real browser, on a phone and on a desk: microphone, file, text, clip and recording."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from vast_core.interfaces import SAMPLE_RATE
from vast_live.limits import Limits

playwright = pytest.importorskip("playwright.async_api", reason="pip install 'vast-avatar[oracles]'")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium is not installed"),
]
CSS = Path(__file__).parents[1] / "src" / "vast_live" / "page" / "static" / "live.css"
FAKE = ("--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
BRIGHTNESS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 48, height: 64});
  const draw = canvas.getContext("2d", {willReadFrequently: true});
  draw.drawImage(video, 0, 0, 48, 64);
  const red = (x, y, w, h) => draw.getImageData(x, y, w, h).data.filter((_, i) => i % 4 === 0);
  const mean = (...where) => red(...where).reduce((a, b) => a + b) / red(...where).length;
  return {time: video.currentTime, middle: mean(16, 24, 16, 16), corner: mean(2, 2, 4, 4)};
}"""


def in_browser(go, url, *, width=1280, arguments=FAKE):
    """Run ``go(page)`` on the page at ``url``; gives its result, and what the browser complained of."""
    complaints = []

    async def run():
        async with playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=[*arguments])
            try:
                context = await browser.new_context(viewport={"width": width, "height": 844})
                page = await context.new_page()
                page.set_default_timeout(120_000)  # on a busy machine, too
                page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
                page.on("pageerror", lambda e: complaints.append(str(e)))
                await page.goto(url)
                await until(page, "document.getElementById('video').readyState >= 2")
                return await go(page)
            finally:
                await browser.close()

    return asyncio.run(run()), complaints


async def until(page, true, seconds=20):
    """Wait until a script's value is true; the page allows no `eval`, which Playwright would use."""
    for _ in range(round(seconds / 0.05)):
        if await page.evaluate(true):
            return
        await page.wait_for_timeout(50)
    raise AssertionError(f"not in {seconds} s: {true}")


async def watch(page, seconds, step=0.04):
    rows = []
    for _ in range(round(seconds / step)):
        rows.append(await page.evaluate(BRIGHTNESS))
        await page.wait_for_timeout(1000 * step)
    return rows


async def see(page, what, least, seconds=15):
    """Wait until the middle or the corner of the picture is as bright as ``least``."""
    for _ in range(round(seconds / 0.05)):
        row = await page.evaluate(BRIGHTNESS)
        if row[what] >= least:
            return row
        await page.wait_for_timeout(50)
    raise AssertionError(f"the {what} stays at {row[what]:.0f}")


def beep_file(path, seconds=1.5):
    wave = 0.5 * np.sin(np.arange(round(seconds * SAMPLE_RATE)) * 0.3)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((wave[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("width", [390, 1280])
def test_the_avatar_hears_the_microphone_and_its_picture_changes(serve, bright, width):
    async def go(page):
        idle = await watch(page, 1)
        await page.get_by_role("button", name="Speak", exact=True).click()
        await page.get_by_role("button", name="Stop listening").wait_for()
        lively = await watch(page, 4)  # the fake device beeps once a second
        await page.get_by_role("button", name="Stop", exact=True).click()
        await page.get_by_role("button", name="Speak", exact=True).wait_for()
        await page.wait_for_timeout(1500)
        after = await watch(page, 0.5)
        wide = await page.evaluate("document.documentElement.scrollWidth")
        return idle, lively, after, wide, await page.evaluate("video.muted")

    (idle, lively, after, wide, muted), complaints = in_browser(go, serve(), width=width)
    assert complaints == []
    assert wide <= width
    assert not muted
    assert idle[-1]["time"] > idle[0]["time"] + 0.5, "the video plays"
    assert max(row["middle"] for row in idle) < 60
    bright_rows = np.array([row["middle"] > 90 for row in lively])
    assert bright_rows.any()
    assert not bright_rows.all(), "bright with each beep, dark between two"
    assert max(row["middle"] for row in after) < 60


def test_a_file_a_text_a_style_and_a_recording(serve, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"a clip")
    beep_file(tmp_path / "beep.wav")

    async def go(page):
        await page.set_input_files("#file", tmp_path / "beep.wav")
        await see(page, "middle", 120)
        await page.fill("#say", "Hello there, and welcome.")
        await page.press("#say", "Enter")
        assert await page.input_value("#say") == ""
        await page.wait_for_timeout(2500)
        await see(page, "middle", 60)
        await page.select_option("#named", "happy")
        await see(page, "corner", 215)
        await page.set_input_files("#clip", tmp_path / "clip.mp4")
        await until(page, "document.getElementById('state').textContent.includes('clip.mp4')")
        await page.get_by_text("Sliders", exact=True).click()
        await page.get_by_label("Inner brow").fill("-1")
        await page.wait_for_timeout(1500)
        low = (await page.evaluate(BRIGHTNESS))["corner"]
        await page.get_by_role("button", name="Record").click()
        await page.set_input_files("#file", tmp_path / "beep.wav")
        await page.wait_for_timeout(3500)
        await page.get_by_role("button", name="Stop recording").click()
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Download the recording").click()
        kept = await waiting.value
        await kept.save_as(tmp_path / "kept.mp4")
        return low, kept.suggested_filename

    (low, name), complaints = in_browser(go, serve())
    assert complaints == []
    assert low < 128, "0.8 of the clip less 1 of the slider"
    assert name == "bright.mp4"
    with av.open(str(tmp_path / "kept.mp4")) as film:
        frames = [(f.time, f.to_ndarray(format="gray")[24:40, 16:32].mean()) for f in film.decode(video=0)]
    with av.open(str(tmp_path / "kept.mp4")) as film:
        wave = np.concatenate([f.to_ndarray()[0] for f in film.decode(audio=0)])
    times = np.array([at for at, _ in frames])
    assert times[0] == 0
    assert 3 < times[-1] < 7
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-3)
    lit = [at for at, level in frames if level > 120]
    loud = np.flatnonzero(np.abs(wave) > 0.2) / 48_000
    assert abs(lit[0] - loud[0]) < 0.08, "sound and picture are together in the recording"


def test_it_tells_what_is_wrong_and_comes_back(serve):
    url = serve(Limits(clients=1))

    async def go(page):
        other = await page.context.new_page()
        await other.goto(url)
        await until(other, "document.getElementById('state').textContent.includes('places are taken')")
        await page.set_input_files("#file", {"name": "x.mp3", "mimeType": "audio/mpeg", "buffer": b"nothing"})
        await until(page, "document.getElementById('state').textContent.includes('x.mp3 cannot be spoken')")
        await page.set_input_files("#clip", {"name": "x.mp4", "mimeType": "video/mp4", "buffer": b"nothing"})
        await until(page, "/places are taken|no face/.test(document.getElementById('state').textContent)")
        return await page.locator("#state").inner_text()

    _, complaints = in_browser(go, url)
    assert not [line for line in complaints if "503" not in line and "400" not in line]


def test_everything_has_a_name_and_can_be_reached_by_keyboard(serve):
    async def go(page):
        snapshot = await page.locator("body").aria_snapshot()
        await page.get_by_text("Sliders", exact=True).click()
        reached = []
        for _ in range(24):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        nameless = await page.evaluate(
            """[...document.querySelectorAll("button, input, select, textarea, a, video, meter")]
               .filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.id)"""
        )
        small = await page.evaluate(
            """[...document.querySelectorAll(".button, select")].filter(e => e.offsetHeight && e.offsetHeight < 24)
               .map(e => e.id)"""
        )
        doubled = await page.evaluate(
            """[...document.querySelectorAll("[id]")].map(e => e.id)
               .filter((id, i, all) => all.indexOf(id) !== i)"""
        )
        return snapshot, reached, nameless, small, doubled

    (snapshot, reached, nameless, small, doubled), complaints = in_browser(go, serve(), width=390)
    assert (complaints, nameless, small, doubled) == ([], [], [], [])
    assert {"microphone", "file", "stop", "say", "named", "clip", "strength", "factor-smile", "record"} <= set(reached)
    assert 'heading "bright" [level=1]' in snapshot
    assert 'button "Speak"' in snapshot
    assert 'slider "Strength"' in snapshot


def test_the_page_for_programs_shows_what_they_may_ask(serve):
    url = serve()

    async def go(page):
        await page.goto(f"{url}/docs")
        await page.get_by_role("heading", name="POST /speak").wait_for()
        return await page.inner_text("main"), await page.evaluate("document.documentElement.scrollWidth")

    (text, width), complaints = in_browser(go, url, width=390)
    assert complaints == []
    assert width <= 390
    assert "strength" in text
    assert "16,000 a second" in text


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme):
    blocks = re.findall(r":root \{(.*?)\}", CSS.read_text(), re.S)
    colour = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[scheme]))
    text = [(front, ground) for front in ("ink", "quiet", "accent", "warn") for ground in ("ground", "raised")]
    text += [("ink", "sunk"), ("quiet", "accent-soft"), ("on-accent", "accent"), ("on-accent", "accent-strong")]
    text += [("ground", "warn")]
    for front, back in [*text, ("edge", "raised"), ("edge", "ground")]:
        high, low = sorted((luminance(colour[front]), luminance(colour[back])), reverse=True)
        least = 3.0 if front == "edge" else 4.5  # borders of controls, WCAG 1.4.11
        assert (high + 0.05) / (low + 0.05) >= least, f"{front} on {back}"


@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_accessibility_fault(serve, width):
    axe = pytest.importorskip("axe_playwright_python", reason="pip install 'vast-avatar[oracles]'")
    script = Path(axe.__file__).with_name("axe.min.js").read_text(encoding="utf-8")

    async def go(page):
        await page.evaluate(script)
        return await page.evaluate("axe.run()")

    found, _ = in_browser(go, serve(), width=width)
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]] == []
    assert len(found["passes"]) > 10
