"""The report, read back with independent parsers."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from vast_core.errors import InputError, MediaError, StorageError
from vast_core.report import (
    Figure,
    Folded,
    FrameStrip,
    Listing,
    Order,
    Ranked,
    Rejected,
    Section,
    Table,
    Text,
    Verdict,
    Video,
    plot_bars,
    plot_curves,
    plot_losses,
    readable,
    write_report,
)
from vast_core.report import page as report
from vast_core.report.summary import write_run_report

VOID = {"meta", "img", "br", "hr", "input", "link", "wbr"}


class Page(HTMLParser):
    """Every tag with its attributes, and the text inside each element of interest; fails on unbalanced tags."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self._stack = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert self._stack == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._stack.append(tag)

    def handle_endtag(self, tag):
        assert self._stack.pop() == tag

    def handle_data(self, data):
        if data.strip() and self._stack[-1] != "style":
            self.words.append((self._stack[-1], " ".join(data.split())))

    def all(self, tag):
        return [attributes for found, attributes in self.tags if found == tag]

    def said(self, tag=None):
        return [words for found, words in self.words if tag in (None, found)]


@pytest.fixture
def page(tmp_path):
    def write(*blocks, title="A run", subtitle="of today"):
        write_report(tmp_path / "run" / "report.html", title, subtitle, [Section("Section", blocks)])
        return Page(tmp_path / "run" / "report.html")

    return write


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "run" / "samples" / "a clip.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(range(256)) * 10)
    return path


def content(uri, mime):
    head, _, body = uri.partition(",")
    assert head == f"data:{mime};base64"
    return base64.b64decode(body)


def everything(video):
    frames = [np.full((8, 6, 3), value, np.uint8) for value in (0, 100, 200)]
    return [
        Verdict("ratio to the zero code", 0.41, "at most 0.6", True),
        Verdict("ratio to a wrong prompt", 0.7, "at most 0.5", False),
        Verdict("time", 11.3, "this machine", None, "min"),
        Text("First paragraph.\n\nSecond paragraph."),
        Table(["clip", "error"], [["one", 1.0], ["two", None]], "Errors.", highlight=1),
        Figure("A plot.", plot_bars(["a"], [1.0], None, "mm", "bar")),
        FrameStrip("Frames.", [("real", frames), ("ours", frames)]),
        Video("A film.", video),
        Rejected([("d12.mp4", "no sound")]),
        Listing("The recipe", "vast: 1\nflow:\n  use: none"),
    ]


def test_every_block_is_there(page, video):
    found = page(*everything(video))
    assert found.said("h1") == ["A run"]
    assert found.said("title") == ["A run"]
    assert found.said("h2") == ["Section"]
    words = found.said()
    for expected in (
        "of today",
        "ratio to the zero code",
        "0.410",
        "target: at most 0.6",
        "✓ met",
        "✗ missed",
        "11.3",
        "min",
        "this machine",
        "First paragraph.",
        "Second paragraph.",
        "Errors.",
        "A plot.",
        "Frames.",
        "real",
        "ours",
        "A film.",
        "a clip.mp4",
        "1 clip was left out:",
        "d12.mp4",
        "no sound",
        "The recipe",
    ):
        assert expected in words, expected
    assert len(found.all("video")) == 1
    assert len(found.all("img")) == 3


def test_nothing_is_fetched_and_nothing_runs(page, video, tmp_path):
    found = page(*everything(video))
    assert not {tag for tag, _ in found.tags} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src", "data:").startswith("data:")
        assert not re.match(r"[a-z]+:|//", attributes.get("href") or "")
    text = (tmp_path / "run" / "report.html").read_text()
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    policy = next(a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_text_from_outside_stays_text(page):
    evil = "<script>alert('x')</script>\"&.mp4"
    plot = plot_bars([evil], [1.0], None, evil, evil)
    found = page(
        Verdict(evil, evil, evil, True, evil),
        Text(evil),
        Table([evil], [[evil]], evil),
        Figure(evil, plot),
        FrameStrip(evil, [(evil, [np.zeros((4, 4, 3), np.uint8)])]),
        Rejected([(evil, evil)]),
        Listing(evil, evil),
        title=evil,
        subtitle=evil,
    )
    assert found.all("script") == []
    assert sum("<script>alert('x')</script>\"&.mp4" in words for words in found.said()) >= 14
    inside = ElementTree.fromstring(content(found.all("img")[0]["src"], "image/svg+xml"))
    assert not [element for element in inside.iter() if element.tag.endswith("script")]


def test_figures_of_both_formats_and_no_other(page):
    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, "PNG")
    found = page(Figure("png", stream.getvalue()))
    assert content(found.all("img")[0]["src"], "image/png") == stream.getvalue()
    with pytest.raises(ValueError, match=r"'gif'.*neither SVG nor PNG"):
        page(Figure("gif", b"GIF89a"))
    with pytest.raises(ValueError, match="neither SVG nor PNG"):
        page(Figure("page", b"<html>"))


