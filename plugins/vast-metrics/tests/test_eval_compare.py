"""Comparisons: a planted difference is found, chance is not, and what cannot be compared is refused."""

import csv
import json

import attrs
import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from vast_core.cli import cli
from vast_core.errors import InputError
from vast_core.report import holm
from vast_metrics.evaluation.bootstrap import units
from vast_metrics.evaluation.compare import compare, sign_flip_p
from vast_metrics.evaluation.results import ClipResult, Evaluation, MeasureOf, Overall

MEASURES = {
    "error": MeasureOf(metric="error", provider="vast-metrics 1", better="lower", unit="mm"),
    "skew": MeasureOf(metric="skew", provider="vast-metrics 1", better="closer to 0"),
    "rate": MeasureOf(metric="rate", provider="vast-metrics 1", better="neither"),
    "fid": MeasureOf(metric="fid", provider="vast-metrics 1", better="lower"),
}


def evaluation(values, generated="ours", **changes):
    """Of clips by name, each with its values; every clip of one speaker."""
    clips = tuple(ClipResult(name=name, speaker="ada", frames=50, values=own) for name, own in values.items())
    plain = Evaluation(
        vast="0",
        protocol="v1",
        digest="a" * 64,
        generated=generated,
        reference="real",
        geometry="tracked",
        fps=25.0,
        measures=MEASURES,
        overall={"fid": Overall(value=3.0, low=None, high=None, clips=len(clips))},
        not_computed={},
        clips=clips,
    )
    return attrs.evolve(plain, **changes)


def clips(count, seed, **shifts):
    """As many clips, the same difficulty in each system, with noise of its own and ``shifts`` on top."""
    hard, chance = np.random.default_rng(0).normal(10, 3, count), np.random.default_rng(seed)
    return {
        f"clip {number}": {
            name: float(hard[number] + chance.normal(0, 0.3) + shifts.get(name, 0))
            for name in ("error", "skew", "rate")
        }
        for number in range(count)
    }


def compared(folder, **systems):
    """Evaluations, written and held against the first one."""
    for name, own in systems.items():
        (folder / name).mkdir()
        attrs.evolve(own, generated=name).write(folder / name)
    return compare([folder / name for name in systems])


def difference(comparison, measure, system="ours"):
    known = next(found for found in comparison.measures if found.name == measure)
    return next(own for own in known.differences if own.system == system)


def verdicts(comparison):
    return {found.name: own.verdict for found in comparison.measures for own in found.differences}


def flipped(values, speakers):
    """p of the values of clips by these speakers."""
    return sign_flip_p([np.asarray(values)[places].sum() for places in units(speakers)])


@pytest.mark.parametrize("count", [6, 9, 30])
def test_scipy_finds_the_same_p(count):
    values = np.random.default_rng(count).normal(0.4, 1, count)
    many = count > 14
    oracle = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20_000 if many else np.inf, rng=1
    )
    assert sign_flip_p(values) == pytest.approx(oracle.pvalue, abs=0.01 if many else 1e-12)


