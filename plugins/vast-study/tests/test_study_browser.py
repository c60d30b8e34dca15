"""Judges in a real browser, by keyboard alone; with the connection lost; and with scripts switched off."""

from __future__ import annotations

import asyncio
import csv
import random
import re
import shutil
import statistics
from pathlib import Path

import pytest

from vast_study.headphones import trials

playwright = pytest.importorskip("playwright.async_api", reason="pip install 'vast-avatar[oracles]'")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium is not installed")
PAGES = Path(__file__).parents[1] / "src" / "vast_study" / "pages"
QUESTIONS = ("sync", "expressiveness", "naturalness")


def in_browser(go):
    """Run ``go(browser)``."""

    async def run():
        async with playwright.async_playwright() as driver:
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            try:
                return await go(browser)
            finally:
                await browser.close()

    return asyncio.run(run())


async def tab_to(page, selector, *, limit=120):
    """Press Tab until the element has the focus, as who has no mouse does."""
    await page.locator(selector).first.wait_for()
    for _ in range(limit):
        if await page.locator(selector).first.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{selector} cannot be reached by Tab on {page.url}")


async def press(page, selector, arrives):
    """Reach an element by Tab, press Enter, and arrive somewhere."""
    await tab_to(page, selector)
    await page.keyboard.press("Enter")
    await page.wait_for_url(arrives)


async def hear(page, server, number):
    """Pass the headphones check by Tab, Space and arrows."""
    for i, trial in enumerate(trials(server.study.seed, number), 1):
        await tab_to(page, f'input[name="trial-{i}"]')
        await page.keyboard.press("Space")
        for _ in range(trial.answer - 1):
            await page.keyboard.press("ArrowRight")
    await press(page, "main form button", re.compile("/(ready|begin)$"))
    await press(page, "main .button", "**/clip/1")


async def watch(page):
    """Play the clip, which has the focus, and wait for its questions."""
    await page.locator("#play:focus").wait_for()
    await page.keyboard.press("Enter")
    await page.locator("fieldset.question:not([disabled])").first.wait_for(timeout=20_000)


async def saved(page, count=3):
    await page.locator(".mark", has_text=re.compile("^Saved$")).nth(count - 1).wait_for()


async def judge(browser, server, number, link, scores):
    """One judge from the link to the completion code; ``scores(label)`` are given clip by clip, by the keys 1 to 5."""
    context = await browser.new_context()
    page = await context.new_page()
    broken = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)
    await page.goto(server.address + link)
    await press(page, 'button[value="agree"]', "**/link")
    await press(page, "main .button", "**/headphones")
    await hear(page, server, number)
    given = {}
    while not page.url.endswith("/thanks"):
        if page.url.endswith("/review"):
            await press(page, "main form button", re.compile("/(pause|thanks)$"))
        elif page.url.endswith("/pause") or page.url.endswith("/begin"):
            await press(page, "main .button", re.compile(r"/clip/\d+$"))
        elif page.url.endswith("/feedback"):
            await press(page, "main form button", re.compile(r"/(begin|clip/\d+)$"))
        else:
            position = int(page.url.rsplit("/", 1)[1])
            await watch(page)
            given[position - 1] = scores(position - 1)
            for score in given[position - 1]:
                await page.keyboard.press(str(score))
            await saved(page)
            here = page.url
            await page.keyboard.press("Enter")
            await page.wait_for_url(lambda url, here=here: url != here)
    code = await page.locator("#completion").inner_text()
    await context.close()
    assert broken == []
    return code, given


def planned(number):
    """What a judge gives at a position: any scores, the same whenever asked."""
    return lambda position: [random.Random(f"{number} {position} {name}").randint(1, 5) for name in QUESTIONS]


def test_a_judge_goes_all_the_way_by_keyboard(serve):
    server = serve(2, training=1, traps=0)
    (link,) = server.invite(1)
    code, given = in_browser(lambda browser: judge(browser, server, 1, link, planned(1)))
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}", code)
    kept = {(vote.position, vote.question): vote.score for vote in server.votes()}
    assert kept == {
        (i, name): score for i, scores in given.items() for name, score in zip(QUESTIONS, scores, strict=True)
    }
    assert len(kept) == 3 * 3, "a practice clip and two that count"


@pytest.mark.slow
def test_six_judges_by_keyboard_and_the_report_by_hand(serve):
    server = serve(4, training=1, traps=1, block=4)
    links = server.invite(6)

    async def everyone(browser):
        room = asyncio.Semaphore(3)

        async def one(number, link):
            async with room:
                return await judge(browser, server, number, link, planned(number))

        return await asyncio.gather(*(one(number, link) for number, link in enumerate(links, 1)))

    done = in_browser(everyone)
    assert len({code for code, _ in done}) == 6
    votes = server.votes()
    kept = {(vote.judge, vote.position, vote.question): vote.score for vote in votes}
    assert kept == {
        (number, position, name): score
        for number, (_, given) in enumerate(done, 1)
        for position, scores in given.items()
        for name, score in zip(QUESTIONS, scores, strict=True)
    }
    assert len(kept) == 6 * (1 + 3 * 2 + 1) * 3

    server.run("study", "report", str(server.file), "--keep-all")
    with (server.study.folder / "report" / "mos.csv").open() as file:
        rows = {(row["question"], row["system"]): row for row in csv.DictReader(file)}
    for name in QUESTIONS:
        for system in server.study.systems:
            means = [
                statistics.mean(
                    vote.score
                    for vote in votes
                    if (vote.judge, vote.kind, vote.question, vote.system) == (number, "rated", name, system)
                )
                for number in range(1, 7)
            ]
            assert float(rows[name, system]["mos"]) == pytest.approx(statistics.mean(means), abs=6e-4)