def test_a_strip_holds_its_frames_in_order_and_colour(page):
    draw = np.random.default_rng(0)
    frames = [draw.integers(0, 256, (7, 5, 3), dtype=np.uint8) for _ in range(4)]
    found = page(FrameStrip("strip", [("real", frames), ("ours", frames[:2])]))
    first, second = (
        np.asarray(Image.open(io.BytesIO(content(image["src"], "image/png")))) for image in found.all("img")
    )
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(first[:, number * 7 : number * 7 + 5, :3], frame)
    assert second.shape[1] < first.shape[1]


def test_a_bad_frame_is_named(page):
    good = np.zeros((4, 4, 3), np.uint8)
    for bad in (np.zeros((4, 4, 3)), np.zeros((4, 5, 3), np.uint8), np.zeros((4, 4), np.uint8)):
        with pytest.raises(ValueError, match=r"row 'ours': frame 1 is .*\(4, "):
            page(FrameStrip("strip", [("ours", [good, bad])]))
    with pytest.raises(ValueError, match="row 'ours': no frame"):
        page(FrameStrip("strip", [("ours", [])]))


def test_a_video_is_embedded_whole_and_linked(page, video, tmp_path):
    found = page(Video("film", video))
    assert content(found.all("video")[0]["src"], "video/mp4") == video.read_bytes()
    (link,) = (a["href"] for a in found.all("a"))
    assert (tmp_path / "run" / unquote(link)).samefile(video)


def test_a_video_over_the_limit_is_only_linked(page, video, tmp_path):
    with video.open("r+b") as file:
        file.truncate(30 * 1024 * 1024 + 1)  # Sparse: takes no room.
    found = page(Video("film", video))
    assert found.all("video") == []
    assert any("30.0 MB: too large" in words for words in found.said())
    assert (tmp_path / "run" / "report.html").stat().st_size < 100_000
    assert [unquote(a["href"]) for a in found.all("a")] == ["samples/a clip.mp4"]


def test_a_smaller_limit_links_to_smaller_videos(page, video):
    found = page(Video("A film.", video, limit=1000))
    assert found.all("video") == []
    assert unquote(found.all("a")[-1]["href"]) == "samples/a clip.mp4"


def parts():
    return [Folded(name, [Text(f"All of {name}."), Table(["x"], [[1.0]])]) for name in ("one", "two", "three")]


def test_parts_are_ranked_by_what_the_reader_chooses(page):
    orders = [Order("size", [2, 0, 1], ["5 mm", "4 mm", "9 mm"]), Order("<age>", [1, 0, 2], ["7 s", "8 s", "6 s"])]
    found = page(Ranked("Worst first by", parts(), orders))
    assert found.said("option") == ["size", "<age>"]
    assert found.said("summary") == ["three", "one", "two"]
    assert [tag["style"] for tag in found.all("details")] == [
        "--at-0:0;--at-1:2;",
        "--at-0:1;--at-1:1;",
        "--at-0:2;--at-1:0;",
    ]
    remarks = [words for tag, words in found.words if tag == "span"]
    assert remarks == ["9 mm", "6 s", "5 mm", "7 s", "4 mm", "8 s"]
    assert [words for words in found.said("p") if words.startswith("All")] == [
        "All of three.",
        "All of one.",
        "All of two.",
    ]


def test_parts_without_an_order_stand_as_given(page):
    found = page(Ranked("By", parts(), []))
    assert found.said("summary") == ["one", "two", "three"]
    assert found.all("select") == []


def test_an_order_names_every_part_once():
    with pytest.raises(ValueError, match="order 'size': give every number below 3 once"):
        Ranked("By", parts(), [Order("size", [0, 0, 1], ["", "", ""])])
    with pytest.raises(ValueError, match="and its remark"):
        Ranked("By", parts(), [Order("size", [0, 2, 1], ["", ""])])


def test_what_is_folded_away_is_all_there(page, video):
    found = page(Folded("More & more", everything(video)))
    assert found.said("summary") == ["More & more", "The recipe"]
    assert {tag for tag, _ in found.tags} >= {"video", "table", "img", "dl", "pre"}


def test_a_missing_or_strange_video_is_named(page, tmp_path):
    with pytest.raises(MediaError, match=r"gone\.mp4: cannot be read"):
        page(Video("film", tmp_path / "gone.mp4"))
    with pytest.raises(MediaError, match=r"film\.avi: .*\.mp4 or \.webm"):
        page(Video("film", tmp_path / "film.avi"))


