"""What is known of one avatar that is made in the studio, and where its files are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

__all__ = ["MAKING", "VERSION", "Kind", "Place", "Project", "State", "Work"]

VERSION = 1
"""Version of the file of a project."""
STATE = "project.json"

Kind = Literal["look", "quick", "train"]
"""Look at the clip, make an avatar without training, and train one."""
State = Literal["waiting", "running", "done", "failed", "stopped"]
MAKING: tuple[Kind, ...] = ("quick", "train")
"""The kinds that make an avatar; the later one is better."""


@attrs.frozen(kw_only=True)
class Work:
    """One piece of work on a project."""

    state: State
    asked: float
    """When it was asked for, seconds since 1970; what was asked for first is done first."""
    seconds: float = 0.0
    """How long it took."""
    message: str = ""
    """Why it failed."""


@attrs.frozen(kw_only=True)
class Project:
    """One avatar, from its clip to its speech."""

    version: int = VERSION
    id: str
    """16 hexadecimal digits."""
    name: str
    """As its owner calls it."""
    added: float
    """Seconds since 1970."""
    clip: str | None
    """The clip, relative to the folder of the footage; None after it was deleted."""
    works: dict[Kind, Work] = attrs.field(factory=dict)

    def with_work(self, kind: Kind, work: Work) -> Project:
        """The same project with another state of one piece of work."""
        return attrs.evolve(self, works={**self.works, kind: work})

    @property
    def speaks(self) -> Kind | None:
        """The best avatar that is done; None if there is none yet."""
        done = [kind for kind in MAKING if kind in self.works and self.works[kind].state == "done"]
        return done[-1] if done else None


@attrs.frozen
class Place:
    """The folder of one project."""

    folder: Path

    @property
    def state(self) -> Path:
        """The file with the project."""
        return self.folder / STATE

    @property
    def footage(self) -> Path:
        """The corpus of its recipes: the clip, in a folder with the name of the speaker."""
        return self.folder / "footage"

    @property
    def consent(self) -> Path:
        """What the person in the clip has agreed to, for the recipes."""
        return self.footage / "consent.yaml"

    @property
    def cache(self) -> Path:
        """Tracks and prepared clips, kept here and not with those of other runs, so that they are deleted with it."""
        return self.folder / "cache"

    @property
    def pictures(self) -> Path:
        """What the page shows of the work."""
        return self.folder / "pictures"

    @property
    def findings(self) -> Path:
        """What is right and wrong with the clip."""
        return self.folder / "findings.json"

    def run(self, kind: Kind) -> Path:
        """The run that makes an avatar."""
        return self.folder / "runs" / kind

    def progress(self, kind: Kind) -> Path:
        """How far a piece of work is."""
        return self.folder / f"progress-{kind}.json"

    def log(self, kind: Kind) -> Path:
        """What a piece of work has printed."""
        return self.folder / f"log-{kind}.txt"
