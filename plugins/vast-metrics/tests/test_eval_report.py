"""The report of an evaluation: tables, CSV and page, read back by parsers that know nothing of how they are made."""

import csv
import io
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import attrs
import av
import numpy as np
import pytest
from rich.console import Console

from vast_core.media import VideoWriter
from vast_metrics.evaluation import page
from vast_metrics.evaluation.figures import stacked
from vast_metrics.evaluation.results import ClipResult, Evaluation, LeftOut, MeasureOf, Overall
from vast_metrics.evaluation.tables import print_table, reading, write_csv

DIGEST = "0123456789abcdef" * 4
MEASURES = {
    "error": MeasureOf(metric="error", provider="vast-metrics 1", better="lower", unit="mm"),
    "likeness": MeasureOf(metric="likeness", provider="vast-metrics 1", better="higher"),
    "skew": MeasureOf(metric="skew", provider="other 2", better="closer to 0", unit="s"),
    "rate": MeasureOf(metric="rate", provider="other 2", better="neither"),
    "fid": MeasureOf(metric="fid", provider="other 2", better="lower"),
}
VALUES = {
    "dull": {"error": 1.0, "likeness": 0.5, "skew": -3.0, "rate": 1.0},
    "<b>loud</b>": {"error": 3.0, "likeness": 0.9, "skew": 2.0, "rate": 2.0},
    "fast & late": {"error": 2.0, "skew": 0.5, "rate": 3.0},
}


def clip(number, name, values):
    return ClipResult(
        name=name,
        speaker=f"speaker {number}",
        frames=25,
        values=values,
        not_computed={} if "likeness" in values else {"likeness": "it shows <i>no face</i>"},
        generated=f"videos/generated/{number}.mp4",
        reference=f"videos/reference/{number}.mp4",
        curves={"generated": (0.1, 0.2, 0.1), "reference": (0.1, 0.3, 0.1)},
        notes=("aligned with its reference",),
    )


@pytest.fixture
def evaluation():
    return Evaluation(
        vast="0.9",
        protocol="v1",
        digest=DIGEST,
        generated="ours",
        reference="real",
        geometry="tracked",
        fps=25.0,
        measures=MEASURES,
        overall={
            "error": Overall(value=2.0, low=1.25, high=2.75, clips=3),
            "likeness": Overall(value=0.7, low=0.5, high=0.9, clips=2),
            "skew": Overall(value=-0.1667, low=-2.0, high=1.5, clips=3),
            "rate": Overall(value=2.0, low=None, high=None, clips=3),
        },
        not_computed={"fid": "its weights are\nat no place"},
        clips=tuple(clip(number, *item) for number, item in enumerate(VALUES.items())),
        left_out=(LeftOut(clip="broken.mp4", reason="no <video> in it"),),
    )


def tone(hertz):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, evaluation):
    """With the videos that the evaluation names: the generated red and high, the reference blue and low."""
    for side, colour, hertz in (("generated", (220, 20, 20), 880), ("reference", (20, 20, 220), 220)):
        for number in range(len(VALUES)):
            with VideoWriter(tmp_path / f"videos/{side}/{number}.mp4", 25, tone(hertz)) as writer:
                for _ in range(25):
                    writer.write(np.full((64, 48, 3), colour, np.uint8))
    return tmp_path


