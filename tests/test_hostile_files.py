"""Some hostile files for everything that reads files; ``python tests/hostile`` reads many more."""

from __future__ import annotations

import time

import attrs
import pytest
from hostile import reading
from hostile.reading import attack
from hostile.targets import targets

TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_a_hostile_file_is_refused_with_one_clear_message(name):
    target = TARGETS[name]
    result = attack(target, 8 if target.cheap < 0.3 else 40, derandomize=True)
    assert not result.wrong
    assert result.refused > 0 or name == "metadata of a plugin"


def test_the_watch_sees_what_is_wrong(tmp_path, monkeypatch):
    """Otherwise nothing would ever be found."""
    target = TARGETS["weights"]

    def spin(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    monkeypatch.setattr(reading, "HANGING", 1.0)
    assert "took more than 1 s" in attack(attrs.evolve(target, read=lambda path: time.sleep(5)), 1).wrong
    monkeypatch.setattr(reading, "LONGEST", 0.1)
    monkeypatch.setattr(reading, "HANGING", 60.0)
    assert "took 0.2 s" in attack(attrs.evolve(target, read=lambda path: spin(0.2)), 1).wrong
    outside = attack(attrs.evolve(target, read=lambda path: (tmp_path / "out").write_text("")), 1)
    assert "for writing" in outside.wrong
    assert not (tmp_path / "out").exists()
    assert "KeyError" in attack(attrs.evolve(target, read=lambda path: {}["none"]), 1).wrong
