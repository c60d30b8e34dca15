"""A face of 12 vertices that is only what metrics ask of a face, and what tables of metrics and distortions mean.

A module that asks for ``cell`` and ``measured`` (see ``test_metrics_sanity.py``) declares

* ``TABLE``: a row for each measure, a column for each distortion, separated by bars, in blocks apart by an empty line;
* ``METRICS``: names of this package's metrics, taken with their defaults, or functions that make one;
* ``DISTORTIONS``: by name, what makes the prediction of a clip and of another clip;
* ``clips``, a fixture of module scope: the references.

A cell says ``= 3`` (equal, to a share of 1e-4 or by 1e-6), ``> 3``, ``< -3``, ``2 .. 3`` (between), ``=`` (what the
identical pair has), ``none`` (not computed) or ``.`` (nothing is claimed). The value is the mean over clips, or what a
pooled metric makes of them all; ``size > 3`` speaks of the mean of its sizes, as signs of clips cancel.
"""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import Face, Performance, PooledMetric, Sizes
from vast_core.testing import conformance
from vast_metrics.plugin import vast_components


class SmallFace(Face):
    """Vertices 0-3 lips (0 upper, 1 lower inner lip), 4-7 upper face, 8 and 9 the outer eye corners."""

    def __init__(self, millimetres: float = 10.0) -> None:
        super().__init__()
        self.triangles = np.array([[0, 1, 2]])
        self.lips = np.array([0, 1, 2, 3])
        self.upper_face = np.array([4, 5, 6, 7])
        self.millimetres = millimetres

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def lip_opening(self, vertices):
        opening = (vertices[..., 0, :] - vertices[..., 1, :]).norm(dim=-1)
        return opening / (vertices[..., 8, :] - vertices[..., 9, :]).norm(dim=-1)

    def track(self, frames, fps):
        raise NotImplementedError

    def identity(self, tracks):
        raise NotImplementedError

    def fit(self, tracks, identities):
        raise NotImplementedError

    def encode(self, track, identity):
        raise NotImplementedError

    def decode(self, expression, identity):
        raise NotImplementedError

    def unwrap(self, frames, vertices):
        raise NotImplementedError

    def draw(self, vertices, size, texture=None):
        raise NotImplementedError


@pytest.fixture
def sizes():
    return Sizes(fps=25.0, image=64, audio=8, expression=4, lower_face=2, vertices=12, style=4, context=4)


@pytest.fixture
def face():
    return SmallFace()


@pytest.fixture
def neutral():
    return torch.randn(12, 3, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def speech(neutral):
    """(100, 12, 3): the neutral face with smooth, seeded motion of every vertex."""
    time = torch.arange(100)[:, None, None] / 25.0
    draw = torch.Generator().manual_seed(3)
    speed = 1 + 4 * torch.rand(1, 12, 3, generator=draw)
    phase = 6.28 * torch.rand(1, 12, 3, generator=draw)
    return neutral + 0.3 * torch.sin(6.28 * speed * time + phase)


@pytest.fixture
def performance(face, neutral):
    def make(vertices=None, **rest):
        return Performance(**{"face": face, "fps": 25.0, "neutral": neutral, "vertices": vertices} | rest)

    return make


@pytest.fixture
def rules_that_do_not_apply():
    """Of the conformance kit, to a metric of this package: why not, one by one; none of the others is broken."""

    def reasons(name, config):
        found = []
        for case in conformance(name, {name: [config]}):
            try:
                case.values[0]()
            except pytest.skip.Exception as skipped:
                found.append(skipped.msg)
        return found

    return reasons


# ------------------------------------------------------------------------- tables of metrics and distortions


@attrs.frozen
class Cell:
    """What a table claims of one measure under one distortion."""

    measure: str
    distortion: str
    claim: str

    def __str__(self):
        return f"{self.measure}-{self.distortion}"

    def check(self, measured):
        if self.claim == ".":
            return
        sized = self.claim.startswith("size ")
        value = measured(self.distortion).get(f"|{self.measure}|" if sized else self.measure)
        if value is None or self.claim == "none":
            assert (value is None) == (self.claim == "none"), f"{self}: {value}, and the table says {self.claim!r}"
            return
        sign, _, number = self.claim.removeprefix("size ").partition(" ")
        if sign == "=":
            right = value == pytest.approx(float(number) if number else measured("identical")[self.measure], 1e-4, 1e-6)
        elif sign in (">", "<"):
            right = value > float(number) if sign == ">" else value < float(number)
        else:
            low, high = map(float, self.claim.split(" .. "))
            right = low <= value <= high
        assert right, f"{self}: {value:.6g}, and the table says {self.claim!r}"


def read_table(text):
    """The cells of a table, block by block and row by row."""
    cells = []
    for block in text.strip().split("\n\n"):
        (_, *distortions), *rows = ([entry.strip() for entry in line.split("|")] for line in block.splitlines())
        for measure, *claims in rows:
            assert len(claims) == len(distortions), (
                f"{measure}: {len(claims)} claims for {len(distortions)} distortions"
            )
            cells += [Cell(measure, name, claim) for name, claim in zip(distortions, claims, strict=True)]
    return cells


def pytest_generate_tests(metafunc):
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", read_table(metafunc.module.TABLE), ids=str)


def measure(metric, pairs):
    """Means over pairs, those of sizes between bars, or what a pooled metric makes of all; not computed is left out."""
    try:
        if isinstance(metric, PooledMetric):
            return metric.pool([metric.part(*pair) for pair in pairs])
        rows = [metric(*pair) for pair in pairs]
    except NotComputed:
        return {}
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return means | {f"|{name}|": sum(abs(row[name]) for row in rows) / len(rows) for name in rows[0]}


@pytest.fixture(scope="module")
def metrics(request):
    """The module's metrics, made."""
    declared = {component.name: component for component in vast_components()}
    width = Sizes(fps=25.0)

    def make(name):
        return declared[name].load().from_config(declared[name].config(), width) if isinstance(name, str) else name()

    return [make(name) for name in request.module.METRICS]


@pytest.fixture(scope="module")
def measured(request, metrics, clips):
    """All measures of the module's metrics under a distortion, by its name; each is worked out once."""
    known = {}

    def under(name):
        if name not in known:
            distort = request.module.DISTORTIONS[name]
            pairs = [(distort(clip, clips[place - 1]), clip) for place, clip in enumerate(clips)]
            known[name] = {}
            for metric in metrics:
                known[name] |= measure(metric, pairs)
        return known[name]

    return under


@pytest.fixture
def complete(request, metrics):
    """Whether the module's table has a cell for every measure of its metrics under every distortion, once."""
    measures = [measure.name for metric in metrics for measure in metric.measures]
    wanted = [(name, distortion) for name in measures for distortion in request.module.DISTORTIONS]
    return sorted(wanted) == sorted((cell.measure, cell.distortion) for cell in read_table(request.module.TABLE))
