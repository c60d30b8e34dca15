"""Who sees what in which order: properties that hold for any plan."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from vast_study.design import Plan, order, williams


def plan(systems, clips, *, share=None, block=12, seed=1, **known):
    return Plan(
        systems=tuple(f"system {i}" for i in range(systems)),
        clips=tuple(f"clip {i}" for i in range(clips)),
        share=share or clips,
        block=block,
        seed=seed,
        **known,
    )


def drawn(number):
    """A plan of any size."""
    rng = random.Random(number)
    clips = rng.randint(3, 14)
    return plan(
        rng.randint(1, 7),
        clips,
        share=rng.randint(3, clips),
        block=rng.randint(1, 20),
        seed=number,
        training=("practice",) * rng.randint(0, 1),
        gold=tuple(f"gold {i}" for i in range(rng.randint(0, 3))),
        trap=tuple(f"clip {i}" for i in range(rng.randint(0, 3))),
    )


def rated(places):
    return [place for place in places if place.kind == "rated"]


@pytest.mark.parametrize("number", range(60))
def test_any_plan_is_balanced(number):
    own = drawn(number)
    for row in range(4):
        places = order(own, row)
        assert places == order(own, row)
        shown = rated(places)
        clips = {place.clip for place in shown}
        assert len(clips) == own.share
        assert Counter((place.system, place.clip) for place in shown) == Counter(itertools.product(own.systems, clips))
        blocks = [place.block for place in places]
        assert blocks == sorted(blocks)
        for block in range(1, max(blocks) + 1):
            counts = Counter(place.system for place in shown if place.block == block)
            assert len(set(counts.values())) == 1, "a system is more often in a block than another"
            assert counts.keys() == set(own.systems)
            rounds = counts[own.systems[0]]
            assert rounds * len(own.systems) <= max(own.block, len(own.systems))
            first = next(place for place in places if place.block == block)
            assert first.kind == "rated", "a known clip opens a block"
        if len(own.systems) > 1 or own.share > 1:
            assert all(a.clip != b.clip for a, b in itertools.pairwise(shown)), "the same words twice in a row"


@pytest.mark.parametrize("number", range(60))
def test_known_clips_are_shown_once_and_spread(number):
    own = drawn(number)
    places = order(own, row=2)
    assert [place.clip for place in places if place.kind == "training"] == list(own.training)
    assert {place.block for place in places if place.kind == "training"} <= {0}
    for kind, clips in (("gold", own.gold), ("trap", own.trap)):
        assert sorted(place.clip for place in places if place.kind == kind) == sorted(clips)
    counts = Counter(place.block for place in places if place.kind in ("gold", "trap"))
    blocks = max(place.block for place in places)
    numbers = [counts[block] for block in range(1, blocks + 1)]
    assert max(numbers) - min(numbers) <= 1


def test_known_clips_do_not_stand_beside_their_own_words_where_there_is_room():
    own = plan(4, 6, block=8, trap=("clip 1", "clip 2"))
    for row in range(40):
        places = order(own, row)
        for a, b in itertools.pairwise(places):
            assert a.clip != b.clip


@pytest.mark.parametrize("clips", range(3, 12))
@pytest.mark.parametrize("share", [3, 5])
def test_every_clip_gets_as_many_votes_give_or_take_one(clips, share):
    own = plan(3, clips, share=min(share, clips))
    counts = Counter({(system, clip): 0 for system in own.systems for clip in own.clips})
    for row in range(17):
        counts.update((place.system, place.clip) for place in rated(order(own, row)))
        assert max(counts.values()) - min(counts.values()) <= 1, f"after {row + 1} judges"


@pytest.mark.parametrize("count", range(1, 10))
def test_williams_squares_are_balanced_for_the_one_before(count):
    rows = williams(count)
    assert len(rows) == count if count % 2 == 0 else 2 * count
    assert all(sorted(row) == list(range(count)) for row in rows)
    for place in range(count):
        assert set(Counter(row[place] for row in rows).values()) == {len(rows) // count}
    following = Counter(pair for row in rows for pair in itertools.pairwise(row))
    assert len(following) == count * (count - 1)
    assert len(set(following.values())) <= 1


@pytest.mark.parametrize("systems", [2, 3, 4, 5])
def test_over_judges_every_system_is_as_often_at_each_place_of_a_round(systems):
    own = plan(systems, 6, block=systems)
    judges = len(williams(systems))
    starts = Counter()
    for row in range(judges):
        shown = rated(order(own, row))
        for first in range(0, len(shown), systems):
            for place, each in enumerate(shown[first : first + systems]):
                starts[first // systems, place, each.system] += 1
    assert len(starts) == 6 * systems * systems
    assert set(starts.values()) == {judges // systems}


def test_judges_and_seeds_have_orders_of_their_own():
    own = plan(3, 5)
    orders = {tuple(order(own, row)) for row in range(50)} | {tuple(order(plan(3, 5, seed=2), 0))}
    assert len(orders) == 51


def test_two_clips_alternate_and_one_clip_is_shown_all_the_same():
    for systems in (2, 3, 4):
        for row in range(10):
            shown = rated(order(plan(systems, 2), row))
            assert all(a.clip != b.clip for a, b in itertools.pairwise(shown))
    assert len(order(plan(3, 1), 0)) == 3
