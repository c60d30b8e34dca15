"""Preparation: converts every medium once, and plans what judges see.

A repeated call only does what is missing, so it may be stopped at any moment. Once a judge has joined, nothing that
judges see may change.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from vast_core.errors import InputError

from .design import Place, Plan
from .rules import Refused
from .sources import videos
from .storage import Storage, fact, keep_fact, medium_path
from .study import LEFT, RIGHT, Study, TaskKind
from .tables import Judge, Medium

if TYPE_CHECKING:
    from rich.console import Console

TOLERANCE = 0.2
"""Seconds by which the videos of one clip may differ in length before a warning."""

_LEAST = 3
"""Lowest expected score of a recording used as gold, in every question: even a dull speaker was really recorded."""

_TRAPS = (2, 4, 1, 5, 3)
"""Scores that traps ask for, in turn: a judge who always gives the same score fails at least the second."""

Key = tuple[str, str | None, str]
"""Kind, system and clip."""


@attrs.frozen
class Media:
    """All media of a prepared study, and the plan of their use."""

    plan: Plan
    found: Mapping[Key, Medium]

    def of(self, place: Place) -> Medium:
        """The medium at a place of the plan."""
        return self.found[place.kind, place.system, place.clip]


def planned(session: Session, study: Study) -> Media:
    """The prepared media; raises :class:`vast_study.rules.Refused` if they were not prepared."""
    found: dict[Key, Medium] = {(own.kind, own.system, own.clip): own for own in session.scalars(select(Medium))}
    if fact(session, "plan") is None:
        raise Refused(f"{study.path.name}: its videos have not been prepared; run `vast study serve`")

    def clips(kind: TaskKind) -> tuple[str, ...]:
        return tuple(sorted({clip for own, _, clip in found if own == kind}))

    rated = clips("rated")
    plan = Plan(
        systems=study.shown,
        clips=rated,
        share=min(study.clips or len(rated), len(rated)),
        block=study.block,
        seed=study.seed,
        training=clips("training"),
        gold=clips("gold"),
        trap=clips("trap"),
    )
    return Media(plan, found)


# ------------------------------------------------------------------------------------------------ what is wanted


@attrs.frozen(kw_only=True)
class Wanted:
    """A medium that the study needs."""

    kind: TaskKind
    system: str | None
    clip: str
    source: Path
    right: Path | None = None
    """In a preference test, the video beside it."""
    left: str | None = None
    """In a preference test, the system on the left."""
    instruction: str = ""
    expected: dict[str, list[int]] = attrs.field(factory=dict)
    feedback: str = ""

    @property
    def key(self) -> Key:
        """The key of the medium."""
        return self.kind, self.system, self.clip


def wanted(study: Study) -> list[Wanted]:
    """Every medium of a study: known clips first, then all rated ones, by clip and system."""
    folders = {name: videos(folder) for name, folder in study.systems.items()}
    clips = sorted(next(iter(folders.values())))
    rng = random.Random(f"known clips {study.seed}")
    shuffled = rng.sample(clips, len(clips))
    systems = rng.sample(list(folders), len(folders))
    training, gold, trap = (study.made.get(kind, 0) for kind in ("training", "gold", "trap"))
    rated = sorted(shuffled[training + gold :])
    found = [
        Wanted(
            kind=known.kind,
            system=None,
            clip=known.file.stem,
            source=known.file,
            expected={name: list(scores) for name, scores in known.expected.items()},
            feedback=known.feedback,
        )
        for known in study.known
    ]
    for number, clip in enumerate(shuffled[:training]):
        source = folders[systems[number % len(systems)]][clip]
        found.append(Wanted(kind="training", system=None, clip=clip, source=source))
    for clip in shuffled[training : training + gold]:
        if study.reference is None:
            raise InputError(
                f"{study.path}: gold: gold clips are made from a recording; name the system with `reference:`"
            )
        right = {question.name: [_LEAST, 5] for question in study.questions}
        found.append(Wanted(kind="gold", system=None, clip=clip, source=folders[study.reference][clip], expected=right))
    for number, clip in enumerate(rng.sample(rated, trap)):
        score = _TRAPS[number % len(_TRAPS)]
        found.append(
            Wanted(
                kind="trap",
                system=None,
                clip=clip,
                source=folders[systems[number % len(systems)]][clip],
                instruction=f"Please answer {score}\nto every question",
                expected={question.name: [score, score] for question in study.questions},
            )
        )
    found += [
        Wanted(kind="rated", system=name, clip=clip, source=folders[name][clip]) for clip in rated for name in folders
    ]
    return found


def wanted_pairs(study: Study) -> list[Wanted]:
    """Every medium of a preference test: practice and traps, then each pair of systems with each clip.

    Each system of a pair is on the left in half of the clips, by chance.
    """
    folders = {name: videos(folder) for name, folder in study.systems.items()}
    clips = sorted(next(iter(folders.values())))
    rng = random.Random(f"pairs {study.seed}")
    shuffled = rng.sample(clips, len(clips))
    training, traps = study.made.get("training", 0), study.made.get("trap", 0)
    rated, pairs = sorted(shuffled[training:]), list(study.pairs.values())

    def beside(kind: TaskKind, clip: str, left: str, right: str, **more: Any) -> Wanted:
        return Wanted(kind=kind, clip=clip, source=folders[left][clip], right=folders[right][clip], left=left, **more)

    found = [
        beside("training", clip, *rng.sample(pairs[number % len(pairs)], 2), system=None)
        for number, clip in enumerate(shuffled[:training])
    ]
    for number, clip in enumerate(rng.sample(rated, traps)):
        side = (LEFT, RIGHT)[number % 2]
        found.append(
            beside(
                "trap",
                clip,
                *rng.sample(pairs[number % len(pairs)], 2),
                system=None,
                instruction=f"Please choose {('left', 'right')[side - 1]}\nin every question",
                expected={question.name: [side, side] for question in study.questions},
            )
        )
    for name, pair in study.pairs.items():
        turned = [number % 2 for number in range(len(rated))]
        rng.shuffle(turned)
        found += [
            beside("rated", clip, *(pair[::-1] if turn else pair), system=name)
            for clip, turn in zip(rated, turned, strict=True)
        ]
    return found


# ---------------------------------------------------------------------------------------------------- preparing


def prepare(study: Study, storage: Storage, console: Console) -> None:
    """Write the study's missing media and store the plan; print warnings about the sources.

    Raises :class:`vast_core.errors.InputError` if a judge has joined and sources or plan have changed since, and
    :class:`vast_core.errors.MediaError` if a source cannot be read.
    """
    from vast_core.media import file_digest

    from .media import ENCODING

    media = wanted_pairs(study) if study.test == "preference" else wanted(study)
    sources = {file for own in media for file in (own.source, own.right) if file is not None}
    with console.status("checking the sources"):
        digests = {source: file_digest(source) for source in sorted(sources)}
    treated = {own.key: _digest(ENCODING, digests, own) for own in media}
    with storage.session() as session:
        joined = session.scalar(select(func.count(Judge.id))) or 0
        plan = _plan(study, treated)
        if joined and (before := fact(session, "plan")) != plan:
            raise InputError(_changed(study, json.loads(before or "{}"), json.loads(plan), joined))
        if not joined:
            _drop_unwanted(session, treated)
            keep_fact(session, "plan", plan)
    _write_missing(study, storage, console, media, treated)
    with storage.reading() as session:
        _clear(study, {medium.id for medium in session.scalars(select(Medium))})
        media_now = planned(session, study)
        for kind, clips in (("training", media_now.plan.training), ("gold", media_now.plan.gold)):
            if study.made.get(kind):
                console.print(f"not rated, because they are used for {kind}: {', '.join(clips)}")
        for warning in _warnings(study, media_now):
            console.print(f"warning: {warning}", style="yellow")


def _digest(encoding: str, digests: Mapping[Path, str], own: Wanted) -> str:
    source = digests[own.source] if own.right is None else f"{digests[own.source]} {digests[own.right]}"
    parts = (encoding, source, own.instruction, json.dumps(own.expected, sort_keys=True), own.feedback)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _plan(study: Study, treated: Mapping[Key, str]) -> str:
    """Everything that determines what judges see, as text."""
    said = {
        "test": study.test,
        "questions": [attrs.asdict(question) for question in study.questions],
        "systems": list(study.systems),
        "reference": study.reference,
        "seed": study.seed,
        "block": study.block,
        "clips": study.clips,
        "media": {" ".join(filter(None, key)): digest for key, digest in sorted(treated.items(), key=str)},
    }
    return json.dumps(said, sort_keys=True)


def _changed(study: Study, before: Mapping[str, object], now: Mapping[str, object], joined: int) -> str:
    keys = [key for key in now if before.get(key) != now[key]]
    told = [key for key in keys if key != "media"]
    old, new = before.get("media"), now["media"]
    if isinstance(old, dict) and isinstance(new, dict) and old != new:
        names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        shown = ", ".join(names[:6]) + f" and {len(names) - 6} more" * (len(names) > 6)
        told.append(f"videos ({shown})")
    return (
        f"{study.path.name}: changed since the first of {joined} judges joined: {', '.join(told)}. All judges must see "
        f"the same: undo the change, or start a new study from a copy of {study.path.name} under another name"
    )


def _drop_unwanted(session: Session, treated: Mapping[Key, str]) -> None:
    """Remove media that nobody has seen and that are no longer needed."""
    for medium in session.scalars(select(Medium)):
        if treated.get((medium.kind, medium.system, medium.clip)) != medium.digest:
            session.delete(medium)


def _write_missing(
    study: Study, storage: Storage, console: Console, media: list[Wanted], treated: Mapping[Key, str]
) -> None:
    from rich.progress import track

    from .media import write_medium

    with storage.reading() as session:
        known: dict[Key, Medium] = {(own.kind, own.system, own.clip): own for own in session.scalars(select(Medium))}
    missing = [own for own in media if own.key not in known or not medium_path(study, known[own.key]).is_file()]
    for own in track(missing, f"writing {len(missing)} of {len(media)} videos", console=console, disable=not missing):
        old = known.get(own.key)
        medium = Medium(
            id=secrets.token_hex(16) if old is None else old.id,
            kind=own.kind,
            system=own.system,
            left=own.left,
            clip=own.clip,
            digest=treated[own.key],
            expected=own.expected,
            feedback=own.feedback,
        )
        path = medium_path(study, medium)
        medium.seconds = write_medium(own.source, path, own.instruction, beside=own.right).seconds
        with storage.session() as session:
            session.merge(medium)


def _clear(study: Study, kept: set[str]) -> None:
    """Remove files without a medium: from a killed process or a changed plan."""
    for file in study.media.glob("*"):
        if file.stem not in kept:
            file.unlink(missing_ok=True)


def _warnings(study: Study, media: Media) -> Iterator[str]:
    from .media import has_sound

    silent = [key for key, medium in media.found.items() if not has_sound(medium_path(study, medium))]
    if silent:
        names = [" ".join(filter(None, key)) for key in silent]
        yield f"without sound: {', '.join(names[:6])}" + f" and {len(names) - 6} more" * (len(names) > 6)
    for clip in media.plan.clips:
        lengths = {name: media.found["rated", name, clip].seconds for name in study.shown}
        if max(lengths.values()) - min(lengths.values()) > TOLERANCE:
            told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in lengths.items())
            yield f"the videos of {clip} differ in length, which makes them distinguishable: {told}"
