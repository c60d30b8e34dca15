"""Work in a thread ahead of its use: the same items, errors where they are used, and nothing left behind."""

from __future__ import annotations

import threading
import time
from itertools import count, islice

import pytest

from vast_core.speak.overlap import ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "vast: ahead"]


def test_all_items_come_in_order():
    assert list(ahead(range(100), 3)) == list(range(100))
    assert list(ahead([], 1)) == []
    odd = [None, ValueError("an item, not an error")]
    assert list(ahead(odd, 1)) == odd
    assert threads() == []


def test_no_more_are_made_than_may_wait():
    made = []

    def items():
        for number in count():
            made.append(number)
            yield number

    used = ahead(items(), 2)
    assert list(islice(used, 5)) == [0, 1, 2, 3, 4]
    time.sleep(0.3)
    assert len(made) <= 5 + 2 + 1, "those used, those that wait, and one in the hand"
    used.close()
    assert threads() == []


def test_making_and_using_overlap():
    turn = threading.Barrier(2, timeout=5)

    def items():
        yield 0
        turn.wait()  # passes only if the first item is used meanwhile
        yield 1

    used = ahead(items(), 1)
    assert next(used) == 0
    turn.wait()
    assert next(used) == 1


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_an_error_is_raised_where_the_items_are_used(error):
    def items():
        yield 1
        raise error

    used = ahead(items(), 1)
    assert next(used) == 1
    with pytest.raises(type(error)):
        next(used)
    assert threads() == []


def test_who_stops_using_ends_the_work():
    closed = []

    def items():
        try:
            yield from count()
        finally:
            closed.append(True)

    used = ahead(items(), 2)
    next(used)
    used.close()
    assert closed == [True]
    assert threads() == []
