"""The protocol's file: what it says, what is refused and where, and what its digest depends on."""

import subprocess
import sys

import attrs
import pytest

from vast_core.errors import InputError, RecipeError
from vast_core.registry import Registry
from vast_metrics.evaluation.protocol import Protocol, packaged_protocols

WHOLE = """
protocol: 1
crop: {size: 128}
face: {use: landmarks}
audio: {use: mel}
metrics: [{use: psnr}, {use: motion_stability, floor: 1.0e-5}]
"""


@pytest.fixture(scope="module")
def registry():
    return Registry.discover()


def load(tmp_path, registry, text):
    (tmp_path / "mine.yaml").write_text(text)
    return Protocol.load(str(tmp_path / "mine.yaml"), registry)


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_the_packaged_protocol_is_sound_and_comments_every_part(registry, name):
    protocol = Protocol.load(name, registry)
    assert protocol.name == name
    assert [use.component.kind for use in (protocol.parts.part("face"), protocol.parts.part("audio"))] == [
        "face",
        "audio",
    ]
    text = packaged_protocols()[name].read_text()
    for key in (field.alias for field in attrs.fields(Protocol) if field.alias != "parts"):
        assert f"\n{key}:" in text, f"{name} leaves {key} to a default"


def test_the_newest_protocol_has_every_metric_of_this_package(registry):
    own = {
        component.name for component in registry.components("metric") if component.target.startswith("vast_metrics.")
    }
    newest, before = (Protocol.load(name, registry) for name in ("v2", "v1"))
    names = [use.name for use in newest.parts.metrics]
    assert set(names) == own
    assert names[: len(before.parts.metrics)] == [use.name for use in before.parts.metrics]


def test_what_is_not_said_has_a_default(tmp_path, registry):
    protocol = load(tmp_path, registry, WHOLE)
    assert (protocol.name, protocol.fps, protocol.crop.size, protocol.crop.margin) == ("mine", 25.0, 128, 1.4)
    assert [use.name for use in protocol.parts.metrics] == ["psnr", "motion_stability"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("size: 128", "size: 8"), "mine.yaml:3:14: crop.size: must be >= 32: 8"),
        (("size: 128", "sise: 128"), "mine.yaml:3:8: crop.sise: unknown key; did you mean 'size'?"),
        (("protocol: 1", "protocol: 2"), "mine.yaml:2:11: protocol: this vast reads protocols of version 1, not 2"),
        (("protocol: 1\n", ""), "missing key 'protocol'"),
        (("audio: {use: mel}\n", ""), "missing key 'audio'"),
        (("psnr}", "psnrr}"), "mine.yaml:6:17: metrics.0.use: no metric is called 'psnrr'; did you mean 'psnr'?"),
        (("1.0e-5", "-1.0"), "metrics.1.floor: must be > 0.0"),
        (("protocol: 1", "protocol: 1\nspeed: 3"), "speed: unknown key"),
        (("protocol: 1", "protocol: [1"), "no valid YAML"),
    ],
)
def test_mistakes_are_named_where_they_stand(tmp_path, registry, change, message):
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, registry, WHOLE.replace(*change))
    assert message in str(caught.value)
    assert "in protocol" in str(caught.value)


def test_an_unknown_name_lists_those_that_are_packaged(registry):
    with pytest.raises(InputError, match=r"--protocol v7: no such file.*packaged: .*v1"):
        Protocol.load("v7", registry)


def test_the_digest_is_of_what_is_said_and_not_of_how(tmp_path, registry):
    first = load(tmp_path, registry, WHOLE).digest({})
    said_otherwise = WHOLE.replace("crop: {size: 128}", "# a comment\ncrop:\n  margin: 1.4\n  size: 128\nfps: 25")
    assert load(tmp_path, registry, said_otherwise).digest({}) == first
    for change in (
        ("128", "129"),
        ("1.0e-5", "2.0e-5"),
        ("{use: psnr}, ", ""),
        ("protocol: 1", "protocol: 1\nfps: 30"),
    ):
        assert load(tmp_path, registry, WHOLE.replace(*change)).digest({}) != first


def test_the_digest_is_of_providers_and_weights_too(tmp_path, registry):
    protocol = load(tmp_path, registry, WHOLE)
    face = protocol.parts.part("face")
    newer = attrs.evolve(face, component=attrs.evolve(face.component, provider="vast-avatar 99.0"))
    other = attrs.evolve(protocol, parts=attrs.evolve(protocol.parts, face=newer))
    digests = {
        protocol.digest({}),
        other.digest({}),
        protocol.digest({"audio": "ab"}),
        protocol.digest({"audio": "cd"}),
    }
    assert len(digests) == 4
    assert all(len(digest) == 64 for digest in digests)


def test_a_wrong_protocol_is_told_before_torch_is_imported(tmp_path):
    code = (
        "import sys; from vast_core.registry import Registry; from vast_metrics.evaluation.protocol import Protocol;"
        "Protocol.load('v1', Registry.discover()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