class Reader(HTMLParser):
    """Tags with their attributes, and the words inside each kind of tag."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self._stack = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in {"meta", "img", "wbr"}:
            self._stack.append(tag)

    def handle_endtag(self, tag):
        assert self._stack.pop() == tag

    def handle_data(self, data):
        if data.strip() and self._stack[-1] != "style":
            self.words.append((self._stack[-1], " ".join(data.split())))

    def all(self, tag):
        return [attributes for found, attributes in self.tags if found == tag]

    def said(self, tag):
        return [words for found, words in self.words if tag == found]


@pytest.fixture
def written(folder, evaluation):
    (path,) = page.write_report(folder, evaluation)
    return Reader(path.read_text(encoding="utf-8"))


def printed(evaluation, width=110):
    console = Console(width=width, file=io.StringIO())
    console.print(print_table(evaluation))
    return console.file.getvalue()


# ------------------------------------------------------------------------------------------------ terminal and CSV


def test_the_terminal_names_the_protocol_and_every_number(evaluation):
    text = printed(evaluation)
    assert "ours against real · protocol v1 0123456789ab" in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert [word for word in lines["error"].split() if word] == [
        "error",
        "2.00",
        "mm",
        "1.25",
        "to",
        "2.75",
        "3",
        "↓",
    ]
    assert lines["skew"].split() == ["skew", "−0.167", "s", "−2.00", "to", "1.50", "3", "→", "0"]
    assert lines["rate"].split() == ["rate", "2.00", "3"]
    assert "fid: not computed, because its weights are\n" in text


@pytest.mark.parametrize(
    ("speakers", "words"),
    [
        (["a"] * 6, "with 1 speaker they"),
        ([*"abcde", "a"], "with 5 speakers"),
        ([*"abcdef"], "over the 6 speakers"),
    ],
)
def test_readers_are_told_what_was_drawn(evaluation, speakers, words):
    clips = tuple(attrs.evolve(evaluation.clips[0], speaker=speaker) for speaker in speakers)
    assert words in reading(attrs.evolve(evaluation, clips=clips))


def test_readers_are_told_why_there_are_no_intervals(evaluation):
    overall = {name: attrs.evolve(found, low=None, high=None) for name, found in evaluation.overall.items()}
    assert reading(attrs.evolve(evaluation, overall=overall)).startswith(
        "Means over clips, without intervals: with fewer than 5 clips"
    )


def test_csv_holds_every_value_with_its_protocol(tmp_path, evaluation):
    whole, long = write_csv(tmp_path, evaluation)
    rows = list(csv.DictReader(long.open(newline="", encoding="utf-8")))
    assert {(row["clip"], row["measure"]): float(row["value"]) for row in rows} == {
        (name, measure): value for name, values in VALUES.items() for measure, value in values.items()
    }
    assert {(row["protocol"], row["digest"]) for row in rows} == {("v1", DIGEST)}
    assert {row["unit"] for row in rows if row["measure"] == "skew"} == {"s"}
    overall = {row["measure"]: row for row in csv.DictReader(whole.open(newline="", encoding="utf-8"))}
    assert list(overall) == list(MEASURES)
    assert [overall["error"][key] for key in ("value", "low", "high", "clips")] == ["2.0", "1.25", "2.75", "3"]
    assert (overall["rate"]["low"], overall["rate"]["not_computed"]) == ("", "")
    assert (overall["fid"]["value"], overall["fid"]["not_computed"]) == ("", "its weights are\nat no place")
    assert overall["fid"]["digest"] == DIGEST


# ------------------------------------------------------------------------------------------------ page


def test_the_page_fetches_nothing(written):
    sources = [tag.get("src") for name in ("img", "video") for tag in written.all(name)]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert not written.all("script")
    assert not written.all("link")


def test_links_lead_to_files_beside_the_page(written, folder):
    links = [tag["href"] for tag in written.all("a") if not tag["href"].startswith("#")]
    assert len(links) == 3
    assert all((folder / unquote(link)).is_file() for link in links)


def test_the_page_tells_what_the_evaluation_holds(written):
    text = " ".join(words for _, words in written.words)
    for expected in (
        "Evaluation of ours",
        "against real · 3 clips · protocol v1 0123456789ab",
        f"digest {DIGEST}.",
        "as tracked in the videos",
        "its weights are",
        "fid: what is missing, and how to get it its weights are at no place",
        "it shows <i>no face</i>",
        "no <video> in it",
        "Aligned with its reference.",
        "vast 0.9; metrics of other 2, vast-metrics 1.",
    ):
        assert expected in text
    cells = written.said("td")
    assert cells[:6] == ["2.00 mm", "1.25 to 2.75", "3", "lower", "error", "vast-metrics 1"]
    assert not written.all("b")


def test_clips_are_ranked_from_the_worst(written, evaluation):
    assert written.said("option") == ["error", "likeness", "skew"]  # of what is neither better nor worse there is none
    assert [word for word in written.said("summary") if word in VALUES] == ["<b>loud</b>", "fast & late", "dull"]
    assert page.badness(evaluation, "error") == [1, 2, 0]
    assert page.badness(evaluation, "likeness") == [0, 1, 2]  # the last has none
    assert page.badness(evaluation, "skew") == [0, 1, 2]
    remarks = written.said("span")
    assert remarks[:6] == ["3.00 mm", "0.900", "2.00 s", "2.00 mm", "not computed", "0.500 s"]


def test_both_videos_run_in_one_generated_left_and_heard(written, folder):
    with av.open(str(folder / "videos/side_by_side/0.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 25
    assert frames[0].shape == (64, 96, 3)
    left, right = frames[12][:, :44].mean((0, 1)), frames[12][:, 52:].mean((0, 1))
    assert left == pytest.approx([220, 20, 20], abs=8)
    assert right == pytest.approx([20, 20, 220], abs=8)
    with av.open(str(folder / "videos/side_by_side/0.mp4")) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        rate = container.streams.audio[0].rate
    heard = np.abs(np.fft.rfft(sound)).argmax() * rate / len(sound)
    assert heard == pytest.approx(880, abs=5)


def test_videos_beyond_the_limit_are_linked_to(folder, evaluation, monkeypatch):
    page.write_report(folder, evaluation)
    sizes = [(folder / f"videos/side_by_side/{number}.mp4").stat().st_size for number in range(3)]
    monkeypatch.setattr(page, "EMBEDDED", sizes[1] + 10)  # room for the worst clip alone
    (path,) = page.write_report(folder, evaluation)
    found = Reader(path.read_text(encoding="utf-8"))
    assert len(found.all("video")) == 1
    assert len([tag for tag in found.all("a") if not tag["href"].startswith("#")]) == 3


def test_clips_without_videos_or_curves_are_shown_all_the_same(tmp_path, evaluation):
    bare = [attrs.evolve(own, generated=None, reference=None, curves={}) for own in evaluation.clips]
    (path,) = page.write_report(tmp_path, attrs.evolve(evaluation, clips=tuple(bare)))
    found = Reader(path.read_text(encoding="utf-8"))
    assert not found.all("video")
    assert "fast & late" in found.said("summary")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval.html"]


def test_dots_that_would_hide_each_other_are_stacked():
    heights = stacked(np.array([1.0, 5.0, 1.0, 1.001, 9.0]))
    assert sorted(heights[[0, 2, 3]]) == [0, 1, 2]
    assert list(heights[[1, 4]]) == [0, 0]
    assert stacked(np.full(100, 2.0)).max() == 4
    assert len(stacked(np.array([]))) == 0


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.mark.slow
def test_a_browser_ranks_clips_and_plays_them(written, folder):
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'vast-avatar[oracles]'")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (390, 1280):
            view = browser.new_page(viewport={"width": width, "height": 900})
            troubles = []
            view.on("console", lambda message, troubles=troubles: troubles.append(message.text))
            view.goto((folder / "eval.html").as_uri())
            assert view.evaluate("document.documentElement.scrollWidth") == width
            order = """[...document.querySelectorAll('.parts > details')]
                .map(part => [part.getBoundingClientRect().top, part.querySelector('summary').innerText.trim()])
                .sort((one, other) => one[0] - other[0]).map(item => item[1])"""
            assert view.evaluate(order) == ["<b>loud</b> 3.00 mm", "fast & late 2.00 mm", "dull 1.00 mm"]
            view.select_option("select", label="skew")
            assert view.evaluate(order) == ["dull −3.00 s", "<b>loud</b> 2.00 s", "fast & late 0.500 s"]
            view.locator("summary", has_text="fast").click()
            played = view.evaluate(
                """async () => { const film = document.querySelector('details[open] video'); film.muted = true;
                await film.play(); await new Promise(done => setTimeout(done, 500));
                return [film.currentTime > 0, film.videoWidth, film.error]; }"""
            )
            assert played == [True, 96, None]
            assert troubles == []
        browser.close()
