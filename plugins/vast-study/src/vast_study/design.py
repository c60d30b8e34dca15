"""Order of videos for each judge: balanced, seeded, and reproducible.

A **round** shows every system once; a block consists of whole rounds, so that systems are balanced within it. The order
of systems in a round is a row of a Williams square: over as many rounds as it has rows, every system is equally often
in each place and follows each other system equally often (E. J. Williams, "Experimental designs balanced for the
estimation of residual effects of treatments", Australian Journal of Scientific Research A 2, 1949). The row advances by
one from round to round and from judge to judge.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import attrs

from .study import TaskKind

_ATTEMPTS = 200
"""Attempts to order the clips so that no words are heard twice in a row; the first nearly always succeeds."""


@attrs.frozen(kw_only=True)
class Plan:
    """The input of all judges' orders."""

    systems: tuple[str, ...]
    clips: tuple[str, ...]
    """Rated clips; every system has each of them."""
    share: int
    """Number of ``clips`` that one judge sees."""
    block: int
    """Maximum rated videos in a block, but at least one round."""
    seed: int
    training: tuple[str, ...] = ()
    """Names of the clips, in the order in which they are shown."""
    gold: tuple[str, ...] = ()
    trap: tuple[str, ...] = ()

    @property
    def rounds(self) -> tuple[int, ...]:
        """Number of rounds in each block; they differ by at most one."""
        count = -(-self.share // max(1, self.block // len(self.systems)))
        return tuple(self.share // count + (number < self.share % count) for number in range(count))


@attrs.frozen
class Place:
    """One video in a judge's order."""

    block: int
    """0 is the training."""
    kind: TaskKind
    clip: str
    system: str | None = None
    """None for known clips."""


def order(plan: Plan, row: int) -> list[Place]:
    """All videos for the judge in a row of the plan, counted from 0; no row depends on the number of rows.

    Rated are all systems of ``plan.share`` clips. Among any first rows, the numbers of shares with each clip differ by
    at most one. The same words are never heard twice in a row, unless there is one clip, or two clips with no other
    order.
    """
    rng = random.Random(f"order {plan.seed} {row}")
    clips = _share(plan, row)
    rated = _rated(plan, clips, row, rng)
    places = [Place(0, "training", clip) for clip in plan.training]
    known = [Place(0, "gold", clip) for clip in plan.gold] + [Place(0, "trap", clip) for clip in plan.trap]
    first = 0
    blocks: list[list[Place]] = []
    for rounds in plan.rounds:
        last = first + rounds * len(plan.systems)
        blocks.append([attrs.evolve(place, block=len(blocks) + 1) for place in rated[first:last]])
        first = last
    for number, place in zip(_spread(len(blocks), rng), rng.sample(known, len(known)), strict=False):
        _insert(attrs.evolve(place, block=number + 1), blocks, rng)
    return places + [place for block in blocks for place in block]


def _share(plan: Plan, row: int) -> list[str]:
    """The clips of a row: consecutive segments of a long cycle through a shuffled list."""
    clips = list(plan.clips)
    random.Random(f"share {plan.seed}").shuffle(clips)
    first = row * plan.share
    return [clips[number % len(clips)] for number in range(first, first + plan.share)]


def williams(count: int) -> list[list[int]]:
    """Rows in which each of ``count`` items is equally often in each place, and follows each other item equally often.

    ``count`` rows if that is even, otherwise twice as many; each row has every item once.
    """
    zigzag = [(number + 1) // 2 if number % 2 else -number // 2 for number in range(count)]
    rows = [[(start + step) % count for step in zigzag] for start in range(count)]
    return rows if count % 2 == 0 else rows + [row[::-1] for row in rows]


def _rated(plan: Plan, clips: Sequence[str], row: int, rng: random.Random) -> list[Place]:
    """Every system with every clip, in rounds."""
    square = williams(len(plan.systems))
    random.Random(f"square {plan.seed}").shuffle(square)
    rounds = [square[(row + number) % len(square)] for number in range(len(clips))]
    best: list[Place] = []
    fewest = -1
    for attempt in range(_ATTEMPTS):
        if attempt > _ATTEMPTS // 2:  # two clips can only alternate: change the order of systems
            rounds = [rng.sample(own, len(own)) for own in rounds]
        laid = _lay(rounds, clips, rng)
        twice = sum(a == b for (_, a), (_, b) in itertools.pairwise(laid))
        if fewest < 0 or twice < fewest:
            fewest, best = twice, [Place(1, "rated", clip, plan.systems[system]) for system, clip in laid]
        if not fewest or len(clips) == 1:
            break
    return best


def _lay(rounds: Sequence[Sequence[int]], clips: Sequence[str], rng: random.Random) -> list[tuple[int, str]]:
    """A clip for each system in each round: one that it has not had yet and that was seen as long ago as possible."""
    left = {system: set(clips) for system in rounds[0]}
    seen = dict.fromkeys(clips, -1)
    laid: list[tuple[int, str]] = []
    for own in rounds:
        for system in own:
            # break ties by what the fewest systems still lack, so that none is left with the clip just heard
            choice = min(
                rng.sample(sorted(left[system]), len(left[system])),
                key=lambda clip: (seen[clip] == len(laid) - 1, seen[clip] > len(laid) - 1 - len(clips) // 2),
            )
            left[system].remove(choice)
            seen[choice] = len(laid)
            laid.append((system, choice))
    return laid


def _spread(blocks: int, rng: random.Random) -> Iterator[int]:
    """Numbers of blocks, each once before any is repeated."""
    while True:
        yield from rng.sample(range(blocks), blocks)


def _insert(place: Place, blocks: Sequence[list[Place]], rng: random.Random) -> None:
    """Insert a known clip after the first place of its block, if possible not next to one or to the same words."""
    block = blocks[place.block - 1]
    following = blocks[place.block][:1] if place.block < len(blocks) else []
    costs = []
    for at in range(1, len(block) + 1):
        around = [block[at - 1], *(block[at : at + 1] or following)]
        costs.append((sum(2 * (each.clip == place.clip) + (each.kind != "rated") for each in around), rng.random(), at))
    block.insert(min(costs)[2], place)
