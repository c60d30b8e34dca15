"""Reads ``study.yaml`` as :class:`Study`, with all mistakes at once, each at file:line:col, as for recipes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, lt

from vast_core.errors import InputError
from vast_core.recipe import Node, Reader, read_document, recipe_error, shown

from .sources import lacking, videos
from .study import HeadphonesCheck, Known, Question, Study, TestKind
from .wording import consent_text

VERSION = 1
"""Format version of ``study.yaml``, stated as ``study: 1``."""

_KINDS: dict[str, Literal["training", "gold", "trap"]] = {"training": "training", "gold": "gold", "traps": "trap"}
"""Kinds of known clips by their key."""


def _this_version(_: Any, __: attrs.Attribute[int], version: int) -> None:
    if version != VERSION:
        raise ValueError(f"this vast reads studies of version {VERSION}, not {version}")


def _not_blank(_: Any, __: attrs.Attribute[str], text: str) -> None:
    if not text.strip():
        raise ValueError("is blank")


def _five(_: Any, __: attrs.Attribute[tuple[str, ...]], labels: tuple[str, ...]) -> None:
    if len(labels) != 5:
        raise ValueError(f"needs 5 names, for the scores 1 to 5, and has {len(labels)}; names may be empty")


def _question_name(_: Any, __: attrs.Attribute[str], name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("must consist of lower-case letters, digits and underscores, and begin with a letter")


def _named(_: Any, __: attrs.Attribute[Any], given: Mapping[str, Any] | tuple[Any, ...]) -> None:
    if not given:
        raise ValueError("is empty; name at least one")


@attrs.frozen(kw_only=True)
class _Question:
    name: str = attrs.field(validator=_question_name)
    title: str = attrs.field(validator=_not_blank)
    text: str = attrs.field(validator=_not_blank)
    best: str | None = attrs.field(default=None, validator=attrs.validators.optional(_not_blank))
    worst: str | None = attrs.field(default=None, validator=attrs.validators.optional(_not_blank))
    labels: tuple[str, ...] = attrs.field(default=attrs.fields(Question).labels.default, validator=_five)


@attrs.frozen(kw_only=True)
class _Known:
    file: Path
    expected: dict[str, int | tuple[int, int]] = attrs.field(factory=dict)
    feedback: str = ""


def _count(_: Any, __: attrs.Attribute[Any], given: int | tuple[_Known, ...]) -> None:
    if isinstance(given, int) and given < 0:
        raise ValueError("must be a number of clips, 0 or more, or a list of files")


@attrs.frozen(kw_only=True)
class _Document:
    """The keys of ``study.yaml``."""

    study: int = attrs.field(validator=_this_version)
    title: str = attrs.field(validator=_not_blank)
    contact: str = attrs.field(validator=_not_blank)
    systems: dict[str, Path] = attrs.field(validator=_named)
    test: TestKind = "ratings"
    reference: str | None = None
    judges: int = attrs.field(default=15, validator=[ge(1), lt(10_000)])
    seed: int = attrs.field(default=1, validator=[ge(0), lt(2**31)])
    block: int = attrs.field(default=12, validator=[ge(1), lt(10_000)])
    clips: int | None = attrs.field(default=None, validator=attrs.validators.optional(ge(1)))
    headphones: HeadphonesCheck = "required"
    training: int | tuple[_Known, ...] = attrs.field(default=0, validator=_count)
    gold: int | tuple[_Known, ...] = attrs.field(default=0, validator=_count)
    traps: int | tuple[_Known, ...] = attrs.field(default=0, validator=_count)
    consent: str | None = attrs.field(default=None, validator=attrs.validators.optional(_not_blank))
    questions: tuple[_Question, ...] = attrs.field(validator=_named)
    database: str | None = None


def read_study(path: Path, *, sources: bool = True) -> Study:
    """The study in a file; raises :class:`vast_core.errors.RecipeError` with all its mistakes.

    Without ``sources``, the videos that it names may be missing: votes can still be read.
    """
    reader = Reader()
    tree = read_document(path, reader.problems, "study")
    values = reader.fields(tree, _Document, ())
    found = _Checks(reader, tree, values, path.resolve())
    found.check(sources)
    if reader.problems:
        raise recipe_error(shown(path), reader.problems, "study")
    return found.study(_Document(**values))


def read_questions(path: Path) -> tuple[int, str]:
    """The number of questions in a template, and its lines from ``questions:`` on.

    Raises :class:`vast_core.errors.RecipeError` with all its mistakes.
    """
    reader = Reader()
    tree = read_document(path, reader.problems, "template")
    values = reader.fields(tree, _Document, (), only=["questions"])
    _Checks(reader, tree, values, path.resolve()).check_questions()
    if reader.problems:
        raise recipe_error(shown(path), reader.problems, "template")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return len(values["questions"]), "\n".join(lines[tree.value["questions"].heading.line :]).rstrip() + "\n"


def _asked(question: _Question) -> Question:
    values = attrs.asdict(question) | {"best": question.best or "", "worst": question.worst or ""}
    return Question(**values)


class _Checks:
    """Checks across keys: names, folders and numbers that must be consistent."""

    def __init__(self, reader: Reader, tree: Node, values: dict[str, Any], path: Path) -> None:
        self.reader, self.tree, self.values, self.path = reader, tree, values, path
        self.clips: set[str] = set()

    def note(self, path: tuple[str, ...], message: str, *, at_key: bool = False) -> None:
        """Report a mistake at a key path that the file has."""
        self.reader.note(self._at(*path), path, message, at_key=at_key)

    def file(self, path: Path) -> Path:
        """A path relative to the file."""
        return (self.path.parent / path).resolve()

    def check(self, sources: bool) -> None:
        """Run all checks, as far as the values could be read."""
        self.check_questions()
        self.check_test()
        if not sources:
            return
        self.check_systems()
        for key in _KINDS:
            if isinstance(self.values.get(key), tuple):
                self.check_files(key)
        self.check_numbers()

    def check_questions(self) -> None:
        """Question names are unique."""
        names = [question.name for question in self.values.get("questions", ())]
        for number, name in enumerate(names):
            if name in names[:number]:
                self.note(("questions", str(number), "name"), f"{name!r} is already a question; choose another name")

    def check_test(self) -> None:
        """A preference test has pairs of systems and no anchors; ratings have anchors."""
        preference = self.values.get("test") == "preference"
        for number, question in enumerate(self.values.get("questions", ())):
            here = ("questions", str(number))
            for key in ("best", "worst"):
                if preference and getattr(question, key) is not None:
                    self.note((*here, key), "a choice between two videos has no scale, so it has no anchors")
                elif not preference and getattr(question, key) is None:
                    self.note(here, f"missing key {key!r}: the anchor at {5 if key == 'best' else 1}")
        if not preference:
            return
        if len(self.values.get("systems", ())) == 1:
            self.note(("systems",), "a preference test needs at least two systems")
        for key in _KINDS:
            if isinstance(self.values.get(key), tuple):
                self.note((key,), "in a preference test, give a number: clips of your own are no pairs")
        if self.values.get("gold"):
            self.note(("gold",), "a preference test has no gold clips: which video is better is what is asked")

    def check_systems(self) -> None:
        """Folders have videos of the same names; the reference is one of the systems."""
        systems = self.values.get("systems", {})
        found = {}
        for name, folder in systems.items():
            if not name.strip():
                self.note(("systems", name), "a system needs a name", at_key=True)
            try:
                found[name] = videos(self.file(folder))
            except InputError as error:
                self.note(("systems", name), str(error))
        for name, told in lacking(found).items():
            self.note(("systems", name), told)
        self.clips = {clip for clips in found.values() for clip in clips}
        reference = self.values.get("reference")
        if reference is not None and systems and reference not in systems:
            self.note(("reference",), f"no system is called {reference!r} (systems: {', '.join(systems)})")

    def check_files(self, key: str) -> None:
        """Known clips exist, and their expected scores are possible."""
        questions = list(dict.fromkeys(question.name for question in self.values.get("questions", ())))
        stems: list[str] = []
        for number, clip in enumerate(self.values[key]):
            here = (key, str(number))
            if not self.file(clip.file).is_file():
                self.note((*here, "file"), f"{self.file(clip.file)}: no such file")
            if clip.file.stem in stems:
                self.note(
                    (*here, "file"), f"another of these files is also called {clip.file.stem}; rename one of them"
                )
            stems.append(clip.file.stem)
            if key != "training" and not clip.expected:
                self.note(here, "a clip that checks judges needs `expected`: {question: [lowest, highest]}")
            for name, given in clip.expected.items():
                low, high = given if isinstance(given, tuple) else (given, given)
                if not 1 <= low <= high <= 5:
                    self.note((*here, "expected", name), "lowest and highest must be from 1 to 5, such as [4, 5]")
                if questions and name not in questions:
                    self.reader.unknown_key(self._at(*here, "expected", name), (*here, "expected", name), questions)

    def _at(self, *path: str) -> Node:
        node = self.tree
        for key in path:
            node = node.value[int(key) if isinstance(node.value, list) else key]
        return node

    def check_numbers(self) -> None:
        """Numbers of known clips are possible, and enough clips are left to rate."""
        made = {key: self.values[key] for key in _KINDS if isinstance(self.values.get(key), int)}
        if made.get("gold", 0) > 0 and self.values.get("reference") is None and "reference" not in self.tree.value:
            self.note(("gold",), "gold clips are made from a recording: name the system with `reference:`")
        if not self.clips:
            return
        held = made.get("training", 0) + made.get("gold", 0)
        left = len(self.clips) - held
        if left < 1:
            key = "training" if made.get("training") else "gold"
            self.note((key,), f"with {held} clips held out, none of {len(self.clips)} is left to be rated")
        elif made.get("traps", 0) > left:
            self.note(("traps",), f"is more than the {left} rated clips; each can be used for one trap")
        share = self.values.get("clips")
        if share is not None and share > left > 0:
            self.note(("clips",), f"is more than the {left} clips that are left to be rated; omit it to show all")

    def study(self, document: _Document) -> Study:
        """The study, if there are no mistakes."""
        known = []
        made: dict[str, int] = {}
        for key, kind in _KINDS.items():
            given = getattr(document, key)
            if isinstance(given, int):
                made[kind] = given
                continue
            for clip in given:
                expected = {name: own if isinstance(own, tuple) else (own, own) for name, own in clip.expected.items()}
                known.append(Known(file=self.file(clip.file), kind=kind, expected=expected, feedback=clip.feedback))
        rated = len(self.clips) - made.get("training", 0) - made.get("gold", 0)
        systems = len(document.systems)
        shown = systems * (systems - 1) // 2 if document.test == "preference" else systems
        count = shown * min(document.clips or rated, rated) + len(known) + sum(made.values())
        consent = document.consent or consent_text(videos=count, questions=len(document.questions), test=document.test)
        return Study(
            path=self.path,
            name=self.path.stem,
            title=document.title,
            contact=document.contact,
            seed=document.seed,
            judges=document.judges,
            block=document.block,
            questions=tuple(_asked(question) for question in document.questions),
            systems={name: self.file(folder) for name, folder in document.systems.items()},
            known=tuple(known),
            consent=consent.strip(),
            clips=document.clips,
            database=document.database,
            test=document.test,
            headphones=document.headphones,
            reference=document.reference,
            made=made,
        )
