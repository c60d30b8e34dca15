"""Why an orthogonal flow does not change the KL, and the measured KL before and after each cell's flow."""

from __future__ import annotations

from collections.abc import Iterator

from vast_core.report import Cell, Section, Table, Text, estimate, readable

from .comparison import pooled
from .results import Ablation
from .tables import plus_minus

CLOSED, BEFORE, AFTER = "kl_before_flow", "kl_before_flow_sampled", "kl_after_flow"
"""Measures of the evaluation: KL(q0(z0) || p) in closed form; the same, sampled; the term of the bound at z_K,
sampled."""

EXPLANATION = """
The bound penalises the distance of the style code from the prior, KL(q(z_K) || N(0, I)). A Householder flow is a
product of reflections, an orthogonal matrix Q that depends on the prompt. It transforms q0 = N(m, S) into N(Qm, QSQ'),
and every part of the KL, (|m|² + tr S − Z − ln det S) / 2, is the same for Qm and QSQ': lengths, traces and
determinants do not change under rotation and reflection, and N(0, I) is the same in all directions.

For the same q0, cells with and without a Householder flow therefore cannot differ in this term. If they seem to differ
in a table, either q0 differs (each cell trains its own encoder) or there is an error. The flow can change the
reconstruction: z_K has a full covariance where z_0 had a diagonal one. Flows that are not orthogonal (planar, Sylvester
and others) do change the KL, by the expectation of ln q0(z_0) − ln|det| − ln p(z_K), which has to be sampled.

The table shows both sides of each cell's own flow, over the held-out clips, for the same samples z_0, so that both
contain the same sampling error. If the flow is orthogonal (or there is none), their difference is 0 for every single
sample, up to rounding.
"""


def invariance(ablation: Ablation) -> Iterator[Section]:
    """The section, if the flow is varied and the evaluation has measured both sides."""
    varied = any(key == "flow" or key.startswith("flow.") for key in ablation.vary)
    if not varied or not {CLOSED, BEFORE, AFTER} <= ablation.measures.keys():
        return
    rows: list[list[Cell]] = []
    for cell in ablation.cells:
        closed, before, after = pooled(cell, CLOSED), pooled(cell, BEFORE), pooled(cell, AFTER)
        common = sorted(closed.keys() & before.keys() & after.keys())
        if common:
            away = estimate([after[one] - before[one] for one in common])
            ends = [estimate([values[one] for one in common]).mean for values in (closed, before, after)]
            rows.append([ablation.shown(cell.name), *map(readable, ends), plus_minus(away)])
    columns = [ablation.heading, "KL at z_0, closed form", "at z_0, sampled", "at z_K, sampled", "z_K − z_0 ± 95 %"]
    yield Section(
        "Why a Householder flow cannot change the KL",
        [
            Text(EXPLANATION),
            Table(columns, rows, "In nats, over the held-out clips of all seeds; intervals over these clips"),
        ],
    )
