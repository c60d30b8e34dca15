"""An ablation on a real Ray cluster of two nodes on this machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vast_ablation.results import Ablation

pytestmark = pytest.mark.slow
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed; pip install 'vast-avatar[ray]'")


@pytest.fixture
def cluster(lab, monkeypatch):
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)  # the nodes are as this machine
    found = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()


def ablate(lab, address, *words):
    command = [sys.executable, "-m", "vast_core", "ablate", "lab.yaml", "--out", "out", "--engine", "ray", *words]
    environment = {**lab.environment, "RAY_ADDRESS": address}
    return subprocess.run(command, cwd=lab.folder, env=environment, capture_output=True, text=True, check=False)


def test_runs_are_tasks_of_the_cluster(lab, cluster):
    words = ("--vary", "flow.use=plain,steep", "--seeds", "2", "stages.score.fails_with_seed=2")
    done = ablate(lab, cluster.address, *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 of 4 runs failed" in done.stderr
    assert "flow.use=steep, seed 2: seed 2 is unlucky" in done.stderr
    found = Ablation.read(lab.folder / "out")
    assert [[run.state for run in cell.runs.values()] for cell in found.cells] == [["done", "failed"]] * 2
    assert len(lab.did("draw")) == 2, "what two tasks need is done once"
    assert len({line["pid"] for line in lab.did("score")}) == 4

    done = ablate(lab, cluster.address, *words[:4], "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lab.did("draw")) == 2
    assert all(len(cell.done) == 2 for cell in Ablation.read(lab.folder / "out").cells)


def test_no_cluster_is_said_before_anything_runs(lab):
    done = ablate(lab, "127.0.0.1:1", "--vary", "flow.use=plain,steep", "--seeds", "1")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no Ray cluster at '127.0.0.1:1'" in done.stderr
    assert lab.did("draw") == []
