"""Comparisons: a planted difference is found, chance is not, and what cannot be compared is refused."""

import csv
import json

import attrs
import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from vast_core.errors import InputError
from vast_core.statistics import holm
from vast_metrics.evaluation.compare import compare, read_all
from vast_metrics.evaluation.compare_commands import compare_evaluations
from vast_metrics.evaluation.paired import differences, flipped_signs
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


def table(comparison, name):
    return next(found for found in comparison.measures if found.name == name)


def verdicts(comparison, system):
    return {
        found.name: row.difference.verdict
        for found in comparison.measures
        for row in found.rows
        if row.system == system
    }


@pytest.mark.parametrize("count", [6, 9, 30])
def test_scipy_finds_the_same_p(count):
    values = np.random.default_rng(count).normal(0.4, 1, count)
    oracle = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=20_000 if count > 13 else np.inf, rng=1
    )
    assert flipped_signs(values, ["ada"] * count) == pytest.approx(oracle.pvalue, abs=0.01 if count > 13 else 1e-12)


def test_speakers_flip_as_a_whole():
    values = np.random.default_rng(5).normal(0.3, 1, 24)
    speakers = [f"speaker {number % 8}" for number in range(24)]
    sums = [sum(values[number::8]) for number in range(8)]
    oracle = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert flipped_signs(values, speakers) == pytest.approx(oracle.pvalue)


def test_equal_values_are_no_evidence():
    assert flipped_signs([0.0] * 20, ["ada"] * 20) == 1


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
    false = np.mean([flipped_signs(*draw(rng)) <= 0.05 for _ in range(1000)])
    assert 0.03 < false < 0.07


def test_of_several_equal_systems_one_wins_in_one_of_twenty():
    rng, names = np.random.default_rng(4), [f"clip {number}" for number in range(10)]
    won = 0
    for _ in range(150):
        base, *others = (dict(zip(names, rng.normal(size=10), strict=True)) for _ in range(5))
        found = differences(base, dict(zip("abcd", others, strict=True)), dict.fromkeys(names, "ada"), "lower")
        assert [own.adjusted for own in found.values()] == holm([own.p for own in found.values()])
        won += any(own.verdict != "no evidence" for own in found.values())
    assert won / 150 < 0.1


def test_a_planted_difference_is_found_and_named():
    planted = {"error": -1.0, "skew": 1.0, "rate": 1.0}
    found = compare({"base": evaluation(clips(12, 1)), "ours": evaluation(clips(12, 2, **planted))})
    assert verdicts(found, "ours") == {"error": "better", "skew": "worse", "rate": "different"}
    apart = table(found, "error").rows[1].difference
    assert apart.low < -1.0 < apart.high < 0
    assert "all clips together" in found.not_compared["fid"]


def test_closer_to_zero_is_judged_by_size_and_not_by_sign():
    near = {clip: {"skew": -value["skew"] / 10} for clip, value in clips(12, 1).items()}
    found = compare({"base": evaluation(clips(12, 1)), "ours": evaluation(near)})
    assert verdicts(found, "ours") == {"skew": "better"}
    assert table(found, "skew").rows[1].mean > 0


def test_five_clips_are_too_few_for_a_verdict():
    found = compare({"base": evaluation(clips(5, 1)), "ours": evaluation(clips(5, 2, error=-9.0))})
    assert verdicts(found, "ours")["error"] == "too few"
    assert table(found, "error").rows[1].difference.p is None


def test_only_common_clips_are_compared():
    ours = clips(12, 2)
    ours["another"] = ours.pop("clip 3")
    del ours["clip 5"]["rate"]
    found = compare({"base": evaluation(clips(12, 1)), "ours": evaluation(ours)})
    assert len(found.clips) == 11
    assert found.only_some == {"base": ("clip 3",), "ours": ("another",)}
    assert (table(found, "error").clips, table(found, "rate").clips) == (11, 10)
    mean = np.mean([own["error"] for clip, own in clips(12, 1).items() if clip != "clip 3"])
    assert table(found, "error").rows[0].mean == pytest.approx(mean)


def written(folder, name, **changes):
    place = folder / name
    place.mkdir(parents=True)
    evaluation(clips(8, len(name)), generated=name, **changes).write(place)
    return place


def test_other_protocols_and_geometries_are_refused(tmp_path):
    places = [written(tmp_path, "base"), written(tmp_path, "ours", digest="b" * 64)]
    with pytest.raises(InputError, match=r"ours was measured by protocol v1 b{12}, base by v1 a{12}"):
        read_all(places)
    with pytest.raises(InputError, match="other has geometry 'model', base 'tracked'"):
        read_all([places[0], written(tmp_path, "other", geometry="model")])
    with pytest.raises(InputError, match="named twice"):
        read_all([places[0], places[0]])


def test_a_measure_of_another_version_is_not_compared():
    newer = {**MEASURES, "error": attrs.evolve(MEASURES["error"], provider="vast-metrics 2")}
    found = compare({"base": evaluation(clips(8, 1)), "ours": evaluation(clips(8, 2), measures=newer)})
    assert "vast-metrics 2" in found.not_compared["error"]


def test_systems_without_a_common_clip_are_refused():
    with pytest.raises(InputError, match="no clip is in all"):
        compare({"base": evaluation(clips(3, 1)), "ours": evaluation({"other": {"error": 1.0}})})


def test_runs_stand_for_their_evaluation(tmp_path):
    runs = [written(tmp_path, f"{name}/eval").parent for name in ("first", "second")]
    assert list(read_all(runs)) == ["first", "second"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="run `vast eval"):
        read_all([runs[0], tmp_path / "empty"])


def test_the_command_writes_what_it_prints(tmp_path):
    places = [str(written(tmp_path, name)) for name in ("base", "<b>ours<b>")]
    out = tmp_path / "out"
    done = CliRunner().invoke(compare_evaluations, [*places, "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "The unit is the clip" in done.output
    assert "vast ablate" in done.output
    rows = list(csv.DictReader((out / "compare.csv").open(encoding="utf-8")))
    plain = json.loads((out / "compare.json").read_text(encoding="utf-8"))
    assert len(rows) == sum(len(found["rows"]) for found in plain["measures"]) == 6
    assert float(rows[1]["difference"]) == plain["measures"][0]["rows"][1]["difference"]["mean"]
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert "vast ablate" in page
    assert "a" * 64 in page
    assert "<b>ours" not in page
    assert CliRunner().invoke(compare_evaluations, places[:1]).exit_code == 2