def test_numbers_are_right_aligned_with_the_digits_they_bear(page):
    found = page(
        Table(
            ["name", "mm", "count", "mixed"],
            [["a", 1.23456, 12345, 0.00123], ["b", 0.5, -2, 456.7], ["c", None, 0, "text"]],
        )
    )
    assert found.said("th") == ["name", "mm", "count", "mixed", "a", "b", "c"]
    assert found.said("td") == ["1.23", "12,345", "0.00123", "0.50", "−2", "457", "–", "0", "text"]
    numeric = [attributes.get("class") == "number" for attributes in found.all("th")[:4]]
    assert numeric == [False, True, True, False]


def test_a_table_shows_undefined_numbers_as_such(page):
    found = page(Table(["name", "r"], [["a", float("nan")], ["b", 0.5], ["c", True], ["d", np.float32(0.25)]]))
    assert found.said("td") == ["undefined", "0.500", "yes", "0.250"]


def test_a_ragged_table_is_refused():
    with pytest.raises(ValueError, match="'errors': row 1 has 1 cells for 2 columns"):
        Table(["a", "b"], [[1, 2], [3]], "errors")


def test_no_rejected_clip_is_said_too(page):
    assert "No clip was left out." in page(Rejected([])).said()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.41823, "0.418"),
        (1.5, "1.50"),
        (29.41, "29.4"),
        (-33.4, "−33.4"),
        (999.6, "1,000"),
        (12345.6, "12,346"),
        (0.000123, "0.000123"),
        (1.5e-6, "1.50e−06"),
        (3e12, "3.00e+12"),
        (float("inf"), "∞"),
        (float("nan"), "undefined"),
    ],
)
def test_readable(value, text):
    assert readable(value) == text


def test_the_report_replaces_its_predecessor_whole_or_not_at_all(page, tmp_path, monkeypatch):
    page(Text("old"))
    path = tmp_path / "run" / "report.html"
    with pytest.raises(ValueError, match="neither"):
        page(Text("new"), Figure("broken", b"?"))
    assert "old" in path.read_text()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(StorageError, match=r"report\.html.*No space left on device"):
        page(Text("new"))
    assert "old" in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    # A limit on the size of files stands for the full disk; it holds for a whole process, hence another one.
    program = """
import resource, signal, sys
from pathlib import Path
from vast_core.errors import StorageError
from vast_core.report import Section, Text, write_report

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    write_report(Path(sys.argv[1]) / "report.html", "title", "", [Section("s", [Text("x" * 10000)])])
except StorageError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "report.html" in result.stdout
    assert "File too large" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"file/report\.html"):
        write_report(tmp_path / "file" / "report.html", "t", "", [])


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_both_themes_can_be_read(page, tmp_path):
    """WCAG 2's contrast: 4.5 for text, 3 for the lines of plots."""
    page(Text(""))
    style = (tmp_path / "run" / "report.html").read_text()
    themes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    light, dark = themes[0], themes[1]
    assert light.keys() == dark.keys()
    for theme in (light, dark):
        for text in ("ink", "soft", "accent", "good", "bad"):
            for ground in ("page", "card"):
                assert contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
        assert contrast(theme["good"], theme["good-tint"]) >= 4.5
        assert contrast(theme["bad"], theme["bad-tint"]) >= 4.5
        from vast_core.report import COLOURS

        for colour in COLOURS:
            assert contrast(colour, theme["card"]) >= 3, colour


def test_sections_to_be_seen_first_come_first_whatever_stage_has_them(tmp_path):
    def stage(name, **more):
        section = Section(f"Of {name}", [Text("Words.")], **more)
        module = SimpleNamespace(report=lambda run: [section])
        return SimpleNamespace(name=name, title=name, provider="", load=lambda: module)

    (tmp_path / "recipe.yaml").write_text("vast: 1")
    environment = {"components": {}, "python": "3", "system": "s", "device": "cpu"}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    record = {"files": [], "seconds": 1.0, "peak_memory_bytes": 1}
    run = SimpleNamespace(
        path=tmp_path,
        recipe=SimpleNamespace(
            name="own",
            source="",
            run=[stage("one"), stage("synthesize"), stage("seen", first=True), stage("two")],
            runs=lambda name: False,
        ),
        record=lambda name: record,
        figures=lambda name: {},
    )
    found = Page(write_run_report(run, None))
    headings = [words for words in found.said("h2") if words.startswith("Of ")]
    assert headings == ["Of seen", "Of one", "Of synthesize", "Of two"]


# ------------------------------------------------------------------------------------------------ plots