@pytest.mark.slow
def test_a_lost_connection_loses_no_score(serve):
    server = serve(2, training=0, traps=0)
    (link,) = server.invite(1)

    async def go(browser):
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(server.address + link)
        await press(page, 'button[value="agree"]', "**/link")
        await press(page, "main .button", "**/headphones")
        await hear(page, server, 1)
        await page.keyboard.press("3")
        assert "watch the clip to its end" in await page.locator("#state").inner_text()
        await watch(page)
        await context.set_offline(True)
        for key in "425":
            await page.keyboard.press(key)
        await page.locator(".mark", has_text="Not saved yet").first.wait_for()
        assert "kept and sent again" in await page.locator("#state").inner_text()
        await page.keyboard.press("Enter")
        await page.wait_for_timeout(300)
        assert page.url.endswith("/clip/1"), "nobody leaves while scores are unsaved"
        assert await page.locator(".mark", has_text=re.compile("^Saved$")).count() == 0
        before = len(server.votes())
        await context.set_offline(False)
        await page.wait_for_url("**/clip/2")
        middle = {vote.question: vote.score for vote in server.votes()}

        # a score that was never sent is sent when the page is opened again
        await watch(page)
        await context.set_offline(True)
        await page.keyboard.press("1")
        await page.locator(".mark", has_text="Not saved yet").wait_for()
        await page.close(run_before_unload=False)
        await context.set_offline(False)
        again = await context.new_page()
        await again.goto(server.address + "/go")
        await saved(again, 1)
        assert await again.locator("input:checked").get_attribute("value") == "1"
        return before, middle

    before, middle = in_browser(go)
    assert before == 0
    assert middle == {"sync": 4, "expressiveness": 2, "naturalness": 5}
    assert [(vote.position, vote.score) for vote in server.votes() if vote.position == 1] == [(1, 1)]


@pytest.mark.slow
def test_the_study_works_without_scripts_and_reads_aloud(serve):
    server = serve(2, training=0, traps=0)
    (link,) = server.invite(1)

    async def go(browser):
        context = await browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        await page.goto(server.address + link)
        await page.click('button[value="agree"]')
        await page.goto(server.address + "/headphones")
        for i, trial in enumerate(trials(server.study.seed, 1), 1):
            await page.check(f'input[name="trial-{i}"][value="{trial.answer}"]')
        await page.click("main form button")
        await page.goto(server.address + "/clip/1")
        snapshot = await page.locator("body").aria_snapshot()
        await page.wait_for_timeout(1000)
        await page.click("text=I have watched it")
        for name, score in zip(QUESTIONS, (5, 1, 3), strict=True):
            await page.check(f'input[name="score-{name}"][value="{score}"]')
        await page.click("#next")
        return snapshot, page.url

    snapshot, url = in_browser(go)
    assert url.endswith("/clip/2")
    assert [vote.score for vote in server.votes()] == [5, 1, 3]
    assert 'heading "Clip 1 of 4" [level=1]' in snapshot
    assert re.search(r'group "Speech-Lip Sync How much do the lip movements match the audio\?"', snapshot)
    assert 'radio "1 Very poor"' in snapshot
    assert 'radio "5 Very good"' in snapshot
    assert 'progressbar "Clips done: 0 of 4"' in snapshot
    assert "status" in snapshot


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(scheme):
    css = (PAGES / "static" / "study.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.S)
    colour = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[scheme]))
    text = [("ink", ground) for ground in ("ground", "raised", "sunk", "accent-soft")]
    text += [("quiet", ground) for ground in ("ground", "raised", "sunk")]
    text += [("on-accent", "accent"), ("on-accent", "accent-strong"), ("warn", "warn-soft"), ("warn", "ground")]
    text += [("accent", "ground"), ("accent", "raised")]
    for front, back in [*text, ("edge", "raised"), ("edge", "ground")]:
        high, low = sorted((luminance(colour[front]), luminance(colour[back])), reverse=True)
        least = 3.0 if front == "edge" else 4.5  # borders of controls, WCAG 1.4.11
        assert (high + 0.05) / (low + 0.05) >= least, f"{front} on {back}"


@pytest.mark.slow
def test_no_page_is_wider_than_its_screen(serve):
    server = serve(2, training=1, traps=0)
    (link,) = server.invite(1)

    async def go(browser):
        page = await browser.new_page()
        await page.goto(server.address + link)
        await press(page, 'button[value="agree"]', "**/link")
        wide = []
        for stop in ("/headphones", "/clip/1"):
            for path in (stop, "/", "/link", "/withdraw", "/experimenter", "/nowhere"):
                for width in (390, 1280):
                    await page.set_viewport_size({"width": width, "height": 844})
                    await page.goto(server.address + path)
                    if await page.evaluate("document.documentElement.scrollWidth") > width:
                        wide.append((path, width))
            if stop == "/headphones":
                await page.goto(server.address + stop)
                await hear(page, server, 1)
        return wide

    assert in_browser(go) == []
