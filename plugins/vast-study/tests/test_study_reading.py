"""study.yaml: what it may say, and how mistakes in it are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from vast_core.errors import RecipeError
from vast_study.reading import read_questions, read_study
from vast_study.study import Known
from vast_study.wording import consent_text, question_templates

SMALLEST = """\
study: 1
title: Talking faces
contact: judges@example.org
systems: {ours: a, theirs: b}
questions:
  - {name: sync, title: Sync, text: How good, best: Best., worst: Worst.}
"""

VAST = {
    "Speech-Lip Sync": (
        "How much do the lip movements match the audio?",
        "Very good (5) for no wrong lip movements and have nothing different from the ground-truth person talking.",
        "Very poor (1) for the lip movements are totally unreasonable and cannot read content from the lips at all.",
    ),
    "Expressiveness & Richness": (
        "How vivid or exaggerated is the avatar presented?",
        "Very good (5) for rich and contagious expression on the mouth region.",
        "Very poor (1) for unreal and monotonous facial movements.",
    ),
    "Overall Naturalness": (
        "How real and natural is the synthesized video?",
        "Very good (5) for high-quality images and natural avatar appearance.",
        "Very poor (1) for fake artifacts or blurred images that can be easily observed.",
    ),
}
"""Section 3 of the paper's supplementary material."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two systems of four clips; nothing reads the videos."""
    for system in ("a", "b"):
        (tmp_path / system).mkdir()
        for clip in ("one", "two", "three", "four"):
            (tmp_path / system / f"{clip}.mp4").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder, text):
    (folder / "mos.yaml").write_text(text)
    return read_study(folder / "mos.yaml")


def mistakes(folder, text):
    """What is told, by line and column."""
    with pytest.raises(RecipeError) as caught:
        read(folder, text)
    found = re.findall(r"^mos\.yaml:(\d+):(\d+): (.*)$", str(caught.value), re.MULTILINE)
    return {(int(line), int(column)): message for line, column, message in found}


def with_(text, base=SMALLEST):
    return base + text


# ---------------------------------------------------------------------------------------------------- questions


def asked(path):
    found = yaml.safe_load(path.read_text())["questions"]
    return {own["title"]: (own["text"], own["best"], own["worst"]) for own in found}


def test_the_default_template_is_the_papers_word_for_word():
    assert asked(question_templates()["vast"]) == VAST


def test_the_words_are_those_of_the_source():
    source = Path(__file__).parents[4] / "shared" / "design" / "vast_supplementary.md"
    if not source.is_file():
        pytest.skip(f"no {source}: the paper's supplementary material is not here")
    words = " ".join(source.read_text().split())
    for number, (title, (text, best, worst)) in enumerate(asked(question_templates()["vast"]).items(), 1):
        assert f"**{number}. {title}.** {text} {best} {worst}" in words


@pytest.mark.parametrize("name", list(question_templates()))
def test_every_template_reads(folder, name):
    count, text = read_questions(question_templates()[name])
    assert text.startswith("questions:\n")
    test = "test: preference\n" if name == "preference" else ""
    study = read(folder, SMALLEST[: SMALLEST.index("questions:")] + test + text)
    assert len(study.questions) == count
    assert all(len(question.labels) == 5 and question.labels[0] and question.labels[4] for question in study.questions)


def test_another_template_has_one_question_and_five_grades(folder):
    _, text = read_questions(question_templates()["acr"])
    (question,) = read(folder, SMALLEST[: SMALLEST.index("questions:")] + text).questions
    assert question.labels == ("Bad", "Poor", "Fair", "Good", "Excellent")


def test_a_template_of_ones_own_is_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("# mine\nquestions:\n  - {name: Sync, titel: x, text: y, best: z, worst: w}\n")
    with pytest.raises(RecipeError, match=r"(?s)3 mistakes in template own\.yaml.*titel.*did you mean 'title'"):
        read_questions(tmp_path / "own.yaml")


# ------------------------------------------------------------------------------------------------------- values


def test_the_smallest_study_has_defaults(folder):
    study = read(folder, SMALLEST)
    assert (study.name, study.judges, study.seed, study.block, study.clips) == ("mos", 15, 1, 12, None)
    assert study.systems == {"ours": folder / "a", "theirs": folder / "b"}
    assert (study.known, study.database, study.reference) == ((), None, None)
    assert study.made == {"training": 0, "gold": 0, "trap": 0}
    assert study.folder == folder / "mos.study"
    assert study.consent == consent_text(videos=8, questions=1)
    assert study.questions[0].labels == ("Very poor", "Poor", "Fair", "Good", "Very good")


def test_everything_that_can_be_said(folder):
    (folder / "good.mov").touch()
    study = read(
        folder,
        with_(
            "reference: theirs\njudges: 40\nseed: 7\nblock: 6\nclips: 2\ngold: 1\ntraps: 2\ndatabase: sqlite:///x.db\n"
            "consent: |\n  First.\n\n  Second.\n"
            "training:\n  - {file: good.mov, expected: {sync: 4}, feedback: Well.}\n  - file: a/one.mp4\n"
        ),
    )
    assert (study.judges, study.seed, study.block, study.clips) == (40, 7, 6, 2)
    assert (study.reference, study.database, study.consent) == ("theirs", "sqlite:///x.db", "First.\n\nSecond.")
    assert study.made == {"gold": 1, "trap": 2}
    assert study.known == (
        Known(file=folder / "good.mov", kind="training", expected={"sync": (4, 4)}, feedback="Well."),
        Known(file=folder / "a" / "one.mp4", kind="training"),
    )


