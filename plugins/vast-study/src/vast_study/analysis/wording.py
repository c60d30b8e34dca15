"""Formats of figures and verdicts, the same on the page and in the terminal."""

from __future__ import annotations

from vast_core.report import Estimate

from .analysis import Analysis
from .models import Comparison, Pair
from .screening import Screened

NB = "\N{NO-BREAK SPACE}"


def score(estimate: Estimate | None) -> str:
    """A mean opinion score and half its interval: ``3.72 ± 0.21``; only the mean of a single value, a dash without
    any."""
    if estimate is None:
        return "–"
    if estimate.high is None:
        return f"{estimate.mean:.2f}"
    return f"{estimate.mean:.2f}{NB}±{NB}{estimate.high - estimate.mean:.2f}"


def difference(estimate: Estimate) -> str:
    """A signed difference with half its interval; the sign is ``+`` for all pairs in order."""
    return f"{'+' if estimate.mean >= 0 else ''}{score(estimate)}".replace("-", "−")


def probability(p: float | None) -> str:
    """Three decimals, or an upper bound if the value is smaller."""
    if p is None:
        return "–"
    return f"<{NB}0.001" if p < 0.0005 else f"{p:.3f}"


def percent(share: float) -> str:
    """``42 %``."""
    return f"{100 * share:.0f}{NB}%"


def of(some: int, whole: int) -> str:
    """``3 of 4``."""
    return f"{some}{NB}of{NB}{whole}"


def verdict(pair: Pair) -> str:
    """Names a winner only if there is evidence."""
    if pair.adjusted is None:
        return "not tested"
    return f"{pair.first} is rated higher" if pair.evident else "no evidence"


def finding(comparison: Comparison, systems: int) -> str:
    """One sentence on a question: which system leads, and over which others there is evidence."""
    if not comparison.pairs:
        return "There is nothing to compare."
    leader = comparison.pairs[0].first
    own = [pair for pair in comparison.pairs if pair.first == leader]
    beaten = [pair.second for pair in own if pair.evident]
    if all(pair.adjusted is None for pair in own):
        return f"{leader} has the highest mean; a test needs more votes."
    if len(beaten) == systems - 1:
        return f"{leader} is rated higher than {'every other system' if systems > 2 else beaten[0]}."
    if beaten:
        rest = [pair.second for pair in own if not pair.evident]
        return (
            f"{leader} is rated higher than {listed(beaten)}; there is no evidence of a difference from {listed(rest)}."
        )
    others = any(pair.evident for pair in comparison.pairs)
    elsewhere = " There is evidence of differences among the others, see the pairs." if others else ""
    return f"{leader} has the highest mean, but there is no evidence that it is better than the others.{elsewhere}"


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def outcome(judge: Screened, analysis: Analysis) -> str:
    """Whether a judge's votes count."""
    if judge.state == "withdrawn":
        return "withdrew"
    if not judge.votes:
        return "no scores"
    if judge.rejected and analysis.screened:
        return "left out"
    if judge.state == "started":
        return "kept, unfinished"
    return "flagged, kept" if judge.findings else "kept"


def unit(analysis: Analysis) -> str:
    """Description of the figures in the main table."""
    count = analysis.main.judges
    if count == 1:
        return "Means over the clips of one judge; with one judge there is no interval"
    return (
        f"Means over {count} judges, with each judge's mean over clips as one value, ± half of Student's 95 % interval"
    )
