"""``vast study new``: a commented ``study.yaml`` for folders of videos. Imports no server and no torch."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import yaml

from vast_core.errors import InputError, MediaError, StorageError
from vast_core.files import named_file
from vast_core.places import expanded

from .reading import read_questions, read_study
from .sources import lacking, videos
from .study import TestKind
from .wording import consent_text, question_templates, study_text

_ANSWERING = 6
"""Seconds per question, for the estimated duration that judges are told (our guess)."""

_CONTACT = "the person who invited you"


def write_study(
    file: Path,
    given: Sequence[str],
    reference: str | None,
    template: str,
    title: str,
    contact: str | None,
    judges: int,
    test: TestKind = "ratings",
) -> str:
    """Write ``file`` and return a summary with the next step.

    Raises :class:`vast_core.errors.InputError` with all problems of the folders, or if the file exists.
    """
    if file.exists():
        raise InputError(f"{file}: already exists and is not overwritten; choose another name")
    folders = _folders(given)
    asked, questions = read_questions(named_file(template, question_templates(), "--template"))
    found = _found(folders)
    if reference is not None and reference not in folders:
        raise InputError(f"--reference {reference}: no such system (systems: {', '.join(folders)})")
    clips = sorted(next(iter(found.values())))
    training = 2 if len(clips) >= 10 else int(len(clips) >= 4)
    gold = int(reference is not None and len(clips) >= 10 and test == "ratings")
    traps = min(2, len(clips) - training - gold)
    rated = len(clips) - training - gold
    shown = len(folders) * (len(folders) - 1) // 2 if test == "preference" else len(folders)
    count = shown * rated + training + gold + traps
    seconds = count * (_mean_seconds(found) + _ANSWERING * asked)
    text = study_text(
        {
            "file": file.name,
            "folder": f"{file.stem}.study",
            "title": _quoted(title),
            "contact": _quoted(contact or _CONTACT),
            "systems": {_quoted(name): _quoted(_relative(folder, file)) for name, folder in folders.items()},
            "reference": None if reference is None else _quoted(reference),
            "judges": judges,
            "training": training,
            "gold": gold,
            "traps": traps,
            "test": test,
            "consent": consent_text(videos=count, questions=asked, minutes=max(5, 5 * round(seconds / 300)), test=test),
            "questions": questions,
        }
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise InputError(f"{file}: already exists and is not overwritten; choose another name") from None
    except OSError as error:
        raise StorageError(f"{file}: cannot be written ({error.strerror}); choose another place") from error
    study = read_study(file)
    lines = [
        f"written: {file}",
        f"  {len(folders)} systems, {len(clips)} clips, {rated} of them rated; {judges} judges, {count} "
        f"{'pairs' if test == 'preference' else 'videos'} each",
        f"  questions: {', '.join(question.title for question in study.questions)}",
    ]
    if contact is None:
        lines.append("  `contact` is not filled in: add an address to which judges can write")
    lines.append(f"next: read the file and fill in what is missing, then run: vast study serve {file}")
    return "\n".join(lines)


def _folders(given: Sequence[str]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for system in given:
        name, equals, folder = system.partition("=")
        if not equals or not name.strip() or not folder:
            raise InputError(f"--system {system}: expected NAME=FOLDER, such as ours=out/ours")
        if name in folders:
            raise InputError(f"--system {system}: {name} is given twice; choose another name")
        folders[name] = expanded(folder)
    return folders


def _found(folders: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """The videos of every system; all problems are reported together."""
    found, wrong = {}, []
    for name, folder in folders.items():
        try:
            found[name] = videos(folder)
        except InputError as error:
            wrong.append(f"{name}: {error}")
    wrong += [f"{name}: {told}" for name, told in lacking(found).items()]
    if wrong:
        raise InputError("\n".join(["nothing was written, because the folders do not match", *wrong]))
    return found


def _mean_seconds(found: Mapping[str, Mapping[str, Path]]) -> float:
    """Mean duration of a few videos, from their headers."""
    files = sorted(file for clips in found.values() for file in clips.values())
    lengths = []
    for file in random.Random(1).sample(files, min(20, len(files))):
        try:
            with av.open(f"file:{file}", options={"protocol_whitelist": "file"}) as container:
                lengths.append((container.duration or 0) / av.time_base)
        except (OSError, av.FFmpegError) as error:
            raise MediaError(f"{file}: is not a readable video ({error.strerror}); copy it again") from error
    return sum(lengths) / len(lengths)


def _relative(folder: Path, file: Path) -> str:
    """A path for the file: relative to it if the folder lies below."""
    base, absolute = file.resolve().parent, folder.resolve()
    return os.path.relpath(absolute, base) if absolute.is_relative_to(base) else str(absolute)


def _quoted(text: str) -> str:
    """Quoted for YAML if necessary: JSON's strings are valid YAML."""
    if re.fullmatch(r"[A-Za-z/][\w./ -]*\w", text, re.ASCII) and yaml.safe_load(text) == text:
        return text
    return json.dumps(text, ensure_ascii=False)
