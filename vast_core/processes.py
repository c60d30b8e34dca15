"""Several processes that train together, started by ``torchrun``; without it there is one, and all this does nothing.

Every process has the whole model and computes the gradient of its share of each batch; the gradients are averaged
before each step of an optimiser. ``torch.nn.parallel.DistributedDataParallel`` is not used: it wraps one ``forward``
followed by one ``backward``, but a step here yields several objectives, each over its own parameters, from one forward
pass. The leading process alone reads the corpus, writes and prints. Imports torch only if there are several processes.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from .errors import InputError, VastError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["count", "everywhere", "leads"]

POLL_SECONDS = 0.2
"""Time between two looks at whether the leading process has done what the others wait for."""

Result = TypeVar("Result")


class Lost(VastError):
    """Another process of the job has ended."""


@attrs.define(eq=False)
class _Job:
    """The processes as one of them sees them."""

    store: Any
    """What torchrun keeps for all: texts by name."""
    rank: int
    count: int
    turns: int = 0
    """How often they have waited for the leading process."""


_job: _Job | None = None


def several() -> bool:
    """Whether this program was started as one of several processes, by ``torchrun`` or in its way."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1


@contextmanager
def joined() -> Iterator[None]:
    """Join the other processes of ``torchrun`` until the end of the block.

    Raises :class:`InputError` if the processes cannot find each other, or a machine has fewer GPUs than processes.
    """
    global _job
    if not several():
        yield
        return
    import torch
    from torch import distributed

    local, cuda = int(os.environ.get("LOCAL_RANK") or 0), torch.cuda.is_available()
    if cuda:
        if local >= torch.cuda.device_count():
            raise InputError(
                f"process {local + 1} of this machine has no GPU of its own; start at most "
                f"{torch.cuda.device_count()} processes (torchrun --nproc-per-node)"
            )
        torch.cuda.set_device(local)
    try:
        store, rank, number = next(distributed.rendezvous("env://"))  # type: ignore[attr-defined]
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        own = distributed.PrefixStore("group", store)  # type: ignore[attr-defined]
        distributed.init_process_group(backend, store=own, rank=rank, world_size=number)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"the processes of this job cannot find each other ({error}); start them with torchrun, or unset WORLD_SIZE"
        ) from error
    _job = _Job(store=store, rank=rank, count=number)
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end of the process
        warnings.simplefilter("ignore")
    yield
    distributed.destroy_process_group()
    _job = None


def count() -> int:
    """Number of processes that train together."""
    return 1 if _job is None else _job.count


def rank() -> int:
    """Number of this process, from 0."""
    return 0 if _job is None else _job.rank


def leads() -> bool:
    """Whether this is the leading process, the only one that writes."""
    return rank() == 0


def speaks() -> bool:
    """Whether this process may print the message with which the job ends: the first that asks."""
    if _job is None:
        return True
    try:
        return bool(_job.store.add("message", 1) == 1)
    except RuntimeError:  # torchrun, which has the store, has ended
        return leads()


def once(work: Callable[[], Result]) -> Result:
    """Let the leading process alone do ``work``, for any time; returns its result, plain data, in every process.

    Raises :class:`Lost` if the others have ended.
    """
    if _job is None:
        return work()
    _job.turns += 1
    key = f"once {_job.turns}"
    if leads():
        result = work()
        with _others():
            _job.store.set(key, json.dumps(result))
        return result
    with _others():
        while not _job.store.check([key]):
            time.sleep(POLL_SECONDS)
        found: Result = json.loads(_job.store.get(key))
    return found


def everywhere(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes, in float32, with this process' share of its gradient.

    Since gradients are averaged, f(everywhere(x)) is trained as f of the mean over the whole batch, for any f. A loss
    that is no mean over rows needs this to be the same in several processes, such as a mean over the frames of a mask:
    ``everywhere(sum) / everywhere(number)``.
    """
    if _job is None:
        return value
    own = value.float()
    mean = own.detach().clone()
    _average(mean)
    return own + (mean - own).detach()


def average_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes; one that no process has stays None."""
    if _job is None or not parameters:
        return
    import torch

    gradients = [torch.zeros_like(own) if own.grad is None else own.grad for own in parameters]
    known = torch.tensor([own.grad is not None for own in parameters], device=parameters[0].device)
    flat = torch.cat([*(gradient.float().flatten() for gradient in gradients), known.float()])
    _average(flat)
    *means, known = torch.split(flat, [*(own.numel() for own in parameters), len(parameters)])
    for own, mean, any_known in zip(parameters, means, known.tolist(), strict=True):
        own.grad = mean.view_as(own).to(own.dtype) if any_known else None


def average(values: Sequence[float]) -> list[float]:
    """Means over the processes of numbers that each has."""
    if _job is None:
        return list(values)
    import torch

    means = torch.tensor(values, dtype=torch.float64)
    _average(means)
    return [float(mean) for mean in means]


def largest(number: int) -> int:
    """The largest of a number over the processes."""
    if _job is None:
        return number
    import torch
    from torch import distributed

    found = torch.tensor(number)
    with _others():
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


def made_equal(model: torch.nn.Module) -> None:
    """Give the model of every process the state of the leading one's."""
    if _job is None:
        return
    from torch import distributed

    with _others():
        for tensor in model.state_dict().values():
            distributed.broadcast(tensor, 0)


def _average(tensor: Tensor) -> None:
    from torch import distributed

    with _others():
        distributed.all_reduce(tensor)
    tensor /= count()


@contextmanager
def _others() -> Iterator[None]:
    """Turn the failure of communication into :class:`Lost`."""
    try:
        yield
    except RuntimeError as error:
        raise Lost(
            f"process {rank()} has lost another process of this job, whose end is reported above or below; start the "
            "same command with --resume to go on from the last checkpoint, with any number of processes"
        ) from error
