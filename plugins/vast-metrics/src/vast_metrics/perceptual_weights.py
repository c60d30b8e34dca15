"""Pretrained networks for metrics: search for their weights, and conversion to safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import torch
from torch import Tensor, nn

from vast_core.errors import NotComputed, WeightsError
from vast_core.runs import find_file, read_tensors, suggested_folder


@attrs.frozen(kw_only=True)
class Released:
    """Weights published as a pickle, which this project never reads: users who trust it convert it once."""

    what: str
    """Description with licence and size."""
    file: str
    """Name of the safetensors file."""
    weights: str
    """Python code that assigns the published tensors, with a verified digest, to ``weights``."""
    unwanted: tuple[str, ...] = ()
    """Name prefixes of tensors that are not needed."""

    def command(self, folder: Path) -> str:
        """A shell command that makes the safetensors file in ``folder``."""
        where = folder.as_posix()
        save = f"save_file({{n: t.contiguous() for n, t in weights.items()}}, '{where}/{self.file}')"
        steps = ["import os", "from safetensors.torch import save_file", self.weights]
        return f'python -c "{"; ".join([*steps, f"os.makedirs({where!r}, exist_ok=True)", save])}"'

    def files(self, path: Path | None) -> list[Path]:
        """The file that :meth:`load_into` reads; empty if it would find none."""
        try:
            return [find_file((self.file,), path, self.what, "")]
        except WeightsError:
            return []

    def load_into(self, network: nn.Module, path: Path | None) -> None:
        """Load a network, even on the meta device, from ``path`` (a file or folder), ``VAST_WEIGHTS`` or the cache.

        Raises :class:`vast_core.errors.NotComputed`, with instructions, if no path is given and there is no file, and
        :class:`vast_core.errors.WeightsError` if the path has none, or a file is damaged or belongs to another network.
        """
        how = f"Make it once from the published file with\n  {self.command(suggested_folder())}\n"
        try:
            file = find_file((self.file,), path, self.what, how)
        except WeightsError as error:
            if path is None:
                short = f"{self.file} is missing: the README of vast-metrics says how to get it"
                raise NotComputed(f"{short}\n{error}") from error
            raise
        # counters of training steps, which are never used: some files omit them
        names = [name for name in network.state_dict() if name.endswith(".num_batches_tracked")]
        tensors = {name: torch.zeros(()) for name in names} | read_tensors(file, self.unwanted)[0]
        self._check(network, tensors, file)
        network.load_state_dict(tensors, assign=True)
        network.eval().requires_grad_(False)

    def _check(self, network: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
        """Raise :class:`vast_core.errors.WeightsError` if names or shapes differ from the network's."""
        own = network.state_dict()
        wrong = [f"{name} is missing" for name in own if name not in tensors]
        wrong += [f"{name} is unknown" for name in tensors if name not in own]
        wrong += [
            f"{name} is {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
            for name, tensor in own.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ]
        wrong += [f"{name} is not finite" for name, tensor in tensors.items() if not tensor.isfinite().all()]
        if wrong:
            raise WeightsError(
                f"{file}: not {self.what}: {wrong[0]}" + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")
            )
