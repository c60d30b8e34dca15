"""Nothing reaches for a network: not an import, and not a run of the default recipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins"
SITE = """
import sys

def refuse(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"asks for an address: {arguments}")
    if event in ("socket.connect", "socket.bind", "socket.sendto") and isinstance(arguments[1], tuple):
        raise RuntimeError(f"uses the network: {event} {arguments[1]}")

sys.addaudithook(refuse)
"""
"""Python tells an audit hook of every use of a socket; those within the machine's file system have no tuple."""
SMALL = (
    "corpus.speakers=2",
    "corpus.styles=2",
    "corpus.held_out_styles=2",
    "corpus.image=64",
    "corpus.avatar_seconds=2",
    "stages.style.steps=2",
    "stages.style.batch=4",
    "stages.renderer.steps=2",
    "stages.synthesize.seconds=1",
)
STAGES = "prepare,style,renderer,synthesize"


@pytest.fixture
def offline(tmp_path):
    """Runs Python where the use of a socket is an error."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "VAST_CACHE": str(tmp_path / "cache")}

    def offline(*words):
        return subprocess.run(
            [sys.executable, *map(str, words)], capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    return offline


@pytest.mark.parametrize(
    "use", ["socket.create_connection(('127.0.0.1', 9))", "socket.getaddrinfo('vast.invalid', 80)"]
)
def test_the_use_of_a_socket_is_noticed(offline, use):
    done = offline("-c", f"import socket; {use}")
    assert "RuntimeError" in done.stderr


@pytest.mark.slow
def test_no_import_uses_the_network(offline):
    tops = {path.parent.name for path in PLUGINS.glob("*/src/*/__init__.py")} - {"vast_runtime"}  # which stands alone
    code = """
import importlib, pkgutil, sys
count = 0
for top in sys.argv[1:]:
    package = importlib.import_module(top)
    for module in pkgutil.walk_packages(package.__path__, top + "."):
        if module.name.rpartition(".")[2] not in ("__main__", "example"):  # programs
            importlib.import_module(module.name)
            count += 1
print(count)
"""
    done = offline("-c", code, "vast_core", *sorted(tops))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 300


@pytest.mark.slow
def test_the_default_recipe_runs_without_a_network(offline, tmp_path):
    done = offline("-m", "vast_core", "run", "vast_default", *SMALL, "--stages", STAGES, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "run" / "samples").glob("*.mp4"))
