"""How figures and verdicts are written, alike on the page and in the terminal."""

from __future__ import annotations

from vast_core.report import Estimate

from .analysis import Analysis
from .models import Comparison, Pair
from .screening import Screened

NB = "\N{NO-BREAK SPACE}"


def score(estimate: Estimate | None) -> str:
    """A mean opinion score and half its interval: ``3.72 ± 0.21``; the mean alone of one value, a dash of none."""
    if estimate is None:
        return "–"
    if estimate.high is None:
        return f"{estimate.mean:.2f}"
    return f"{estimate.mean:.2f}{NB}±{NB}{estimate.high - estimate.mean:.2f}"


def difference(estimate: Estimate) -> str:
    """As a score, with its sign, which is ``+`` for all pairs that are told in order."""
    return f"{'+' if estimate.mean >= 0 else ''}{score(estimate)}".replace("-", "−")


def probability(p: float | None) -> str:
    """Three decimals, or that it is less than these can tell."""
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
    """A winner only where there is evidence."""
    if pair.adjusted is None:
        return "not tested"
    return f"{pair.first} is rated higher" if pair.evident else "no evidence"


def finding(comparison: Comparison, systems: int) -> str:
    """One sentence on a question: who leads, and over whom with evidence."""
    if not comparison.pairs:
        return "There is nothing to compare."
    leader = comparison.pairs[0].first
    own = [pair for pair in comparison.pairs if pair.first == leader]
    beaten = [pair.second for pair in own if pair.evident]
    if all(pair.adjusted is None for pair in own):
        return f"{leader} has the highest mean; a test takes more votes."
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
    """What became of a judge's votes."""
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
    """What the figures of the main table are."""
    count = analysis.main.judges
    if count == 1:
        return "Means over the clips of one judge; of one judge there is no interval"
    return f"Means over {count} judges, each one's mean over clips a single value, ± half of Student's 95 % interval"
