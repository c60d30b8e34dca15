"""Every form of sound and video in the zoo is read as it was made, or refused with the reason."""

from __future__ import annotations

import pytest
from zoo import pictures, sounds
from zoo.reading import check_pictures, check_sound
from zoo.table import PAGE, table

SOUNDS, PICTURES = list(sounds.forms()), list(pictures.forms())


def test_the_zoo_is_large():
    assert len(SOUNDS) >= 60
    assert len(PICTURES) >= 40


def test_the_documentation_has_the_table_of_the_zoo():
    assert PAGE.read_text(encoding="utf-8").endswith("\n" + table()), "run python -m zoo.table in tests/"


@pytest.mark.slow
@pytest.mark.parametrize("form", SOUNDS, ids=lambda form: form.name)
def test_a_form_of_sound(form, tmp_path):
    assert check_sound(form, tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("form", PICTURES, ids=lambda form: form.name)
def test_a_form_of_video(form, tmp_path):
    assert check_pictures(form, tmp_path) == ""
