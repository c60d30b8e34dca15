"""The report page: one HTML file with scores, plots, comparisons, agreement, judges, and methods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vast_core.report import Block, Cell, Figure, Section, Table, Text, write_report

from ..study import Question
from . import wording
from .analysis import Analysis
from .bt500 import FEWEST
from .models import Comparison
from .plots import plot_distribution, plot_means


def write_page(path: Path, analysis: Analysis) -> None:
    """Write the page.

    Raises :class:`vast_core.errors.StorageError` if it cannot be written.
    """
    main = analysis.main
    counts = [
        f"{main.judges} judge{'s' * (main.judges != 1)}" + f" of {analysis.everyone.judges}" * bool(analysis.left_out),
        f"{len(analysis.systems)} system{'s' * (len(analysis.systems) != 1)}",
        f"{analysis.clips} clip{'s' * (analysis.clips != 1)}",
        f"{main.votes:,} scores",
    ]
    write_report(
        path,
        title=analysis.study.title,
        subtitle=" · ".join(counts),
        sections=[
            Section("Mean opinion scores", list(_headline(analysis))),
            *(Section(question.title, list(_question(analysis, question))) for question in analysis.questions),
            Section("Agreement of the judges", list(_agreement(analysis))),
            Section("Judges", list(_judges(analysis))),
            Section("Intervals and screening", list(_both(analysis))),
            Section("Methods", list(_method(analysis))),
        ],
    )


def _headline(analysis: Analysis) -> Iterator[Block]:
    rows: list[list[Cell]] = []
    for system in analysis.systems:
        found = [analysis.main.score(question.name, system) for question in analysis.questions]
        rows.append([system, *(wording.score(mos.score if mos else None) for mos in found)])
    columns = ["system", *(question.title for question in analysis.questions)]
    yield Table(columns, rows, wording.unit(analysis))
    if len(analysis.systems) > 1 and analysis.main.judges > 1:
        count = len(analysis.systems)
        sentences = [
            f"{question.title}: {wording.finding(analysis.main.comparison(question.name), count)}"
            for question in analysis.questions
        ]
        yield Text("\n\n".join(sentences))
    if analysis.notes:
        yield Text("Notes:\n\n" + "\n\n".join(f"• {note}" for note in analysis.notes))


def _question(analysis: Analysis, question: Question) -> Iterator[Block]:
    yield Text(question.text)
    scores = [mos for mos in analysis.main.scores if mos.question == question.name]
    if not scores:
        yield Text("There are no scores.")
        return
    everyone = [mos for mos in analysis.everyone.scores if mos.question == question.name]
    lines = "thick over judges, thin over judges and clips" if any(mos.over_both for mos in scores) else "over judges"
    hollow = "; hollow: all judges, including those left out" if analysis.left_out else ""
    means = "Means" if analysis.main.judges == 1 else f"Means with 95 % intervals, {lines}{hollow}"
    yield Figure(means, plot_means(scores, everyone))
    yield Figure("How often each score was given, in percent", plot_distribution(question, scores))
    found = analysis.main.comparison(question.name)
    if found.pairs:
        yield _pairs(found)
        yield Text(_tests(found))


def _pairs(found: Comparison) -> Table:
    rows: list[list[Cell]] = [
        [
            f"{pair.first} – {pair.second}",
            wording.difference(pair.difference),
            wording.probability(pair.adjusted),
            "–" if pair.effect is None else f"{pair.effect:.2f}".replace("-", "−"),
            f"{pair.higher} : {pair.lower}",
            wording.probability(pair.ranks),
            wording.verdict(pair),
        ]
        for pair in found.pairs
    ]
    columns = ["pair", "difference ± 95 %", "p (Holm)", "effect d", "judges for : against", "p by ranks", "verdict"]
    return Table(columns, rows, "All pairs of systems, the one with the higher mean first")


def _tests(found: Comparison) -> str:
    if found.why:
        how = f"Paired t tests of the judges' means over clips ({found.why})."
    else:
        spread = ", ".join(f"{name} {deviation:.2f}" for name, deviation in found.components.items())
        how = f"Linear mixed model by REML; standard deviations in points: {spread}."
    if found.omnibus is None:
        return how
    overall = found.omnibus
    upper, lower = overall.free
    words = f"All systems equal? F({upper:.0f}, {lower:.0f}) = {overall.f:.2f}, p {_equals(overall.p)}, {overall.name}"
    if overall.friedman is not None:
        words += f"; by ranks p {_equals(overall.friedman)}, Friedman's test"
    return f"{how} {words}."


def _equals(p: float) -> str:
    words = wording.probability(p)
    return words if words.startswith("<") else f"= {words}"


def _agreement(analysis: Analysis) -> Iterator[Block]:
    rows: list[list[Cell]] = []
    for question, found in zip(analysis.questions, analysis.main.agreement, strict=True):
        figures = (found.ordinal, found.interval, found.single, found.mean)
        rows.append([question.title, *("–" if each is None else f"{each:.2f}".replace("-", "−") for each in figures)])
    columns = ["question", "alpha, ordinal", "alpha, interval", "ICC(2,1)", "ICC(2,k)"]
    yield Table(columns, rows, "1 is perfect agreement, 0 is chance level")
    units = {found.units for found in analysis.main.agreement}
    few = "" if min(units) > 1 else " No two videos were rated by all judges, so there is no ICC."
    yield Text(
        "Krippendorff's alpha and ICC(2,1) measure how well the score of one judge for one video agrees with that of "
        "another. Opinions may differ, and similar systems lower the agreement, because there is less to agree on. "
        "ICC(2,k) measures how well the means of all these judges would be reproduced by other judges." + few
    )


def _judges(analysis: Analysis) -> Iterator[Block]:
    noticed = [
        f"Judge {judge.judge}, {wording.outcome(judge, analysis)}: "
        + "; ".join(f"{finding.screen}, {finding.reason}" for finding in judge.findings)
        for judge in analysis.judges
        if judge.findings
    ]
    yield Text("\n\n".join(f"{line}." for line in noticed) or "The screening found nothing against any judge.")
    rows: list[list[Cell]] = [
        [
            f"judge {judge.judge}",
            wording.outcome(judge, analysis),
            wording.of(judge.votes, judge.asked),
            "–" if judge.minutes is None else f"{judge.minutes:.0f}",
            "–" if judge.commonest is None else wording.percent(judge.commonest),
            "–" if judge.entropy is None else f"{judge.entropy:.2f}",
            wording.of(*judge.traps) if judge.traps[1] else "–",
            wording.of(*judge.gold) if judge.gold[1] else "–",
            "–" if judge.seconds is None else f"{judge.seconds:.1f}",
            "–" if judge.agreement is None else f"{judge.agreement:.2f}".replace("-", "−"),
            None if judge.off is None else judge.off.high,
            None if judge.off is None else judge.off.low,
        ]
        for judge in analysis.judges
    ]
    columns = ["judge", "outcome", "scores", "minutes", "most frequent score", "entropy, bits", "traps failed"]
    columns += ["gold missed", "answered after, s", "r with others", "far above", "far below"]
    caption = (
        "The basis of the screening. Answered after: median seconds from the end of the video to the last answer. r: "
        "correlation with the means of all other judges. Far above and far below: scores that BT.500 counts"
    )
    yield Table(columns, rows, caption)


def _both(analysis: Analysis) -> Iterator[Block]:
    out = len(analysis.left_out)
    rows: list[list[Cell]] = []
    for question in analysis.questions:
        for system in analysis.systems:
            main, everyone = analysis.main.score(question.name, system), analysis.everyone.score(question.name, system)
            if everyone is not None:
                own = (
                    [wording.score(each) for each in (main.score, main.over_both, main.over_votes)]
                    if main
                    else ["–"] * 3
                )
                rows.append([f"{question.title}, {system}", *own, *([wording.score(everyone.score)] if out else [])])
    columns = ["", "over judges", "over judges and clips", "over votes", *(["all judges"] if out else [])]
    columns[0] = "question and system"
    yield Table(columns, rows, "Mean ± half of the 95 % interval, by what is treated as a random sample")
    yield Text(
        "Over judges: other judges, these clips; the main figures. Over judges and clips: other judges and other "
        "clips. Over votes: every vote as if it came from a different judge, as in many papers. The last is too "
        "narrow: a strict judge is strict in all votes, and counts once, not as often as there are clips."
    )
    if not out:
        yield Text("No judge was left out, so there are no other results to compare with these.")
        return
    count = len(analysis.systems)
    findings = {
        question.title: [
            wording.finding(results.comparison(question.name), count) for results in (analysis.main, analysis.everyone)
        ]
        for question in analysis.questions
    }
    changed = [
        f"{title}, with all judges: {everyone}" for title, (main, everyone) in findings.items() if main != everyone
    ]
    yield Text("\n\n".join(changed) or "With all judges, the findings in each question are the same.")


def _method(analysis: Analysis) -> Iterator[Block]:
    study, limits = analysis.study, analysis.limits
    questions = [
        f"{question.title}: {question.text} {question.best} {question.worst}" for question in analysis.questions
    ]
    yield Text("\n\n".join(["The questions as asked, with the anchors of 5 and 1:", *questions]))
    known = ", ".join(f"{count:,} {kind}" for kind, count in sorted(analysis.kinds.items()) if kind != "rated")
    share = "all clips" if study.clips is None else f"{study.clips} clips"
    yield Text(
        f"Each judge was asked to rate {share} of every system, without seeing the system's name, in an individual "
        f"order from seed {study.seed}: systems are balanced within blocks of at most {study.block} videos and follow "
        "each other equally often. A score can be given only after the video has been played to its end, and changed "
        f"until the block ends. There are {analysis.everyone.votes:,} scores of rated clips"
        + (f", and {known} scores that do not count in any mean." if known else ".")
    )
    yield Text(
        "Scores: each judge's mean over clips is one value; the mean over judges has Student's interval. Comparisons: "
        "score = system + judge + clip + judge × system + clip × system + rest, all but the system random, by REML; "
        "t tests with degrees of freedom by containment, and Holm's correction over the pairs of a question. Intervals "
        "of differences are at 95 % each, uncorrected. Effect d: the difference divided by the standard deviation of "
        "single votes. Strictly, scores are ranks: 4 need not be as far above 3 as 2 above 1. The judges' differences "
        "are therefore also tested by ranks (Wilcoxon, Holm), without considering other clips."
    )
    yield Text(
        f"A judge is left out who gave less than {wording.percent(limits.done)} of the requested scores, gave the same "
        f"score in {wording.percent(limits.straight)} or more of all answers, failed {wording.percent(limits.traps)} "
        "or more of the trap clips, or is rejected by Recommendation ITU-R BT.500, applied once to the remaining "
        f"judges, over the videos with at least {FEWEST} of them. Flagged only: a single failed trap, an incomplete "
        f"study, no headphones, {wording.percent(limits.gold)} or more of the gold clips judged outside their range "
        f"(leaving these judges out would bias the results toward expectations), less than {limits.seconds} s per "
        "question from the end of the video to the last answer, and equal scores in all questions for "
        f"{wording.percent(limits.alike)} or more of the clips."
    )
