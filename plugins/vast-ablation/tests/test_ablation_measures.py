"""What ``evaluation.json`` says, in one form: values read off a file written out by hand."""

from __future__ import annotations

import json

import pytest

from vast_ablation.measures import read_measures
from vast_ablation.results import MeasureKind
from vast_core.errors import InputError

EVALUATION = {
    "measures": {"error": {"better": "lower", "unit": "mm"}, "psnr": {"better": "higher", "unit": "dB"}},
    "held_out": {
        "clips": [
            {"clip": "a", "measures": {"error": 1.0}, "lip_opening_correlation": 0.5, "bound": {"kl_after_flow": 3.0}},
            {"clip": "b", "measures": {"error": 4.0}, "lip_opening_correlation": 0.7, "bound": {"kl_after_flow": 5.0}},
        ]
    },
    "style_retrieval": {"value": 0.25, "low": 0.1, "high": 0.4, "chance": 0.04, "warning": ""},
    "style_transfer": {
        "pairs": [
            {"target": "a", "style": "sad", "ours": 2.0, "zero_code": 9.0, "lips": {"ours": 1.0, "zero_code": 8.0}},
            {"target": "a", "style": "gay", "ours": 4.0, "zero_code": 9.0, "lips": {"ours": 2.0, "zero_code": 8.0}},
        ]
    },
    "renderer": {"clips": [{"clip": "b", "ours": {"psnr": 30.0}, "textured mesh": {"psnr": 20.0}}]},
    "stages": {
        "digits": {
            "bound": 7,
            "flow": "planar",
            "sound": True,
            "measures": {"bound": {"better": "lower", "unit": "nats"}},
            "clips": {"digit 0": {"bound": 6.0, "label": "x"}, "digit 1": {"bound": 8.0}},
        },
        "yardstick": {"clips": ["a", "b"]},
    },
}


def test_every_figure_is_found_with_its_clip_and_direction(tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps(EVALUATION))
    found = read_measures(tmp_path)
    assert found.clips == {
        "a": {"error": 1.0, "lip_opening_correlation": 0.5, "kl_after_flow": 3.0},
        "b": {"error": 4.0, "lip_opening_correlation": 0.7, "kl_after_flow": 5.0, "psnr": 30.0},
        "a in sad": {"face_from_counterfactual": 2.0, "lips_from_counterfactual": 1.0},
        "a in gay": {"face_from_counterfactual": 4.0, "lips_from_counterfactual": 2.0},
        "digit 0": {"digits.bound": 6.0},
        "digit 1": {"digits.bound": 8.0},
    }
    assert found.whole == {"style_retrieval": 0.25, "digits.bound": 7.0}
    assert found.means == pytest.approx(
        {
            "error": 2.5,
            "lip_opening_correlation": 0.6,
            "kl_after_flow": 4.0,
            "psnr": 30.0,
            "face_from_counterfactual": 3.0,
            "lips_from_counterfactual": 1.5,
            "digits.bound": 7.0,
        }
    )
    assert found.measures.keys() == found.means.keys() | {"style_retrieval"}
    assert found.measures["style_retrieval"].better == "higher"
    assert found.measures["error"] == MeasureKind(better="lower", unit="mm")
    assert found.measures["digits.bound"] == MeasureKind(better="lower", unit="nats")
    assert found.measures["kl_after_flow"].better == "neither"


def test_what_is_no_finite_number_is_left_out_and_named(tmp_path):
    path = tmp_path / "evaluation.json"
    stages = {"digits": {"bound": float("nan"), "loss": 2.0, "clips": {"digit 0": {"error": 1.0}, "digit 1": {}}}}
    held_out = {"clips": [{**clip, "measures": {"error": float("inf")}} for clip in EVALUATION["held_out"]["clips"]]}
    path.write_text(json.dumps({"held_out": held_out, "stages": stages}))
    found = read_measures(tmp_path)
    assert found.left_out == ("error", "digits.bound")
    assert found.means.keys() == {"lip_opening_correlation", "kl_after_flow", "digits.error"}
    assert found.whole == {"digits.loss": 2.0}
    path.write_text(json.dumps({"stages": {"digits": {"bound": float("nan")}}}))
    with pytest.raises(InputError, match=r"no measure is finite \(digits\.bound\)"):
        read_measures(tmp_path)


@pytest.mark.parametrize("measures", [{"bound": {"better": "bigger"}}, {"bound": {}}, {"bound": 1}, 3, ["bound"]])
def test_a_plugin_that_tells_no_direction_is_told_how(tmp_path, measures):
    (tmp_path / "evaluation.json").write_text(json.dumps({"stages": {"digits": {"bound": 7, "measures": measures}}}))
    with pytest.raises(InputError, match=r"stage digits: `measures` must be .* higher, lower, closer to 0, neither"):
        read_measures(tmp_path)


def test_a_run_that_measured_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_measures(tmp_path)
    (tmp_path / "evaluation.json").write_text(json.dumps({"held_out": {"clips": []}}))
    with pytest.raises(InputError, match="nothing was measured; check that clips are held out"):
        read_measures(tmp_path)
