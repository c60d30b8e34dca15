"""The studio in a real browser: a clip becomes an avatar that speaks, without a command line."""

from __future__ import annotations

import asyncio
import os
import shutil

import numpy as np
import pytest

from vast_core.interfaces import SAMPLE_RATE
from vast_core.media import VideoWriter
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_live.limits import Limits
from vast_live.serving import listening
from vast_live.studio.application import studio
from vast_live.studio.receiving import StudioLimits
from vast_live.studio.shelf import Shelf
from vast_live.studio.speaking import Speaking
from vast_live.studio.workshop import Workshop, command

playwright = pytest.importorskip("playwright.async_api", reason="pip install 'vast-avatar[oracles]'")
axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="pip install 'vast-avatar[oracles]'")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium is not installed"),
    pytest.mark.skipif("VAST_WEIGHTS" not in os.environ, reason="needs face_landmarker.task: set VAST_WEIGHTS"),
]
FAKE = ("--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PATIENCE = 600
"""Seconds, on a busy machine."""


def synthetic_clip(path, seconds):
    """A clip of the synthetic corpus's first speaker, who speaks for some seconds."""
    registry = Registry.discover()
    recipe = load_recipe("vast_tiny", registry, ["corpus.image=256", f"corpus.avatar_seconds={seconds}"])
    clips = [clip for clip in assemble(recipe, registry).corpus.clips() if clip.speaker == "alma"]
    frames, wave = [], []
    for clip in clips:
        own = list(clip.footage.frames())
        sound = np.zeros(round(len(own) / recipe.fps * SAMPLE_RATE), np.float32)
        heard = clip.footage.wave()[: len(sound)]
        sound[: len(heard)] = heard
        frames, wave = [*frames, *own], [*wave, sound]
        if len(frames) >= seconds * recipe.fps:
            break
    with VideoWriter(path, recipe.fps, np.concatenate(wave)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def brief(kind, place):
    """The command of the studio, with little work."""
    small = ["stages.synthesize.seconds=1", "renderer.size=64"]
    return [*command(kind, place), *(small if kind != "look" else ())]


def opened(folder):
    """A studio in a folder, which is closed at the end of the block."""
    shelf = Shelf(folder)
    speaking = Speaking(shelf, Limits(), Registry.discover(), 0.12)
    return listening(studio(shelf, Workshop(shelf, brief), speaking, StudioLimits(), local=True))


def in_browser(go, width):
    """Run ``go(page)``; gives its result, and what the browser complained of."""
    complaints = []

    async def run():
        async with playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FAKE)
            try:
                context = await browser.new_context(viewport={"width": width, "height": 844})
                page = await context.new_page()
                page.set_default_timeout(1000 * PATIENCE)
                page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
                page.on("pageerror", lambda e: complaints.append(str(e)))
                return await go(page)
            finally:
                await browser.close()

    return asyncio.run(run()), complaints


async def violations(page):
    """What axe finds on the page."""
    found = (await axe.Axe().run(page)).response["violations"]
    return [(own["id"], [node["target"] for node in own["nodes"]]) for own in found]


def test_a_stranger_makes_an_avatar_of_a_clip_and_hears_it_speak(tmp_path):
    clip = synthetic_clip(tmp_path / "me.mp4", 4)
    room = tmp_path / "room"

    async def upload(page, url):
        await page.goto(url)
        found = await violations(page)
        await page.set_input_files("#clip", {"name": "x.mp4", "mimeType": "video/mp4", "buffer": b"nothing"})
        await page.fill("#name", "Alma")
        await page.check("#agreed")
        await page.get_by_role("button", name="Upload and check it").click()
        await page.get_by_text("cannot be read as a video").wait_for()
        await page.get_by_role("button", name="Take another clip").click()
        await page.set_input_files("#clip", clip)
        found += await violations(page)
        await page.get_by_role("button", name="Upload and check it").click()
        await page.get_by_role("heading", name="Alma", level=1).wait_for()
        await page.get_by_text("The clip is short").wait_for()
        shown = await page.locator("#project").inner_text()
        found += await violations(page)
        shots = await page.locator(".strip img").count()
        return found, shown, shots, page.url, await page.evaluate("document.documentElement.scrollWidth")

    with opened(room) as url:
        (found, shown, shots, address, wide), complaints = in_browser(lambda page: upload(page, url), 390)
    assert found == []
    assert [line for line in complaints if "400" not in line] == []
    assert wide <= 390
    assert shots == 6
    assert "Voice and lips fit together" in shown
    assert "Your face is large enough" in shown
    number = address.rpartition("#")[2]

    async def make(page, url):
        await page.goto(f"{url}/#{number}")
        await page.get_by_role("button", name="Make the avatar").click()
        await page.get_by_role("button", name="Stop").wait_for()
        await page.get_by_role("link", name="Talk with Alma").wait_for()
        found = await violations(page)
        drawn = await page.locator(".strip.wide img").count()
        await page.get_by_role("link", name="Talk with Alma").click()
        for _ in range(PATIENCE):
            if await page.evaluate("document.getElementById('video')?.readyState >= 2"):
                break
            await page.wait_for_timeout(1000)
        name = await page.get_by_role("heading", level=1).inner_text()
        await page.fill("#say", "Hello.")
        await page.press("#say", "Enter")
        for _ in range(PATIENCE):
            if await page.locator("#state").inner_text() == "Speaking":
                break
            await page.wait_for_timeout(200)
        spoke = await page.locator("#state").inner_text()
        await page.goto(f"{url}/#{number}")
        await page.get_by_role("button", name="Delete everything").click()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await page.get_by_text("Deleted: the clip").wait_for()
        return found, drawn, name, spoke, await page.locator("#state").inner_text()

    with opened(room) as url:  # after a restart
        (found, drawn, name, spoke, deleted), complaints = in_browser(lambda page: make(page, url), 1280)
    assert found == []
    assert [line for line in complaints if "404" not in line] == [], "404: asked for while it was deleted"
    assert drawn == 1
    assert name.lower() == "alma"
    assert spoke == "Speaking"
    assert "the avatar made without training" in deleted
    assert [path.name for path in room.iterdir()] == [".lock"]


def test_a_clip_is_filmed_with_the_camera(tmp_path):
    async def film(page, url):
        await page.goto(url)
        await page.get_by_role("button", name="Turn the camera on").click()
        await page.get_by_role("button", name="Start filming").click()
        await page.wait_for_timeout(2500)
        found = await violations(page)
        await page.get_by_role("button", name="Stop filming").click()
        await page.fill("#name", "Nobody")
        await page.check("#agreed")
        await page.get_by_role("button", name="Upload and check it").click()
        await page.get_by_text("No face was found").wait_for()  # the false camera shows a dial
        makes = await page.get_by_role("button", name="Make the avatar").count()
        return found, makes, await page.locator("#state").inner_text()

    with opened(tmp_path / "room") as url:
        (found, makes, state), complaints = in_browser(lambda page: film(page, url), 390)
    assert (found, complaints) == ([], [])
    assert makes == 0
    assert state == "This clip cannot be used"
    (clip,) = (tmp_path / "room").rglob("footage/*/clip.*")
    assert clip.stat().st_size > 10_000