def test_paths_are_relative_to_the_file(folder, monkeypatch):
    monkeypatch.chdir("/")
    assert read(folder, SMALLEST).systems["ours"] == folder / "a"


def test_the_consent_text_tells_what_is_asked(folder):
    words = " ".join(consent_text(videos=40, questions=3, minutes=20).split())
    for part in ("40 short videos", "3 questions", "about 20 minutes", "do not ask for your name", "stop at any time"):
        assert part in words


# ----------------------------------------------------------------------------------------------------- mistakes


def test_all_mistakes_are_told_at_once_where_they_stand(folder):
    text = """\
study: 1
titel: Talking faces
contact: ""
judges: many
block: 0
systems:
  ours: a
  theirs: c
reference: recorded
gold: -1
training:
  - file: nothing.mp4
    expected: {snyc: [5, 4]}
questions:
  - {name: sync, title: Sync, text: How good, best: Best., worst: Worst.}
  - {name: sync, title: Sync, text: How good, best: Best., worst: Worst., labels: [a, b]}
"""
    found = mistakes(folder, text)
    assert found[2, 1].startswith("titel: unknown key; did you mean 'title'?")
    assert found[3, 10] == "contact: is blank"
    assert found[4, 9] == "judges: expected a whole number, got 'many'"
    assert "block: must be >= 1" in found[5, 8].replace("'block' ", "")
    assert "cannot be read" in found[8, 11]
    assert found[9, 12] == "reference: no system is called 'recorded' (systems: ours, theirs)"
    assert found[10, 7].startswith("gold: must be a number of clips, 0 or more")
    assert found[12, 11].endswith("nothing.mp4: no such file")
    assert found[13, 22].endswith("lowest and highest must be from 1 to 5, such as [4, 5]")
    assert "labels: needs 5 names" in found[16, 83]
    assert any("missing key 'title'" in told for told in found.values())


def test_expected_scores_can_be_given_in_the_study(folder):
    found = mistakes(folder, with_("traps:\n  - file: a/one.mp4\n  - {file: b/one.mp4, expected: {sync: [0, 9]}}\n"))
    assert found[8, 5] == "traps.0: a clip that checks judges needs `expected`: {question: [lowest, highest]}"
    assert found[9, 12].endswith("another of these files is also called one; rename one of them")
    assert found[9, 40].endswith("lowest and highest must be from 1 to 5, such as [4, 5]")


def test_names_of_questions_are_known_and_not_given_twice(folder):
    twice = "  - {name: sync, title: Again, text: How good, best: Best., worst: Worst.}\n"
    found = mistakes(folder, with_(twice + "traps:\n  - {file: a/one.mp4, expected: {snyc: 2}}\n"))
    assert found == {
        (7, 12): "questions.1.name: 'sync' is already a question; choose another name",
        (9, 34): "traps.0.expected.snyc: unknown key; did you mean 'sync'? (known: sync)",
    }


def test_a_clip_that_a_system_lacks_is_named(folder):
    (folder / "b" / "two.mp4").unlink()
    (folder / "a" / "five.webm").touch()
    found = mistakes(folder, SMALLEST)
    assert found == {
        (4, 28): "systems.theirs: lacks five, two, which ours has; every system needs a video of each name"
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("traps: 5\n", "traps: is more than the 4 rated clips"),
        ("clips: 5\n", "clips: is more than the 4 clips that are left"),
        ("training: 4\n", "training: with 4 clips held out, none of 4 is left to be rated"),
        ("gold: 1\n", "gold: gold clips are made from a recording: name the system with `reference:`"),
        ("clips: 0\n", "clips: 'clips' must be >= 1"),
        ("training: yes\n", "training: expected"),
    ],
)
def test_numbers_fit_the_clips(folder, line, told):
    found = mistakes(folder, with_(line))
    assert len(found) == 1
    assert next(iter(found)) == (7, line.index(" ") + 2)
    assert told.replace("'clips' ", "") in next(iter(found.values()))


def test_two_files_of_one_name_and_a_folder_without_videos_are_told(folder):
    (folder / "a" / "one.mov").touch()
    for file in (folder / "b").iterdir():
        file.rename(file.with_suffix(".txt"))
    found = mistakes(folder, SMALLEST)
    assert "one.mov and one.mp4 have the same name" in found[4, 17]
    assert "has no video" in found[4, 28]


def test_votes_outlive_their_videos(folder):
    for file in (folder / "a").iterdir():
        file.unlink()
    (folder / "mos.yaml").write_text(with_("training:\n  - file: gone.mp4\n"))
    with pytest.raises(RecipeError, match="has no video"):
        read_study(folder / "mos.yaml")
    study = read_study(folder / "mos.yaml", sources=False)
    assert study.systems == {"ours": folder / "a", "theirs": folder / "b"}


def test_hidden_files_and_other_files_are_no_clips(folder):
    (folder / "a" / ".one.mp4").touch()
    (folder / "a" / "notes.txt").touch()
    (folder / "a" / "sub.mp4").mkdir()
    assert read(folder, SMALLEST)


def test_another_version_is_refused(folder):
    assert mistakes(folder, SMALLEST.replace("study: 1", "study: 2"))[1, 8] == (
        "study: this vast reads studies of version 1, not 2"
    )
