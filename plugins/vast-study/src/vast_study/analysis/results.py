"""All that the report says, worked out once from the raw votes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ..study import Study
from ..votes import RawVote
from .agreement import Agreement, agreement
from .comparison import Overall, Pair, compare_all, compare_pairs
from .scores import Score, mean_opinion_scores
from .screening import Screened, screen


@attrs.frozen(kw_only=True)
class Results:
    """Of the judges whose votes count; ``all_scores`` of everyone."""

    votes: int
    """Scores of rated clips that count."""
    judges: tuple[Screened, ...]
    """Everyone."""
    kept: tuple[int, ...]
    """Numbers of the judges whose votes count."""
    scores: tuple[Score, ...]
    all_scores: tuple[Score, ...]
    overall: tuple[Overall, ...]
    pairs: tuple[Pair, ...]
    agreement: tuple[Agreement, ...]
    notes: tuple[str, ...]
    """What could not be worked out, and what to mind."""

    @property
    def rejected(self) -> tuple[Screened, ...]:
        """The judges left out."""
        return tuple(judge for judge in self.judges if judge.judge not in self.kept)

    def by_question(self) -> Mapping[str, tuple[Score, ...]]:
        """The scores of each question that has any."""
        names = dict.fromkeys(score.question for score in self.scores)
        return {name: tuple(score for score in self.scores if score.question == name) for name in names}


def analyse(study: Study, votes: Sequence[RawVote], *, keep_all: bool = False) -> Results:
    """What the votes say; ``keep_all`` leaves nobody out, whatever the screening finds."""
    questions, systems = [question.name for question in study.questions], list(study.systems)
    judges = screen(votes)
    kept = {judge.judge for judge in judges if keep_all or not judge.rejected}
    notes = []
    if judges and not kept:
        # as sureal has it: where everyone would go, nobody does, and a reader must decide
        kept = {judge.judge for judge in judges}
        notes.append("the screening would leave out every judge; nobody was left out, and the figures may mean nothing")
    counted = [vote for vote in votes if vote.judge in kept and vote.kind == "rated"]
    people = len({vote.judge for vote in counted})
    if people == 1:
        notes.append("one judge: no interval and no test, as nobody else was asked")
    if len(systems) == 1:
        notes.append("one system: nothing to compare it with")
    return Results(
        votes=len(counted),
        judges=tuple(judges),
        kept=tuple(sorted(kept)),
        scores=tuple(mean_opinion_scores(counted, systems, questions)),
        all_scores=tuple(mean_opinion_scores(votes, systems, questions)),
        overall=tuple(found for name in questions if (found := compare_all(counted, name)) is not None),
        pairs=tuple(pair for name in questions for pair in compare_pairs(counted, systems, name)),
        agreement=tuple(agreement(counted, questions)),
        notes=tuple(notes),
    )