def test_equal_values_are_no_evidence():
    assert sign_flip_p([0.0] * 20) == 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: (rng.normal(size=10), ["ada"] * 10),
        lambda rng: (rng.laplace(size=10), ["ada"] * 10),
        lambda rng: (rng.normal(size=8).repeat(3) + rng.normal(size=24), [str(n // 3) for n in range(24)]),
    ],
    ids=["normal", "heavy tails", "clips alike within a speaker"],
)
def test_equal_systems_differ_by_chance_in_one_of_twenty(draw):
    rng = np.random.default_rng(3)
    assert 0.03 < np.mean([flipped(*draw(rng)) <= 0.05 for _ in range(1000)]) < 0.07


def test_of_several_equal_systems_one_wins_in_one_of_twenty(tmp_path):
    """Each measure is a simulation of its own: four systems that differ by nothing but chance."""
    rng = np.random.default_rng(4)
    names = [f"measure {number}" for number in range(120)]
    measures = dict.fromkeys(names, MEASURES["error"])
    found = compared(
        tmp_path,
        **{
            system: evaluation(
                {f"clip {n}": dict(zip(names, rng.normal(size=120), strict=True)) for n in range(8)}, measures=measures
            )
            for system in ("base", "first", "second", "third", "fourth")
        },
    )
    for own in found.measures:
        assert [each.adjusted for each in own.differences] == holm([each.p for each in own.differences])
    won = [any(each.verdict != "no evidence" for each in own.differences) for own in found.measures]
    assert np.mean(won) < 0.1


def test_a_planted_difference_is_found_and_named(tmp_path):
    planted = {"error": -1.0, "skew": 1.0, "rate": 1.0}
    found = compared(tmp_path, base=evaluation(clips(12, 1)), ours=evaluation(clips(12, 2, **planted)))
    assert verdicts(found) == {"error": "better", "skew": "worse", "rate": "different"}
    apart = difference(found, "error")
    assert apart.low < -1.0 < apart.high < 0
    assert "all clips together" in found.not_compared["fid"]


def test_closer_to_zero_is_judged_by_size_and_not_by_sign(tmp_path):
    near = {clip: {"skew": -value["skew"] / 10} for clip, value in clips(12, 1).items()}
    found = compared(tmp_path, base=evaluation(clips(12, 1)), ours=evaluation(near))
    assert verdicts(found) == {"skew": "better"}
    assert difference(found, "skew").mean > 0


def test_five_clips_are_too_few_for_a_verdict(tmp_path):
    found = compared(tmp_path, base=evaluation(clips(5, 1)), ours=evaluation(clips(5, 2, error=-9.0)))
    assert difference(found, "error").verdict == "not tested"
    assert difference(found, "error").p is None


def test_only_common_clips_are_compared(tmp_path):
    ours = clips(12, 2)
    ours["another"] = ours.pop("clip 3")
    del ours["clip 5"]["rate"]
    found = compared(tmp_path, base=evaluation(clips(12, 1)), ours=evaluation(ours))
    assert any("11 clips in common" in note for note in found.notes)
    assert {name: len(difference(found, name).by_clip) for name in ("error", "rate")} == {"error": 11, "rate": 10}
    mean = np.mean([own["error"] for clip, own in clips(12, 1).items() if clip != "clip 3"])
    assert difference(found, "error").first_mean == pytest.approx(mean)


@pytest.mark.parametrize(
    ("change", "words"), [({"digest": "b" * 64}, "v1 b{12}"), ({"geometry": "model"}, "--tracked")]
)
def test_what_was_not_measured_alike_is_refused(tmp_path, change, words):
    with pytest.raises(InputError, match=rf"(?s)not measured in the same way.*a{{12}}.*{words}"):
        compared(tmp_path, base=evaluation(clips(8, 1)), ours=evaluation(clips(8, 2), **change))


def test_clips_of_one_name_and_other_references_are_not_paired(tmp_path):
    def with_curves(seed):
        own = evaluation(clips(8, seed))
        rng = np.random.default_rng(1)
        lips = [rng.normal(size=50) for _ in own.clips]
        lips[2] = lips[2] + seed
        curves = [{"reference": tuple(curve.tolist())} for curve in lips]
        return attrs.evolve(
            own, clips=tuple(attrs.evolve(clip, curves=each) for clip, each in zip(own.clips, curves, strict=True))
        )

    found = compared(tmp_path, base=with_curves(1), ours=with_curves(2))
    assert len(difference(found, "error").by_clip) == 7
    assert any("references differ: clip 2" in note for note in found.notes)


def test_systems_without_a_common_clip_are_refused(tmp_path):
    with pytest.raises(InputError, match="no common clips"):
        compared(tmp_path, base=evaluation(clips(3, 1)), ours=evaluation({"other": {"error": 1.0}}))


def test_runs_stand_for_their_evaluation(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name / "eval").mkdir(parents=True)
        evaluation(clips(8, 1), generated=name).write(tmp_path / name / "eval")
    found = compare([tmp_path / "first", tmp_path / "second"])
    assert [system.name for system in found.systems] == ["first", "second"]
    assert {own.difference for measure in found.measures for own in measure.differences} == {0.0}
    with pytest.raises(InputError, match="at least two different folders"):
        compare([tmp_path / "first", tmp_path / "first"])


def test_the_command_writes_what_it_prints(tmp_path):
    places = [tmp_path / name for name in ("base", "ours")]
    for place in places:
        place.mkdir()
        evaluation(clips(8, len(place.name)), generated=f"<b>{place.name}").write(place)
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["compare", *map(str, places), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "vast ablate" in done.output
    rows = list(csv.DictReader((out / "compare.csv").open(encoding="utf-8")))
    plain = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert [row["measure"] for row in rows] == ["error", "skew", "rate"]
    assert float(rows[0]["difference"]) == plain["measures"][0]["differences"][0]["difference"]
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert "a" * 64 in page
    assert "vast ablate" in page
    assert "<b>ours" not in page
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    again = CliRunner().invoke(cli, ["compare", *map(str, places), "--out", str(tmp_path / "other")])
    assert again.exit_code != 0
    assert "contains files" in again.output + str(again.exception)
