"""Runs jobs as tasks of an existing Ray cluster.

The folder of the ablation, the working directory, the cache (``VAST_CACHE``) and the data must have the same paths on
every node, on a shared file system with ``flock``, and the same vast must be installed there.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any, Self

import attrs

from vast_core.errors import InputError

from .job import Job, JobOutcome, Process, Running

CARRIED = ("VAST_CACHE", "VAST_WEIGHTS", "VAST_PLUGINS", "VAST_STRICT_PLUGINS")
"""Environment variables passed to a job."""


@attrs.frozen
class OnRay:
    """A cluster that this process has joined as a driver."""

    jobs: int
    cpus: int
    """CPUs requested by each task."""
    gpus: float
    """GPUs requested by each task; with more tasks than GPUs, several tasks share one."""

    @classmethod
    def join(cls, jobs: int | None) -> Self:
        """Join the cluster at ``RAY_ADDRESS``, or the one of this machine.

        Without ``jobs``, as many parallel tasks as the cluster has GPUs, or else nodes. Raises :class:`InputError` if
        Ray is not installed, or there is no cluster.
        """
        try:
            import ray
        except ImportError as error:
            raise InputError("--engine ray needs Ray: pip install 'vast-avatar[ray]'") from error
        address = os.environ.get("RAY_ADDRESS", "auto")
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"no Ray cluster at {address!r}: {error}; start one (`ray start --head`) or set RAY_ADDRESS"
            ) from error
        nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        gpus, cpus = (int(sum(node["Resources"].get(what, 0) for node in nodes)) for what in ("GPU", "CPU"))
        jobs = jobs or max(gpus, len(nodes))
        return cls(jobs=jobs, cpus=max(1, cpus // jobs), gpus=min(1.0, gpus / jobs))

    def start(self, job: Job) -> Running:
        """Start a job as a task."""
        import ray

        carried = {name: os.environ[name] for name in CARRIED if name in os.environ}
        job = attrs.evolve(job, threads=self.cpus, carried=carried)
        task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0)(execute)
        return _Task(task.remote(job))


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at ``host:port``; Ray itself would retry for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "://" not in address and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


class _Task:
    """A job submitted to Ray."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def outcome(self) -> JobOutcome | None:
        """How it ended; None while it is running."""
        import ray

        ready, _ = ray.wait([self._reference], timeout=0)
        if not ready:
            return None
        try:
            found: JobOutcome = ray.get(self._reference)
        except ray.exceptions.RayError as error:
            return JobOutcome(error=f"Ray: {' '.join(str(error).split())}")
        return found

    def stop(self) -> None:
        """Tell it to save its state and end."""
        import ray

        ray.cancel(self._reference)

    def wait(self) -> None:
        """Return once it has ended."""
        import ray

        ray.wait([self._reference])


def execute(job: Job) -> JobOutcome:
    """Run a job in this worker; Ray interrupts it if the task is cancelled."""
    process = Process(job)
    try:
        while (outcome := process.outcome()) is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        process.stop()
        process.wait()
        raise
    return outcome