def drawn(svg):
    """All text of an SVG, which must parse, link nowhere and bring no script."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        assert not element.tag.endswith(("script", "image", "metadata"))
        for name, value in element.attrib.items():
            if name.endswith("href"):
                assert value.startswith("#")
    return ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def metrics(tmp_path):
    def write(*lines):
        path = tmp_path / "metrics.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return path

    return write


def step(number, stage="style", **losses):
    return {
        "stage": stage,
        "step": number,
        "losses": {f"{stage}/bound/{k}": v for k, v in losses.items()},
        "seconds": 1.0,
    }


def test_losses_have_a_panel_an_objective_and_a_line_a_term(metrics):
    path = metrics(step(1, kl=1.0, loss=2.0, gradient_norm=9.0), step(2, kl=1.0, loss=2.0), step(1, "renderer", l1=1.0))
    words = drawn(plot_losses(path))
    assert words.count("style · bound") == words.count("renderer · bound") == 1
    assert {"kl", "loss", "l1"} <= set(words)
    assert "gradient_norm" not in words


def test_a_cut_last_line_is_a_killed_run_any_other_is_an_error(metrics):
    assert "kl" in drawn(plot_losses(metrics(step(1, kl=1.0), '{"stage": "sty')))
    with pytest.raises(InputError, match=r"metrics\.jsonl:1: not a line of JSON"):
        plot_losses(metrics('{"stage": "sty', step(1, kl=1.0)))
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: lacks `step` or `losses`"):
        plot_losses(metrics(step(1, kl=1.0), {"step": 2}))


def test_a_repeated_step_counts_as_it_was_last(metrics):
    once = plot_losses(metrics(step(1, kl=5.0), step(2, kl=4.0), step(3, kl=3.0)))
    again = plot_losses(metrics(step(1, kl=5.0), step(2, kl=9.0), step(3, kl=8.0), step(2, kl=4.0), step(3, kl=3.0)))
    assert once == again


def test_losses_that_are_not_numbers_and_no_losses_at_all_are_drawn(metrics):
    assert "kl" in drawn(plot_losses(metrics(*(step(n, kl=float("nan") if n == 3 else 1.0) for n in range(60)))))
    assert drawn(plot_losses(metrics(step(1, kl=float("nan")))))
    assert drawn(plot_losses(metrics(""))) == ["No training step was logged."]


def bar_lengths(svg):
    """Widths of the filled rectangles of the bars' colours."""
    lengths = []
    for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"):
        if re.search("fill: #(2f74d0|8a8f98)", path.get("style", "")):
            places = [float(x) for x in re.findall(r"[ML] (-?[\d.]+) ", path.get("d"))]
            lengths.append(max(places) - min(places))
    return lengths


def test_bars_are_as_long_as_their_values_and_say_them():
    svg = plot_bars(
        ["ours", "zero code", "lost"], [1.0, 2.5, float("nan")], [0.1, 0.2, 0.1], "mm", "Error", highlight=0
    )
    words = drawn(svg)
    assert {"ours", "zero code", "lost", "1.00 mm", "2.50 mm", "undefined mm", "Error"} <= set(words)
    first, second, third = bar_lengths(svg)
    assert second / first == pytest.approx(2.5, rel=1e-3)
    assert third == 0
    with pytest.raises(ValueError, match="2 labels, 1 values, no errors"):
        plot_bars(["a", "b"], [1.0], None, "", "")


def test_curves_are_named_and_must_fit_the_time():
    time = np.arange(50) / 25
    words = drawn(plot_curves(time, {"truth": np.sin(time), "ours": np.cos(time)}, "lip opening"))
    assert {"truth", "ours", "seconds", "lip opening"} <= set(words)
    with pytest.raises(ValueError, match=r"'ours' is \(49,\), but the time \(50,\)"):
        plot_curves(time, {"ours": time[1:]}, "")


def test_plots_follow_the_theme_and_are_the_same_twice():
    svg = plot_curves([0.0, 1.0], {"ours": [0.0, 1.0]}, "y").decode()
    assert "prefers-color-scheme:dark" in svg
    assert "system-ui" in svg
    assert "DejaVu" not in svg
    assert not re.search(r"(?<!, )(?<!:)#1f2328", svg)  # Every use of the ink goes through its variable.
    assert svg == plot_curves([0.0, 1.0], {"ours": [0.0, 1.0]}, "y").decode()


def test_plots_leave_matplotlib_as_they_found_it():
    program = """
import sys
import vast_core.report as report

assert "matplotlib" not in sys.modules
import matplotlib

settings = ("font.size", "svg.fonttype", "text.color", "axes.grid")
before = [matplotlib.rcParams[name] for name in settings]
report.plot_bars(["a"], [1.0], None, "", "")
assert [matplotlib.rcParams[name] for name in settings] == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_template_is_package_data():
    assert report._template().name == "report.html.j2"
