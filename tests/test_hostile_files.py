"""Some hostile files for everything that reads files; ``python tests/hostile`` reads many more."""

from __future__ import annotations

import pytest
from hostile.reading import attack
from hostile.targets import targets

TARGETS = targets()


@pytest.mark.parametrize("name", TARGETS)
def test_a_hostile_file_is_refused_with_one_clear_message(name):
    target = TARGETS[name]
    result = attack(target, 8 if target.cheap < 0.3 else 40, derandomize=True)
    assert not result.wrong
    assert result.refused > 0 or name == "metadata of a plugin"


def test_the_watch_sees_what_is_wrong(tmp_path):
    """Otherwise nothing would ever be found."""
    import attrs

    target = TARGETS["weights"]

    def slow(path):
        while True:
            pass

    assert "took more than" in attack(attrs.evolve(target, read=slow), 1).wrong
    outside = attack(attrs.evolve(target, read=lambda path: (tmp_path / "out").write_text("")), 1)
    assert "for writing" in outside.wrong
    assert not (tmp_path / "out").exists()
    assert "KeyError" in attack(attrs.evolve(target, read=lambda path: {}["none"]), 1).wrong
