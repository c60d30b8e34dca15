"""Analysis of a study's votes: the results, judges left out, and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from vast_core.errors import InputError

from ..study import Question, Study
from ..votes import RawVote
from .agreement import Agreement, agreement
from .attendance import Attendance
from .bt500 import FEWEST
from .models import Comparison, compare
from .ratings import Ratings
from .scores import Mos, mean_scores
from .screening import Limits, Screened, screen


@attrs.frozen(kw_only=True)
class Results:
    """Results of one set of judges."""

    judges: int
    votes: int
    scores: tuple[Mos, ...]
    comparisons: tuple[Comparison, ...]
    agreement: tuple[Agreement, ...]

    @classmethod
    def of(cls, ratings: Ratings) -> Results:
        """All computations on these votes."""
        return cls(
            judges=len(ratings.judges),
            votes=ratings.count,
            scores=mean_scores(ratings),
            comparisons=compare(ratings),
            agreement=agreement(ratings),
        )

    def score(self, question: str, system: str) -> Mos | None:
        """Score of one system in one question; None without votes."""
        return next((mos for mos in self.scores if (mos.question, mos.system) == (question, system)), None)

    def comparison(self, question: str) -> Comparison:
        """Comparison of all systems in one question."""
        return next(found for found in self.comparisons if found.question == question)


@attrs.frozen(kw_only=True)
class Analysis:
    """The results of a study."""

    study: Study
    questions: tuple[Question, ...]
    """Those of the study, then any that only occur in votes."""
    systems: tuple[str, ...]
    """Systems with votes."""
    clips: int
    kinds: dict[str, int]
    """Number of votes by kind of clip."""
    judges: tuple[Screened, ...]
    limits: Limits
    screened: bool
    """Whether screening left judges out; otherwise it is only reported."""
    main: Results
    everyone: Results
    """Results of all judges, including those left out of the main results."""
    notes: tuple[str, ...]
    """Notes on the interpretation, in plain words."""

    @property
    def left_out(self) -> tuple[Screened, ...]:
        """Judges who voted but are not in the main results."""
        return tuple(judge for judge in self.judges if judge.rejected and judge.votes) if self.screened else ()


def analyse(
    study: Study,
    votes: Sequence[RawVote],
    attendance: Sequence[Attendance],
    *,
    keep_all: bool = False,
    limits: Limits | None = None,
) -> Analysis:
    """All results of the votes of judges who did not withdraw; with ``keep_all`` nobody is left out.

    Raises:
        InputError: if nobody has rated a clip yet.
    """
    limits = limits or Limits()
    ratings = Ratings.of(votes, [question.name for question in study.questions], list(study.systems))
    if ratings.count == 0:
        came = sum(judge.state in ("started", "finished") for judge in attendance)
        raise InputError(
            f"{study.path}: nobody has rated a clip yet ({len(attendance)} judges enrolled, {came} of them began); "
            "try again when there are scores"
        )
    judges = screen(votes, attendance, ratings, limits)
    out = {judge.judge for judge in judges if judge.rejected}
    nobody_left = not keep_all and out >= set(ratings.judges)
    screened = not keep_all and not nobody_left
    everyone = Results.of(ratings)
    main = Results.of(ratings.without(out)) if screened and out & set(ratings.judges) else everyone
    known = {question.name: question for question in study.questions}
    analysis = Analysis(
        study=study,
        questions=tuple(known.get(name) or _unknown(name) for name in ratings.questions),
        systems=tuple(system for system in ratings.systems if any(mos.system == system for mos in everyone.scores)),
        clips=len(ratings.clips),
        kinds=dict(Counter(vote.kind for vote in votes)),
        judges=judges,
        limits=limits,
        screened=screened,
        main=main,
        everyone=everyone,
        notes=(),
    )
    return attrs.evolve(analysis, notes=tuple(_notes(analysis, nobody_left)))


def _unknown(name: str) -> Question:
    return Question(name=name, title=name, text="No longer a question of the study.", best="", worst="")


def _notes(analysis: Analysis, nobody_left: bool) -> Iterable[str]:
    main = analysis.main
    withdrawn = sum(judge.state == "withdrawn" for judge in analysis.judges)
    unfinished = sum(judge.state == "started" for judge in analysis.judges)
    if nobody_left:
        yield (
            "The screening would leave out every judge, so nobody was left out. Do not rely on these figures until you "
            "know the reason: see the judges below."
        )
    if not analysis.screened and not nobody_left:
        yield "Nobody was left out, as requested; the findings of the screening are listed below."
    if main.judges == 1:
        yield "These are the scores of one judge: there are no intervals, no tests, and no conclusions about others."
    elif main.judges < 6:
        yield f"With only {main.judges} judges, intervals are wide, and a test detects only large differences."
    if len(analysis.systems) == 1:
        yield "There is only one system, so nothing is compared. Scores of different studies cannot be compared either."
    if withdrawn:
        yield f"{_count(withdrawn, 'judge')} withdrew; their scores are not in any figure on this page."
    if unfinished:
        yield f"{_count(unfinished, 'judge')} began but did not finish so far."
    if not any(judge.off for judge in analysis.judges):
        yield (
            f"BT.500's rejection of judges was not applied: it needs {FEWEST} judges of the same video before anyone "
            "can be far from their mean."
        )
    if not any(judge.traps[1] for judge in analysis.judges):
        yield "No trap clip was judged, so inattention only shows where someone nearly always gives the same score."
    if main.judges == 1:
        return  # nothing is tested, and a note above says so
    fallback = {found.question: found.why for found in main.comparisons if found.pairs and found.why}
    for question, why in fallback.items():
        name = _title(analysis, question)
        yield f"{name}: {why}; systems are compared by paired t tests of judges' means instead."
    yield from _disagreements(analysis)
    if any(mos.over_both is None for mos in main.scores) and main.judges > 1:
        yield "If a judge did not rate every clip of a system, there is no interval for other judges and clips."


def _disagreements(analysis: Analysis) -> Iterable[str]:
    for found in analysis.main.comparisons:
        for pair in found.pairs:
            if pair.evident and (pair.ranks is None or pair.ranks >= 0.05):
                yield (
                    f"{_title(analysis, found.question)}: the difference between {pair.first} and {pair.second} is "
                    "not confirmed by ranks. Either there are too few judges for the rank test, or the difference "
                    "depends on treating the steps of the scale as equally wide."
                )


def _title(analysis: Analysis, name: str) -> str:
    return next(question.title for question in analysis.questions if question.name == name)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"
