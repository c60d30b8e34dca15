"""Names from data as names of files: safe, and two never the same."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from vast_core.files import composed, find_file, safe_name, safe_path, write_text
from vast_core.media import VideoWriter

NAMES = (
    *(
        "ann",
        "Ann",
        "ann.",
        "ann ",
        " ann",
        ".ann",
        "..",
        ".",
        "",
        "a/b",
        "a-b",
        "a%2Fb",
        "a\\b",
        "a:b",
        "a\nb",
        "a\0b",
    ),
    *("../../../evil", "/etc/passwd", "~root", "-rf", "x" * 300, "x" * 299 + "y", "é" * 200, "müde", "%", "%%", "%-"),
    *(unicodedata.normalize("NFD", "müde"), "caf\udce9", "caf\udcea", "日本語", "a|b", "a?b", "a*b", 'a"b', "a<b"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_safe_name_is_one_file_in_its_folder(tmp_path, name):
    folder = tmp_path / "inside"
    folder.mkdir()
    file = folder / f"{safe_name(name)}.reference.mp4"
    file.write_text("x")
    assert [Path(place) for place, _, names in os.walk(tmp_path) if names] == [folder]
    assert len(os.listdir(folder)) == 1
    assert not os.listdir(folder)[0].startswith((".", "-"))


def test_two_names_never_share_a_file():
    assert len({safe_name(name) for name in NAMES}) == len(NAMES)
    # nor on a file system that composes accents
    assert len({unicodedata.normalize("NFC", safe_name(name)) for name in NAMES}) == len(NAMES)


def test_ordinary_names_stay_as_they_are():
    for name in ("M030_front_happy_level3_001", "Ann Smith", "müde", "日本語", "a (1) [x]", "style-00"):
        assert safe_name(name) == name


def test_folders_in_a_name_stay_folders():
    assert safe_path("ann/happy/03") == "ann/happy/03"
    assert safe_path("../x") == "%2E%2E/x"
    assert safe_path("/x") == "%/x"


NFC, NFD = (unicodedata.normalize(form, "José müde") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("stored", "asked"), [(NFC, NFD), (NFD, NFC), (NFC, NFC)])
def test_a_file_is_found_in_whichever_form_its_accents_have(tmp_path, stored, asked):
    (tmp_path / stored).mkdir()
    (tmp_path / stored / f"{stored}.mp4").touch()
    found = find_file(tmp_path, f"{asked}/{asked}.mp4")
    assert found is not None
    assert found.samefile(tmp_path / stored / f"{stored}.mp4")
    assert find_file(tmp_path, f"{asked}/other.mp4") is None
    assert find_file(tmp_path, "x" * 5000) is None


def test_names_of_data_are_text():
    assert composed(NFD) == NFC
    composed("caf\udce9/x").encode()
    assert composed("caf\udce9") != composed("caf\udcea")


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "é" * 125 + ".mp4", "a." + "x" * 250])
def test_the_longest_names_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "text")
    assert (tmp_path / name).read_text() == "text"
    with VideoWriter(tmp_path / name, 25) as video:
        video.write(np.zeros((64, 64, 3), np.uint8))
    assert (tmp_path / name).stat().st_size > 500
    assert len(list(tmp_path.iterdir())) == 1
