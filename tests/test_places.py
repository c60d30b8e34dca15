"""A user without a home folder, odd environment variables, terminals without UTF-8, pipes in place of files."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from vast_core import places
from vast_core.errors import InputError, MediaError, RecipeError, StorageError
from vast_core.files import replacing
from vast_core.files.outputs import check_output
from vast_core.media import read_wave
from vast_core.recipe import load_recipe
from vast_core.registry import Registry

HOMELESS = """
import os, pwd, sys
for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
    os.environ.pop(name, None)
def unknown(*_):
    raise KeyError("uid not found")
pwd.getpwuid = pwd.getpwnam = unknown
"""


def homeless(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VAST_")} | variables
    command = [sys.executable, "-c", HOMELESS + code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def test_without_a_home_folder_the_temporary_folder_serves(tmp_path):
    code = "import vast_core.places as p; print(p.cache_root(), p.downloads(), p.log_folder(), sep='\\n')"
    done = homeless(code, tmp_path)
    own = str(Path(tempfile.gettempdir(), f"vast-{os.getuid()}"))
    assert done.stdout.split() == [own, own, own], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_home_folder_a_fault_still_has_its_log(tmp_path):
    code = "from vast_core.cli import _explain_fault; print(_explain_fault(ValueError('x'), False))"
    done = homeless(code, tmp_path, TMPDIR=str(tmp_path))
    assert f"The details are in {tmp_path}/vast-" in done.stdout, done.stderr


def test_without_a_home_folder_a_tilde_is_explained(tmp_path):
    done = homeless("from vast_core.cli import main; main(['check', '~/r.yaml'])", tmp_path)
    assert done.returncode == 2
    assert "the home folder ~ is not known; write the path in full" in done.stderr


@pytest.mark.parametrize("variable", [places.CACHE, places.WEIGHTS])
def test_what_variables_may_say(monkeypatch, tmp_path, variable):
    read = {places.CACHE: places.cache_root, places.WEIGHTS: places.weights_folder}[variable]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    unset = read()
    for text in ("", "  "):
        monkeypatch.setenv(variable, text)
        assert read() == unset
    monkeypatch.setenv(variable, "~/a b")
    assert read() == tmp_path / "a b"
    monkeypatch.setenv(variable, "~nobody-of-this-name/x")
    with pytest.raises(InputError, match=f"{variable} is ~nobody-of-this-name/x: the home folder"):
        read()


@pytest.mark.parametrize("name", ["~nobody-of-this-name/r.yaml", "x" * 5000, "a\0b", "r" * 300 + ".yaml"])
def test_a_recipe_of_no_possible_path(name, tmp_path):
    registry = Registry.discover()
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(name, registry)
    own = tmp_path / "own.yaml"
    own.write_text('base: "' + name.replace("\0", "\\0") + '"\nvast: 1\n')
    with pytest.raises(RecipeError, match=r"own\.yaml:1:"):
        load_recipe(own, registry)


def test_a_corpus_in_the_home_of_nobody(tmp_path):
    with pytest.raises(RecipeError, match=r"~nobody-of-this-name/x: the home folder ~nobody-of-this-name is not known"):
        load_recipe("vast_footage", Registry.discover(), ["corpus={use: folder, path: ~nobody-of-this-name/x}"])


def test_a_pipe_is_not_called_empty(tmp_path):
    os.mkfifo(tmp_path / "p")
    with pytest.raises(MediaError, match="is a pipe or a device, which can be read only once; save it to a file"):
        read_wave(tmp_path / "p")
    with pytest.raises(
        RecipeError, match="is a pipe or a device, which can be read only once; save the recipe to a file"
    ):
        load_recipe(tmp_path / "p", Registry.discover())


STAGE = """
from pathlib import Path

@attrs.frozen(kw_only=True)
class Nothing:
    pass

class Bar:
    def inputs(self, context):
        return {}
    def run(self, context):
        from rich.progress import track
        for _ in track(range(3), "tracking…", console=context.console):
            pass
        with context.console.status("müde…"):
            context.console.print("━ é 日本 \\udce9")
        return [context.run.write_figures("bar", {})]

bar = Bar()

@hookimpl
def vast_stages():
    yield StageSpec(name="bar", target="vast_bar:bar", config=Nothing, summary="Shows a bar.")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding_ends_no_run(packages, encoding):
    packages.add("vast-bar", STAGE)
    (packages.folder / "r.yaml").write_text("vast: 1\nrun: [bar]\n")
    ours, theirs = pty.openpty()
    environment = packages.environment(PYTHONIOENCODING=encoding, TERM="xterm", VAST_CACHE=str(packages.folder / "c"))
    command = [sys.executable, "-m", "vast_core", "run", "r.yaml"]
    process = subprocess.Popen(command, env=environment, cwd=packages.folder, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0, shown.decode(encoding, "replace")
    assert b"done: " in shown


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is a device or a pipe"):
        check_output(pipe, inputs=[], force=True)
    with pytest.raises(StorageError, match="is a device or a pipe"), replacing(pipe):
        raise AssertionError("not reached")
    assert pipe.is_fifo()
