"""Graphs frame by frame are the avatar's parts as a whole, and files of graphs are the graphs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from vast_core.errors import InputError, VastError
from vast_export import formats, parts
from vast_export.commands import export
from vast_export.exporting import Checked, require_passed
from vast_export.graphs import Graph
from vast_export.sounds import check_sound


def eagerly(part):
    """Run a graph's module itself."""

    def run(given):
        with torch.no_grad():
            found = part.graph.module(*(torch.from_numpy(given[name]) for name in part.graph.inputs))
        tensors = [found] if isinstance(found, torch.Tensor) else found
        return {name: tensor.numpy() for name, tensor in zip(part.graph.outputs, tensors, strict=True)}

    return run


def test_features_block_by_block_are_those_of_the_whole_sound(cast, heard):
    part = parts._audio(cast, *heard)
    assert [len(step[1]["rows"][0]) for step in part.steps] == [32, 32, 4, 32], "the last is silence"
    assert part.error(eagerly(part)) < 1e-4


def test_expression_frame_by_frame_is_that_of_the_whole_sound(cast, heard):
    code = torch.randn(1, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        part = parts._decoder(cast, heard[1], code)
    expected = torch.cat([step[1]["expression"] for step in part.steps], 1)
    assert expected.shape == (1, 68, 32)
    assert expected.std() > 0.01
    assert part.error(eagerly(part)) < 1e-4
    part.steps[30][1]["expression"] += 0.01  # what is compared is the expression of every frame
    assert part.error(eagerly(part)) == pytest.approx(0.01, rel=0.01)


def test_the_code_of_a_prompt_is_the_same_when_it_is_filled_up(cast, heard):
    prompt = torch.randn(1, 68, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        part = parts._style(cast, prompt, heard[1])
        assert part.steps[0][0]["expression"].shape == (1, 500, 32)
        assert part.steps[0][1]["code"].std() > 0.01
        assert part.error(eagerly(part)) < 1e-4


@pytest.mark.parametrize(
    "form", ["onnx", pytest.param("torch", marks=pytest.mark.slow), pytest.param("openvino", marks=pytest.mark.slow)]
)
def test_a_file_computes_what_the_graph_does(cast, heard, tmp_path, form):
    if form == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino is not installed")
    with torch.no_grad():
        part = parts._decoder(cast, heard[1], torch.ones(1, 32))
    written = formats.write(part.graph, form, tmp_path)
    assert part.error(written.run) < 1e-4
    assert written.path.parent == tmp_path
    assert written.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def graph_of(function, *inputs):
    module = nn.Module()
    module.forward = function
    named = {f"x{number}": tensor for number, tensor in enumerate(inputs)}
    return Graph(name="odd", component="flow/odd", module=module, inputs=named, outputs=["y"])


def test_what_onnx_lacks_is_computed_otherwise(tmp_path):
    chance = torch.Generator().manual_seed(0)
    wave = torch.randn(3, 400, generator=chance)
    triangle = torch.randn(1, 6, 6, generator=chance).tril() + 6 * torch.eye(6)

    def function(x, a):
        spectrum = torch.fft.rfft(x, n=512)
        solved = torch.linalg.solve_triangular(a.mT, x[:, :6].T[None], upper=True)
        return spectrum.real.square() + spectrum.imag.square() + solved.sum()

    written = formats.write(graph_of(function, wave, triangle), "onnx", tmp_path)
    found = written.run({"x0": wave.numpy(), "x1": triangle.numpy()})["y"]
    np.testing.assert_allclose(found, function(wave, triangle).numpy(), rtol=1e-4, atol=1e-3)


def test_small_numbers_are_not_taken_for_zero(tmp_path):
    silence = torch.zeros(4)
    written = formats.write(graph_of(lambda x: (x + 1e-20) / (x.mean() + 1e-20), silence), "onnx", tmp_path)
    np.testing.assert_allclose(written.run({"x0": silence.numpy()})["y"], np.ones(4), rtol=1e-6)


def test_only_inputs_that_matter_are_kept():
    def function(x, y, z):
        y.square().sum()  # which nothing needs
        return x + z.shape[0]

    assert formats.used(graph_of(function, *(torch.ones(2) for _ in range(3)))) == ["x0"]


def test_what_cannot_be_exported_is_named(tmp_path):
    with pytest.raises(VastError, match=r"flow/odd: cannot be exported: its graph could not be traced \(.*data-dep"):
        formats.write(graph_of(lambda x: x if float(x.sum()) > 1 else -x, torch.ones(2)), "onnx", tmp_path)


def test_what_is_not_the_same_is_an_error():
    good = Checked(name="audio", component="audio/ppg", file="a", bytes=1, error=1e-4)
    require_passed([good])
    for error in (2e-3, float("nan"), float("inf")):
        bad = Checked(name="decoder", component="decoder/hybrid", file="a", bytes=1, error=error)
        with pytest.raises(VastError, match="not the same: decoder/hybrid by"):
            require_passed([good, bad])


def test_a_sentence_is_spoken_to_check_with():
    wave = check_sound(None)
    assert 2 * 16_000 < len(wave) <= 4 * 16_000
    assert 0.01 < wave.std() < 1


def test_an_export_goes_into_no_folder_of_other_files(tmp_path):
    (tmp_path / "audio.onnx").write_text("of an export that was interrupted")
    (tmp_path / "thesis.txt").write_text("mine")
    words = [str(tmp_path / "run"), "--out", str(tmp_path)]
    for more in ([], ["--force"]):
        with pytest.raises(InputError, match=r"not from an export, such as thesis\.txt"):
            CliRunner().invoke(export, [*words, *more], catch_exceptions=False)
    (tmp_path / "thesis.txt").unlink()
    with pytest.raises(InputError, match="there is no such file or folder"):  # the run
        CliRunner().invoke(export, words, obj=SimpleNamespace(registry=None), catch_exceptions=False)
