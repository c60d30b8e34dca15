"""Networks that judge pictures: where the weights that others release are found, and how they become safetensors."""

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
    """Weights that are published as a pickle, which this project never reads: whoever trusts it converts it once."""

    what: str
    """In words, with licence and size."""
    file: str
    """Name of the safetensors file."""
    weights: str
    """Python that binds ``weights`` to the published tensors, its digest checked."""
    unwanted: tuple[str, ...] = ()
    """Beginnings of the names of tensors that are not needed."""

    def command(self, folder: Path) -> str:
        """A shell's line that makes the safetensors file in ``folder``."""
        where = folder.as_posix()
        save = f"save_file({{n: t.contiguous() for n, t in weights.items()}}, '{where}/{self.file}')"
        steps = ["import os", "from safetensors.torch import save_file", self.weights]
        return f'python -c "{"; ".join([*steps, f"os.makedirs({where!r}, exist_ok=True)", save])}"'

    def files(self, path: Path | None) -> list[Path]:
        """The file that :meth:`load_into` reads; none where it would find none."""
        try:
            return [find_file((self.file,), path, self.what, "")]
        except WeightsError:
            return []

    def load_into(self, network: nn.Module, path: Path | None) -> None:
        """Fill a network, even on the meta device, from ``path`` (a file or folder), ``VAST_WEIGHTS`` or the cache.

        Raises :class:`vast_core.errors.NotComputed` where no path is given and there is no file, saying how to get it,
        and :class:`vast_core.errors.WeightsError` where the path has none, or a file is damaged or of another network.
        """
        how = f"Make it, once, from the published file by\n  {self.command(suggested_folder())}\n"
        try:
            file = find_file((self.file,), path, self.what, how)
        except WeightsError as error:
            if path is None:
                short = f"it lacks {self.file}: the README of vast-metrics says how to get it"
                raise NotComputed(f"{short}\n{error}") from error
            raise
        # counters of training steps, which nothing reads: some files leave them out
        names = [name for name in network.state_dict() if name.endswith(".num_batches_tracked")]
        tensors = {name: torch.zeros(()) for name in names} | read_tensors(file, self.unwanted)[0]
        self._check(network, tensors, file)
        network.load_state_dict(tensors, assign=True)
        network.eval().requires_grad_(False)

    def _check(self, network: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
        """Raises :class:`vast_core.errors.WeightsError` where names or shapes are others than the network's."""
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
