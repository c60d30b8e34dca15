"""Cases for pytest, and `vast plugins check`."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from vast_core.cli import Session, cli
from vast_core.cli.plugins import plugins
from vast_core.errors import ComponentError
from vast_core.testing import Nonconforming, conformance

CONFIGS = """
import attrs
from attrs.validators import ge
from vast_core import Component, hookimpl


@attrs.frozen(kw_only=True)
class ShiftConfig:
    reach: float = attrs.field(default=1.0, validator=ge(0.0))
    {docstring}


@attrs.frozen(kw_only=True)
class NeedyConfig:
    path: str
    "A name."


@hookimpl
def vast_components():
    place = dict(kind="flow", summary="a flow")
    return [
        Component(name="shift", target="checked_plugin.flow:Shift", config=ShiftConfig, **place),
        Component(name="needy", target="checked_plugin.flow:Shift", config=NeedyConfig, **place),
    ]
"""
FLOW = """
import torch
from torch import nn
from vast_core.interfaces import Flow, FlowOutput


class Shift(Flow):
    volume_preserving = True

    def __init__(self, config, sizes):
        super().__init__()
        self.move = nn.Linear(sizes.context, sizes.style)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(config, sizes)

    def forward(self, z, context):
        z = z.to(torch.promote_types(z.dtype, torch.float32)) + self.move(context).tanh()
        return FlowOutput(z, z.new_zeros(len(z)))
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs the distribution vast-checked; its options are documented, or not."""

    def install(documented=True):
        package, metadata = tmp_path / "checked_plugin", tmp_path / "vast_checked-1.0.dist-info"
        package.mkdir()
        metadata.mkdir()
        docstring = '"How far."' if documented else "# How far."
        (package / "__init__.py").write_text(CONFIGS.format(docstring=docstring))
        (package / "flow.py").write_text(FLOW)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vast-checked\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[vast.v1]\nchecked = checked_plugin\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("VAST_PLUGINS", "vast-checked")

    yield install
    for name in [name for name in sys.modules if name.partition(".")[0] == "checked_plugin"]:
        del sys.modules[name]


def check(*arguments):
    result = CliRunner().invoke(plugins, ["check", *arguments], obj=Session(), standalone_mode=False)
    return result.exit_code or result.return_value or 0, " ".join(result.output.split()), result.exception


def cases(wanted, configs=None):
    return {case.id: case.values[0] for case in conformance(wanted, configs)}


def test_one_case_a_component_and_rule_which_pass(installed):
    installed()
    found = cases("vast-checked")
    assert {"flow/shift: one line summary", "flow/needy: made", "flow/shift: safetensors"} <= found.keys()
    for name in ("one line summary", "light plugin", "made", "safetensors"):
        found[f"flow/shift: {name}"]()


def test_a_broken_rule_fails_its_case_alone(installed):
    installed(documented=False)
    found = cases("vast-checked")
    found["flow/shift: round trip"]()
    with pytest.raises(
        Nonconforming, match=r"flow/shift: option docstrings .*: no docstring below reach in ShiftConfig"
    ):
        found["flow/shift: option docstrings"]()


def test_configs_are_given_for_what_has_no_defaults(installed):
    installed()
    with pytest.raises(pytest.skip.Exception, match="options without a default \\(path\\)"):
        cases("vast-checked")["flow/needy: made"]()
    from checked_plugin import NeedyConfig, ShiftConfig

    configs = {"flow/needy": NeedyConfig(path="x"), "flow/shift": [ShiftConfig(), ShiftConfig(reach=0.5)]}
    found = cases("vast-checked", configs)
    assert {"flow/needy: made", "flow/shift defaults: made", "flow/shift reach=0.5: made"} <= found.keys()
    found["flow/needy: made"]()
    with pytest.raises(ComponentError, match="vast-checked has no flow/shif "):
        conformance("vast-checked", {"flow/shif": []})


def test_unknown_packages_and_components_are_told(installed):
    installed()
    with pytest.raises(
        ComponentError, match="no package with plugins is called 'vast-chequed'; did you mean 'vast-checked'"
    ):
        conformance("vast-chequed")
    with pytest.raises(ComponentError, match="no flow is called 'shft'"):
        conformance("flow/shft")


def test_the_command_tells_what_is_broken(installed):
    installed(documented=False)
    code, output, _ = check("vast-checked")
    assert code == 1
    assert "flow/shift broken" in output
    assert "option docstrings broken 0.0 s no docstring below reach in ShiftConfig" in output
    assert "flow/needy not checked flow 'needy' has options without a default (path)" in output
    assert "2 components: 1 broken, 1 not checked" in output


def test_the_command_takes_options_of_one_component(installed):
    installed()
    code, output, _ = check("flow/shift", "reach=0.5", "--rule", "made", "--rule", "round trip", "--all")
    assert code == 0
    assert "made kept" in output
    assert "1 component: 1 sound" in output
    assert "reach" in str(check("flow/shift", "reach=-1")[2])
    assert "options need a single component" in str(check("vast-checked", "reach=1")[2])
    assert "no rule is called 'nought'" in str(check("vast-checked", "--rule", "nought")[2])


def test_the_group_lists_it():
    assert "check" in CliRunner().invoke(cli, ["plugins", "--help"]).output


def test_importing_the_kit_imports_no_torch():
    code = "import sys, vast_core.testing; assert 'torch' not in sys.modules; vast_core.testing.check"
    subprocess.run([sys.executable, "-c", code], check=True)
