"""From folders of videos to what judges get: every medium written once, and the plan that is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from sqlalchemy import select
from sqlalchemy.orm import Session

from .design import Place, Plan
from .rules import Refused
from .storage import Medium, Storage
from .study import Study

if TYPE_CHECKING:
    from rich.console import Console


@attrs.frozen
class Media:
    """All media of a study that was prepared, and the plan of what they are for."""

    plan: Plan
    found: Mapping[tuple[str, str | None, str], Medium]

    def of(self, place: Place) -> Medium:
        """What is shown at a place of the plan."""
        return self.found[place.kind, place.system, place.clip]


def planned(session: Session, study: Study) -> Media:
    """The media as they were prepared; raises :class:`vast_study.rules.Refused` where they were not."""
    found = {(medium.kind, medium.system, medium.clip): medium for medium in session.scalars(select(Medium))}

    def clips(kind: str) -> tuple[str, ...]:
        return tuple(sorted({clip for own, _, clip in found if own == kind}))

    rated = clips("rated")
    if not rated:
        raise Refused(f"{study.path.name}: its videos were not prepared yet; `vast study serve` does")
    plan = Plan(
        systems=tuple(study.systems),
        clips=rated,
        share=min(study.clips or len(rated), len(rated)),
        block=study.block,
        seed=study.seed,
        training=clips("training"),
        gold=clips("gold"),
        trap=clips("trap"),
    )
    return Media(plan, found)


def prepare(study: Study, storage: Storage, console: Console) -> None:
    """Write what is missing of the study's media, and the plan.

    Raises :class:`vast_core.errors.InputError` where judges have begun and sources or plan have changed since.
    """
    raise NotImplementedError
