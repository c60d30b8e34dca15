"""Runs jobs in processes on this machine, one after another or several at a time."""

from __future__ import annotations

import os

import attrs

from .job import Job, Process, Running


@attrs.frozen
class Local:
    """Processes on this machine, each with its share of the cores."""

    jobs: int = 1

    @property
    def threads(self) -> int:
        """Threads of each process."""
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
        return max(1, cores // self.jobs)

    def start(self, job: Job) -> Running:
        """Start a job."""
        return Process(attrs.evolve(job, threads=self.threads))
