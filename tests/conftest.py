"""Real packages, made on the spot and discovered by a fresh Python, as those of third parties are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

PLUGIN = """
import attrs
from vast_core import Component, SectionSpec, StageSpec, hookimpl

@attrs.frozen(kw_only=True)
class Config:
    steps: int = 3

def component(name="glow", kind="flow", **more):
    return Component(**(dict(kind=kind, name=name, target="mypkg.glow:Glow", config=Config, summary="A flow.") | more))

"""
"""What most plugin modules begin with; ``component()`` declares one."""

REPORT = """
import json, sys
from vast_core.registry import Registry
{before}
try:
    registry = Registry.discover(plugins={plugins})
except Exception as error:
    print(json.dumps({{"error": type(error).__name__, "message": str(error)}}))
    raise SystemExit
called = []
{after}
print(json.dumps({{
    "plugins": [[p.name, p.distribution, p.version, p.state, p.cause, p.seconds, p.imports_torch]
                for p in registry.plugins],
    "components": [[c.kind, c.name, c.provider] for c in registry.components()],
    "modules": sorted(sys.modules),
    "called": called,
}}))
"""


class Packages:
    """Distributions on folders of their own: a module, METADATA and entry_points.txt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path: list[Path] = []

    def add(
        self,
        distribution: str,
        source: str = "",
        *,
        version: str = "1.0",
        module: str | None = None,
        name: str | None = None,
        group: str = "vast.v1",
        entry_points: str | None = None,
        metadata: str | None = None,
        write_module: bool = True,
    ) -> Path:
        """Install one; returns the folder that is put on the path."""
        place = self.folder / f"site{len(self.path)}"
        module = module or distribution.replace("-", "_")
        info = place / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        if metadata:
            (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(entry_points or f"[{group}]\n{name or module} = {module}\n")
        if write_module:
            (place / f"{module}.py").write_text(PLUGIN + textwrap.dedent(source))
        self.path.append(place)
        return place

    def environment(self, **variables: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("VAST_")}
        path = [*map(str, self.path), *filter(None, [inherited.get("PYTHONPATH")])]
        return inherited | {"PYTHONPATH": os.pathsep.join(path)} | variables

    def discover(self, *, before: str = "", after: str = "", plugins: bool = True, **variables: str) -> SimpleNamespace:
        """What a fresh Python finds; ``after`` may use ``registry`` and fill ``called``."""
        code = REPORT.format(before=textwrap.dedent(before), after=textwrap.dedent(after), plugins=plugins)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=self.environment(**variables)
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        if "plugins" in found:
            keys = ("name", "distribution", "version", "state", "cause", "seconds", "imports_torch")
            found["plugins"] = [SimpleNamespace(**dict(zip(keys, p, strict=True))) for p in found["plugins"]]
            found["ours"] = [p for p in found["plugins"] if p.distribution != "vast-avatar"]
        return SimpleNamespace(**found)

    def vast(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command ``vast`` with these packages installed."""
        return subprocess.run(
            [sys.executable, "-m", "vast_core", *arguments],
            capture_output=True,
            text=True,
            env=self.environment(**variables),
            cwd=self.folder,
        )


@pytest.fixture(scope="session")
def packages_in() -> type[Packages]:
    """For fixtures that outlive a test: ``packages_in(folder)``."""
    return Packages


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    """A place to install small real packages in."""
    return Packages(tmp_path)


class Environment:
    """A virtual environment of its own, on top of the one that the tests run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
        self.python = folder / "env" / "bin" / "python"
        site = subprocess.run(
            [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        beneath = sysconfig.get_path("purelib")
        Path(site, "beneath.pth").write_text(f"import site; site.addsitedir({beneath!r})\n")

    def run(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """``python WORDS`` in this environment."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VAST_", "PYTHON"))}
        return subprocess.run(
            [self.python, *words],
            cwd=cwd or self.work,
            env=inherited | {"VAST_STRICT_PLUGINS": "1", "VAST_CACHE": str(self.folder / "cache"), "COLUMNS": "200"},
            capture_output=True,
            text=True,
        )

    def vast(self, *words: str | Path) -> str:
        """What ``vast WORDS`` prints."""
        done = self.run("-m", "vast_core", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, package: Path) -> None:
        """``pip install PACKAGE``, which builds its wheel, without anything from the network."""
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", *options, str(package)]
        subprocess.run(command, check=True)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A virtual environment to install packages into with pip."""
    return Environment(tmp_path)
