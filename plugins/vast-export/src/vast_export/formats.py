"""Graphs into files that other programs run, and running these files."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

from vast_core.errors import InputError, VastError

from .graphs import GRAPHS, Graph

Format = Literal["onnx", "openvino", "torch"]
FORMATS: tuple[Format, ...] = get_args(Format)

ENDINGS: dict[Format, tuple[str, ...]] = {
    "onnx": (".onnx", ".onnx.data"),
    "openvino": (".onnx", ".onnx.data", ".xml", ".bin"),
    "torch": (".pt2",),
}
"""Of the files that are written for a graph; openvino reads the first two, and they are removed."""

Arrays = Mapping[str, NDArray[Any]]


@attrs.frozen(eq=False)
class Written:
    """A graph in a file, and how to run it."""

    graph: Graph
    path: Path
    run: Callable[[Arrays], dict[str, NDArray[Any]]]
    """Outputs by name for the inputs by name."""

    @property
    def bytes(self) -> int:
        """Size of the file, and of that with its weights, if these are apart."""
        return sum(path.stat().st_size for path in self.path.parent.glob(f"{self.path.stem}.*"))


def files_of(form: Format) -> set[str]:
    """Names of the files that an export may have left that did not come to its end."""
    return {name + ending for name in GRAPHS for ending in ENDINGS[form]}


def traced(graph: Graph) -> ExportedProgram:
    """The graph as a program of torch's operators. Raises :class:`VastError` that names the component if it fails."""
    with _failing(graph, "traced"), torch.no_grad():
        program = torch.export.export(graph.module.eval(), tuple(graph.inputs.values()), strict=False)
        table = torch.export.default_decompositions()
        table[torch.ops.aten._fft_r2c.default] = _transform
        table[torch.ops.aten.linalg_solve_triangular.default] = _solved
        decomposed: ExportedProgram = program.run_decompositions(table)
        return decomposed


def used(graph: Graph) -> list[str]:
    """The inputs that change an output, in order."""
    with _failing(graph, "traced"), torch.no_grad():
        program = torch.export.export(graph.module.eval(), tuple(graph.inputs.values()), strict=False)
    for node in program.graph.nodes:
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    taken = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    names = zip(graph.inputs, program.graph_signature.user_inputs, strict=True)
    return [name for name, given in names if given in taken]


def write(graph: Graph, form: Format, folder: Path) -> Written:
    """Write a graph to ``folder``, in a file named after it.

    Raises :class:`VastError` that names the component if it cannot be exported, and :class:`InputError` if a package is
    missing.
    """
    program = traced(graph)
    with _failing(graph, f"written as {form}"):
        if form == "torch":
            return _as_torch(graph, program, folder)
        path = folder / f"{graph.name}.onnx"
        inputs, outputs = list(graph.inputs), list(graph.outputs)
        # not optimised, because that takes a small number that is added, as a floor of energies is, for zero
        made = torch.onnx.export(
            program, (), dynamo=True, verbose=False, optimize=False, input_names=inputs, output_names=outputs
        )
        if made is None:
            raise VastError("torch.onnx gave no graph")
        made.save(path)
        return _as_onnx(graph, path) if form == "onnx" else _as_openvino(graph, path)


def _as_torch(graph: Graph, program: ExportedProgram, folder: Path) -> Written:
    path = folder / f"{graph.name}.pt2"
    torch.export.save(program, path)
    module = torch.export.load(path).module()

    def run(given: Arrays) -> dict[str, NDArray[Any]]:
        with torch.no_grad():
            found = module(*(torch.from_numpy(given[name]) for name in graph.inputs))
        tensors = [found] if isinstance(found, Tensor) else found
        return {name: tensor.numpy() for name, tensor in zip(graph.outputs, tensors, strict=True)}

    return Written(graph, path, run)


def _as_onnx(graph: Graph, path: Path) -> Written:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    outputs = list(graph.outputs)

    def run(given: Arrays) -> dict[str, NDArray[Any]]:
        return dict(zip(outputs, session.run(outputs, dict(given)), strict=True))

    return Written(graph, path, run)


def _as_openvino(graph: Graph, onnx: Path) -> Written:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise InputError('this needs openvino, which is not installed: pip install "vast-avatar[openvino]"') from error
    core = openvino.Core()
    model = core.read_model(onnx)  # not openvino.convert_model, which reports its use
    path = onnx.with_suffix(".xml")
    openvino.save_model(model, path, compress_to_fp16=False)
    onnx.unlink()
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})

    def run(given: Arrays) -> dict[str, NDArray[Any]]:
        found = compiled(dict(given))
        return {name: np.array(found[name]) for name in graph.outputs}

    return Written(graph, path, run)


@contextlib.contextmanager
def _failing(graph: Graph, what: str) -> Iterator[None]:
    """Name the component if torch cannot export it, and keep back what torch says for its own developers."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except VastError:
        raise
    except Exception as error:  # torch raises whatever its own code or a component's raises
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        why = str(first).strip().partition("\n")[0]
        raise VastError(
            f"{graph.component}: cannot be exported: its graph could not be {what} ({type(first).__name__}: {why}). "
            "Its code must not depend on the values of tensors; torch.compiler.is_exporting() tells it when to leave "
            "out checks"
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _transform(x: Tensor, dim: Sequence[int], normalization: int, onesided: bool) -> Any:
    """The Fourier transform of real numbers as a product of matrices, which runs far faster than ONNX's DFT."""
    length = x.shape[-1]
    if list(dim) not in ([-1], [x.ndim - 1]) or normalization or not onesided:
        return NotImplemented
    turns = np.outer(np.arange(length), np.arange(length // 2 + 1)) % length / length
    real, imaginary = (torch.from_numpy(wave(2 * math.pi * turns).astype(np.float32)) for wave in (np.cos, np.sin))
    return torch.complex(x @ real, -(x @ imaginary))


def _solved(a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """The solution x of a x = b with a triangular a (..., N, N), row by row: ONNX has no operator for it."""
    if not left:
        return NotImplemented
    size = a.shape[-1]
    rows: dict[int, Tensor] = {}
    for row in range(size - 1, -1, -1) if upper else range(size):
        rest = b[..., row, :]
        for other, found in rows.items():
            rest = rest - a[..., row, other, None] * found
        rows[row] = rest if unitriangular else rest / a[..., row, row, None]
    return torch.stack([rows[row] for row in range(size)], -2)
