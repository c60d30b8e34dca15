"""The faults of the table, each tried on real runs and compared with an undisturbed one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from . import injecting
from .attempts import STAGES, Attempt
from .outcome import differences, half_written, outcome


@attrs.define
class Row:
    """One fault: how often it struck, and what was lost."""

    fault: str
    tried: int = 0
    lost: list[str] = attrs.field(factory=list)
    """In words, one entry for each strike after which something was wrong."""

    @property
    def survived(self) -> int:
        """Strikes without a loss."""
        return self.tried - len(self.lost)


@attrs.define
class Trial:
    """Where runs are tried, and the undisturbed run that all are compared with."""

    place: Path
    expected: dict[str, Any]
    seconds: dict[str, float]
    """How long each stage takes."""
    writes: list[injecting.Write]
    """Every kind of write, in the order of their first."""
    chance: random.Random

    @classmethod
    def begin(cls, place: Path, seed: int) -> Trial:
        """Do the undisturbed run."""
        import json

        folder = place / "undisturbed"
        notes = place / "writes.txt"
        done = Attempt(folder, fault=injecting.noting(notes, folder))
        if done.wait():
            raise RuntimeError(f"the undisturbed run failed:\n{done.said[-3000:]}")
        records = {stage: json.loads((done.run / "stages" / f"{stage}.json").read_text()) for stage in STAGES}
        seconds = {stage: record["seconds"] for stage, record in records.items()}
        return cls(place, outcome(done.run, done.cache), seconds, _distinct(notes), random.Random(seed))

    def fresh(self, name: str) -> Path:
        """An empty folder for one run and its cache."""
        folder = self.place / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def finish(self, folder: Path, row: Row, **names: str) -> None:
        """Let a run that was struck come to its end, and note what is wrong then."""
        last = Attempt(folder, **names)
        code = last.wait()
        wrong = differences(outcome(last.run, last.cache), self.expected, last.run.name, last.cache.name)
        if code:
            wrong = [f"exit code {code}: {last.said[-500:]}"]
        if wrong:
            row.lost.append(f"{folder.name}: " + "; ".join(wrong[:5]))
        else:
            shutil.rmtree(folder)


def _distinct(notes: Path) -> list[injecting.Write]:
    """One write of every kind, in the order of the first."""
    lines = [line.split("\t") for line in notes.read_text().splitlines()]
    final = {injecting.which(path): name for what, _, path, name in lines if what == "rename"}
    kinds = {(what, injecting.kind(name or final.get(which, path))): which for what, which, path, name in lines[::-1]}
    return sorted(
        ((what, which) for (what, _), which in kinds.items()),
        key=lambda write: next(number for number, line in enumerate(lines) if tuple(line[:2]) == write),
    )


def killed(trial: Trial, strikes: int, number: int) -> Row:
    """Signals at random moments of every stage; of SIGKILL, every second comes amidst a write."""
    row = Row(f"{signal.Signals(number).name} at a random moment of each stage, in turn")
    while row.tried < strikes:
        folder = trial.fresh(f"{signal.Signals(number).name}-{row.tried}")
        struck = 0
        for stage in STAGES * (2 if number == signal.SIGKILL else 1):
            if row.tried == strikes:
                break
            after = trial.chance.uniform(0, trial.seconds[stage])
            attempt = Attempt(folder)
            code = attempt.signal_after(stage, after, number)
            struck += code != 0
            row.tried += code != 0
            if number != signal.SIGKILL and code not in (0, 128 + number):
                row.lost.append(f"{folder.name}: exit code {code}: {attempt.said[-500:]}")
            if number != signal.SIGKILL and (left := half_written(folder)):
                row.lost.append(f"{folder.name}: half-written after {stage}: {left}")
        trial.finish(folder, row)
    return row


def killed_writing(trial: Trial, strikes: int) -> Row:
    """SIGKILL at a write of each kind, those of checkpoints first."""
    row = Row("SIGKILL at a write: begun, content written, about to get its name")
    chosen = sorted(trial.writes, key=lambda write: ("checkpoints" not in write[1], trial.chance.random()))[:strikes]
    folder = trial.fresh("killed-writing")
    for write in sorted(chosen, key=trial.writes.index):
        again = trial.chance.randrange(2) if "checkpoints" in write[1] and "earlier" not in write[1] else 0
        attempt = Attempt(folder, fault=injecting.killing(write, folder, skipped=again))
        row.tried += attempt.wait() == -signal.SIGKILL
    trial.finish(folder, row)
    return row


def starved(trial: Trial, strikes: int) -> Row:
    """A disk that is full for one kind of write after another; each time one clear message, and no half file."""
    row = Row("no space left for one kind of write")
    folder = trial.fresh("full-disk")
    chosen = [write for write in trial.writes if write[0] != "rename"]
    chosen = chosen if strikes >= len(chosen) else sorted(trial.chance.sample(chosen, strikes), key=chosen.index)
    for write in chosen:
        attempt = Attempt(folder, fault=injecting.full_disk(write, folder))
        code = attempt.wait()
        row.tried += 1
        clear = code == 0 or (code == 1 and "No space left" in attempt.said and "a fault in vast" not in attempt.said)
        if not clear or (left := half_written(folder)):
            row.lost.append(f"{write}: exit code {code}, {left if clear else attempt.said[-500:]}")
    trial.finish(folder, row)
    return row


def small_disk(trial: Trial, strikes: int) -> Row | None:
    """A real disk that is too small and grows by steps; None where none may be mounted."""
    row = Row("a real disk that is too small, then grows")
    folder = trial.fresh("small-disk")
    folder.mkdir(parents=True)
    used = sum(file.stat().st_size for file in (trial.place / "undisturbed").rglob("*") if file.is_file())
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "vast-faults", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return None
    try:
        for part in sorted(trial.chance.uniform(0.02, 0.98) for _ in range(strikes)):
            size = f"size={round(part * used)}"
            subprocess.run(["mount", "-o", f"remount,{size}", str(folder)], check=True)
            attempt = Attempt(folder / "disk", log=trial.place / "small-disk.txt")
            code = attempt.wait()
            row.tried += code != 0
            if code not in (0, 1) or "a fault in vast" in attempt.said or half_written(folder):
                row.lost.append(f"{size}: exit code {code}: {attempt.said[-500:]} {half_written(folder)}")
        subprocess.run(["mount", "-o", "remount,size=4g", str(folder)], check=True)
        trial.finish(folder / "disk", row)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    return row


def damaged(trial: Trial) -> Row:
    """The last checkpoint of each training is cut, empty, or has one flipped bit; the one before is used, and said."""
    row = Row("a checkpoint cut short, empty, or with a flipped bit")
    for stage in ("style", "renderer"):
        for harm in (_cut, _emptied, _flipped):
            folder = trial.fresh(f"damaged-{stage}-{harm.__name__[1:]}")
            # two are there, and the third is about to take the place of the second
            third = ("rename", f"checkpoints/{stage}.earlier.safetensors")
            Attempt(folder, fault=injecting.killing(third, folder, skipped=1)).wait()
            file = folder / "run" / "checkpoints" / f"{stage}.safetensors"
            file.write_bytes(harm(file.read_bytes(), trial.chance))
            row.tried += 1
            attempt = Attempt(folder)
            attempt.wait()
            if not all(words in attempt.said for words in ("damaged", "The state before it is used", "resuming")):
                row.lost.append(f"{folder.name}: not said: {attempt.said[-500:]}")
            trial.finish(folder, row)
    return row


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(1, len(content))]


def _emptied(content: bytes, chance: random.Random) -> bytes:
    return b""


def _flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(content) // 2, len(content))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def without_power(trial: Trial, strikes: int) -> Row:
    """After a kill, every file loses what was not forced to the disk: content first, then the name."""
    row = Row("power failure: all is lost that was not forced to the disk")
    while row.tried < strikes:
        folder, journal = trial.fresh(f"power-{row.tried}"), trial.place / "journal.txt"
        journal.unlink(missing_ok=True)
        for stage in trial.chance.sample(STAGES, min(len(STAGES), strikes - row.tried)):
            attempt = Attempt(folder, fault=injecting.journaling(journal))
            after = trial.chance.uniform(0, trial.seconds[stage])
            if attempt.signal_after(stage, after, signal.SIGKILL):
                row.tried += 1
                injecting.lose_power(journal, attempt.run, attempt.cache)
        trial.finish(folder, row)
    return row


def out_of_time(trial: Trial, strikes: int) -> Row:
    """The clock jumps by a year to and fro while the run goes on, and so do the times of its files between kills."""
    row = Row("a clock that jumps by a year, to and fro")
    folder = trial.fresh("clock")
    for strike in range(strikes):
        attempt = Attempt(folder, fault=injecting.jumping_clock)
        attempt.signal_after(STAGES[strike % len(STAGES)], trial.chance.uniform(0, 2), signal.SIGKILL)
        row.tried += 1
        for file in folder.rglob("*"):
            moment = time.time() + trial.chance.choice((-1, 1)) * 365 * 86400
            os.utime(file, (moment, moment))
    trial.finish(folder, row)
    return row


def shared(trial: Trial, strikes: int) -> Row:
    """Two runs prepare the same clips in one cache at once; in every second attempt the first of them is killed."""
    row = Row("two runs prepare the same clips in one cache at once")
    for strike in range(strikes):
        folder = trial.fresh(f"shared-{strike}")
        first, second = (Attempt(folder, run=name) for name in ("one", "two"))
        if strike % 2:
            first.signal_after("prepare", trial.chance.uniform(0, trial.seconds["prepare"]), signal.SIGKILL)
        codes = [attempt.wait() for attempt in (first, second)]
        row.tried += 1
        if codes[1] or (codes[0] and not strike % 2):
            row.lost.append(f"{folder.name}: exit codes {codes}: {second.said[-500:]}")
        expected = {name: value for name, value in trial.expected.items() if name.startswith("run/")}
        found = {n: v for n, v in outcome(second.run, second.cache).items() if n.startswith("two/")}
        if wrong := differences(found, expected, "two"):
            row.lost.append(f"{folder.name}, the second run: " + "; ".join(wrong[:5]))
        trial.finish(folder, row, run="one")
    return row


def ordered(trial: Trial) -> Row:
    """Of every file that gets a name, the content is forced to the disk before (in the undisturbed run)."""
    row = Row("a file's name given before its content is forced to the disk")
    forced: set[str] = set()
    for line in (trial.place / "writes.txt").read_text().splitlines():
        what, _, path, name = line.split("\t")
        if what == "open":
            forced.discard(path)
        elif what == "force":
            forced.add(path)
        else:
            row.tried += 1
            if path not in forced:
                row.lost.append(f"{name}: named before it was forced")
            forced.discard(path)
            forced.add(name)
    return row


def _some(kills: int) -> int:
    return max(1, kills // 10)


FAULTS: dict[str, Callable[[Trial, int], Row | None]] = {
    "killed": lambda trial, kills: killed(trial, kills - kills // 2, signal.SIGKILL),
    "writing": lambda trial, kills: killed_writing(trial, kills // 2),
    "stopped": lambda trial, kills: killed(trial, _some(kills), signal.SIGTERM),
    "full": lambda trial, kills: starved(trial, kills - kills // 2),
    "small": lambda trial, kills: small_disk(trial, _some(kills)),
    "damaged": lambda trial, kills: damaged(trial),
    "power": lambda trial, kills: without_power(trial, _some(kills)),
    "order": lambda trial, kills: ordered(trial),
    "clock": lambda trial, kills: out_of_time(trial, _some(kills)),
    "shared": lambda trial, kills: shared(trial, max(1, kills // 20)),
}
"""All faults by name; ``kills`` is the number of SIGKILLs in the first two together, and the others follow from it."""
