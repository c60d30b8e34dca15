"""From a command to a folder of results: makes pairs one by one, measures, and writes the report atomically."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs
from rich.console import Console

from vast_core.console import Terminal, progress
from vast_core.errors import SURROUNDINGS, InputError, StorageError
from vast_core.files import check_replaced, temporary_name
from vast_core.registry import Registry

from ..prepared import spread
from .engine import Engine, Pair
from .from_run import PreparedClips, Trained
from .other_footage import OtherFootage, corpus_called
from .page import write_report
from .people import PEOPLE_FILE, PEOPLE_PAGE, measure_people
from .protocol import Protocol
from .results import FILE, Evaluation
from .tables import print_table, write_csv
from .tracked import Reader, matches, videos_in

Task = tuple[str, Callable[[], Pair]]
"""A clip's name, and a function that makes its pair."""


@attrs.frozen(kw_only=True, eq=False)
class Evaluator:
    """Carries out ``vast eval``."""

    protocol: Protocol
    registry: Registry
    console: Console = attrs.field(factory=Terminal)

    def videos(self, generated: Path, reference: Path, prompts: Path | None, out: Path) -> Evaluation:
        """Videos of a system compared with their references.

        Raises :class:`vast_core.errors.InputError` if there are no pairs by name, :class:`VastError` if no pair can be
        measured.
        """
        inputs = [place for place in (generated, reference, prompts) if place is not None]
        with results_folder(out, inputs) as folder:
            return self._videos(generated, reference, prompts, folder, out, (str(generated), str(reference)))

    def run(self, path: Path, split: str, out: Path) -> Evaluation:
        """A run's vertices compared with the prepared ones, and its avatar with its footage."""
        trained = Trained.load(path, self.registry, self.console)
        trained.check(self.protocol)
        engine = Engine.of(self.protocol, self.registry)
        clips = PreparedClips(run=trained, protocol=self.protocol, audio=engine.pipeline.audio, split=split)
        chosen = clips.chosen()
        with results_folder(out, [path]) as folder:
            tasks = [(clip.name, partial(clips.pair, clip, folder)) for clip in chosen]
            what = f"{split.replace('_', ' ')} clips of {trained.name}"
            return self._measure(engine, tasks, folder, out, (trained.name, what), "model")

    def other_footage(self, path: Path, corpus: str, split: str | None, out: Path) -> Evaluation:
        """A run's style model on clips of another corpus, all of them or those of one split."""
        trained = Trained.load(path, self.registry, self.console)
        trained.check(self.protocol)
        clips = list(corpus_called(corpus, self.protocol, self.registry).clips())
        chosen = spread([clip for clip in clips if split in (None, clip.split)], self.protocol.max_clips)
        if not chosen:
            raise InputError(f"--corpus {corpus}: no clips in the split {split}")
        engine = Engine.of(self.protocol, self.registry)
        footage = OtherFootage(run=trained, protocol=self.protocol, audio=engine.pipeline.audio)
        with results_folder(out, [path, Path(corpus)]) as folder:
            with self.console.status("tracking faces"):
                usable = footage.follow(chosen, partial(self._leave_out, engine))
            tasks = [(clip.name, partial(footage.pair, clip)) for clip in usable]
            return self._measure(engine, tasks, folder, out, (trained.name, corpus), "model")

    def run_tracked(self, path: Path, split: str, out: Path) -> Evaluation:
        """Write a run's videos, and measure them like those of any system."""
        trained = Trained.load(path, self.registry, self.console)
        trained.check(self.protocol)
        if trained.base is None:
            raise InputError(f"{path}: the run has no trained avatar; omit --tracked to measure its vertices")
        engine = Engine.of(self.protocol, self.registry)
        clips = PreparedClips(run=trained, protocol=self.protocol, audio=engine.pipeline.audio, split=split)
        own = [clip for clip in clips.chosen() if clip.speaker == trained.base.avatar]
        if not own:
            raise InputError(f"{path}: no clip of the split {split} shows its avatar, {trained.base.avatar}")
        with results_folder(out, [path]) as folder:
            spoken = folder / "spoken"
            with progress(self.console, transient=True) as shown:
                bar = shown.add_task("speaking", total=len(own))
                for clip in own:
                    shown.update(bar, description=f"speaking {clip.name}")
                    clips.draw(clip, clips.spoken(clip), spoken)
                    clips.show_prompt(clip, spoken)
                    shown.advance(bar)
            generated, reference, prompts = (spoken / "videos" / n for n in ("generated", "reference", "prompts"))
            return self._videos(
                generated, reference, prompts, folder, out, (trained.name, f"footage of {trained.base.avatar}")
            )

    def style_of_people(self, path: Path, people: Path, sound: Path | None, out: Path) -> dict[str, Any]:
        """A run's model, as it is, on labelled prompts of people."""
        trained = Trained.load(path, self.registry, self.console)
        inputs = [path, people] if sound is None else [path, people, sound]
        with results_folder(out, inputs, PEOPLE_FILE) as folder:
            figures = measure_people(trained, people, sound, folder)
        self.console.print(f"wrote {out / PEOPLE_FILE} and {out / PEOPLE_PAGE}")
        return figures

    def _videos(
        self, generated: Path, reference: Path, prompts: Path | None, folder: Path, out: Path, names: tuple[str, str]
    ) -> Evaluation:
        sides = [
            None if place is None else videos_in(place, self.protocol, self.registry).clips()
            for place in (generated, reference, prompts)
        ]
        found, alone = matches(sides[0] or (), sides[1] or (), sides[2])
        engine = Engine.of(self.protocol, self.registry)
        for clip, reason in alone:
            self._leave_out(engine, clip, reason)
        reader = Reader(protocol=self.protocol, pipeline=engine.pipeline, folder=folder)
        tasks = [(match.reference.name, partial(reader, match)) for match in found]
        again = [(match.reference.name, partial(reader.again, match)) for match in found]
        return self._measure(engine, tasks, folder, out, names, "tracked", again)

    def _measure(
        self,
        engine: Engine,
        tasks: Sequence[Task],
        folder: Path,
        out: Path,
        names: tuple[str, str],
        geometry: Literal["tracked", "model"],
        again: Sequence[Task] = (),
    ) -> Evaluation:
        """Measure the pairs of ``tasks``, and some of those of ``again``, whose generated videos are re-encoded."""
        began = time.perf_counter()
        with progress(self.console, transient=True) as shown:
            bar = shown.add_task("measuring", total=len(tasks) + min(len(again), self.protocol.reencoding.clips))
            measured = set()
            for name, make in tasks:
                shown.update(bar, description=f"measuring {name}")
                try:
                    engine.measure(make())
                    measured.add(name)
                except SURROUNDINGS:
                    raise
                except InputError as error:
                    self._leave_out(engine, name, str(error))
                shown.advance(bar)
            known = [task for task in again if task[0] in measured]
            for name, make in spread(known, self.protocol.reencoding.clips):
                shown.update(bar, description=f"measuring {name}, re-encoded")
                try:
                    engine.measure_again(make())
                except SURROUNDINGS:
                    raise
                except InputError as error:
                    self.console.print(f"not measured re-encoded: {name}: {error}", style="yellow")
                shown.advance(bar)
        evaluation = engine.conclude(generated=names[0], reference=names[1], geometry=geometry)
        with self.console.status("writing the report"):
            files = [
                *write_report(folder, evaluation),
                evaluation.write(folder),
                *write_csv(folder, evaluation),
            ]
        self.console.print(print_table(evaluation))
        seconds = time.perf_counter() - began
        self.console.print(
            f"{engine.seconds:.1f} s in {len(evaluation.clips)} clips measured in {seconds:.1f} s; wrote "
            + ", ".join(str(out / file.relative_to(folder)) for file in files),
        )
        return evaluation

    def _leave_out(self, engine: Engine, clip: str, reason: str) -> None:
        engine.leave_out(clip, reason)
        self.console.print(f"left out {clip}: {reason}", style="yellow")


@contextmanager
def results_folder(out: Path, inputs: Iterable[Path], file: str = FILE) -> Iterator[Path]:
    """A folder beside ``out`` that replaces it on success, and is removed on failure; results have ``file``.

    Raises :class:`InputError` if ``out`` has files that are not from an evaluation, or one of the ``inputs``, and
    :class:`StorageError` if it cannot be written.
    """
    check_replaced(out, inputs=inputs)
    if out.exists() and not (out / file).is_file() and any(out.iterdir()):
        raise InputError(f"{out}: contains files that are not from an evaluation; choose another --out")
    temporary, old = (out.with_name(temporary_name(f"{out.name} {what}")) for what in ("new", "old"))
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.exists():
            out.rename(old)
        temporary.rename(out)
    except OSError as error:
        raise StorageError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)
