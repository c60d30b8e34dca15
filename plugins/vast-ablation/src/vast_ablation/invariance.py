"""Why an orthogonal flow leaves the KL alone, and the KL as it was measured at both ends of every cell's flow."""

from __future__ import annotations

from collections.abc import Iterator

from vast_core.report import Cell, Section, Table, Text, estimate, readable

from .comparison import pooled
from .results import Ablation
from .tables import plus_minus

CLOSED, BEFORE, AFTER = "kl_before_flow", "kl_before_flow_sampled", "kl_after_flow"
"""Measures of the evaluation: KL(q0(z0) || p) in closed form; the same sampled; the bound's term at z_K, sampled."""

EXPLANATION = """
The bound charges a style code for its distance from the prior, KL(q(z_K) || N(0, I)). A Householder flow is a product
of reflections, an orthogonal matrix Q that the prompt chooses. It turns q0 = N(m, S) into N(Qm, QSQ'), and every
part of the KL, (|m|² + tr S − Z − ln det S) / 2, is the same for Qm and QSQ': lengths, traces and determinants do not
change under rotation and reflection. N(0, I) looks the same from every side.

So for one and the same q0, cells with and without a Householder flow cannot differ in this term, and a table in which
they seem to shows either another q0 (each cell trains its own encoder) or a fault. What the flow can change is the
reconstruction: z_K has a full covariance where z_0 had a diagonal one. Flows that stretch space (planar, Sylvester and
their like) do change the KL, by the expectation of ln q0(z_0) − ln|det| − ln p(z_K), which has to be sampled.

The table holds both ends of each cell's own flow side by side, over the held-out clips, at the same samples z_0: what
sampling adds to the closed form is in both. Where the flow is orthogonal (and where there is none) their difference is
0 for every single sample, but for rounding.
"""


def invariance(ablation: Ablation) -> Iterator[Section]:
    """The section, where the flow is varied and the evaluation has measured both ends."""
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
        [Text(EXPLANATION), Table(columns, rows, "Nats, over the held-out clips of all seeds; intervals over these")],
    )
