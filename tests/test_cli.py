"""The command line from outside: what it prints, what it imports, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import vast_core
from vast_core.cli import COMMANDS, GROUPS, Session, cli
from vast_core.registry import KINDS

FAULTY = """
@hookimpl
def vast_commands(cli):
    import click
    from vast_core.errors import StorageError, VastError

    @cli.command()
    @click.argument("how")
    def fail(how):
        "Fail in some way."
        if how == "fault":
            raise KeyError("the inner workings")
        if how == "storage":
            raise StorageError("out.mp4: no space left")
        if how == "interrupt":
            raise KeyboardInterrupt
        if how == "saved":
            error = VastError("stopped at step 7; go on with --resume")
            error.exit_code = 130
            raise error
        if how == "sleep":
            import time
            print("asleep", flush=True)
            time.sleep(30)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


# --------------------------------------------------------------------------------------------------- light


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plugins"],
        ["plugins", "doctor"],
        ["schema"],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
    ],
)
def test_it_answers_without_importing_torch_or_numpy(arguments):
    code = f"""
import sys
from vast_core.cli import main
try:
    main({arguments!r})
except SystemExit as stop:
    assert stop.code == 0, stop.code
assert "torch" not in sys.modules
assert "numpy" not in sys.modules
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_every_help_shows_an_example(name):
    done = python(f"from vast_core.cli import main; main({[name, '--help'] if name else ['--help']!r})")
    assert re.search(rf"\n  Example:\n    (VAST\w+=\S+ )?vast {name or 'run'}\b", done.stdout)


def test_the_list_of_commands_says_what_each_command_says_of_itself():
    context = cli.make_context("vast", [], obj=Session(no_plugins=True), resilient_parsing=True)
    groups = [(cli, COMMANDS), *((cli.get_command(context, name), places) for name, places in GROUPS.items())]
    for group, name, summary in [(g, name, summary) for g, p in groups for name, (_, summary) in p.items()]:
        command = group.get_command(context, name)
        assert command.name == name
        assert command.help.splitlines()[0] == summary


def test_vast_and_python_m_vast_core_are_the_same(packages):
    (script,) = (entry for entry in vast_scripts() if entry.name == "vast")
    assert script.value == "vast_core.cli:main"
    done = packages.vast("--version")
    assert (done.returncode, done.stdout) == (0, f"vast, version {vast_core.__version__}\n")


def vast_scripts():
    from importlib.metadata import distribution

    return [entry for entry in distribution("vast-avatar").entry_points if entry.group == "console_scripts"]


# ---------------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fail", "nothing"], 0, ""),
        (["fail", "storage"], 1, "Error: out.mp4: no space left\n"),
        (["fail", "interrupt"], 130, "interrupted\n"),
        (["fail", "saved"], 130, "stopped at step 7; go on with --resume\n"),
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["fail"], 2, "Missing argument 'HOW'"),
        (["run"], 2, "Missing argument 'RECIPE'"),
        (["run", "no_such_recipe"], 2, "Error: no recipe no_such_recipe: no such file"),
        (["check", "r.yaml", "flow.use=x"], 2, "command line: flow.use=x: no flow is called 'x'"),
        (["run", "r.yaml", "--stages", "prepare,styel"], 2, "recipe r runs no stage 'styel'; did you mean 'style'?"),
        (["run", "r.yaml", "--stages", ","], 2, "name one at least of prepare"),
        (["run", "r.yaml", "--stages", "prepare"], 2, "recipe r lacks sections: prepare needs face, audio"),
        (["inspect", "missing.safetensors"], 2, "Error: missing.safetensors: there is no such file"),
        (["inspect", "r.yaml"], 2, "Error: r.yaml: is no video or sound file"),
        (["synth", ".", "--audio", "a.wav", "--style", "sample"], 2, "Error: .: not the folder of a run"),
        (["inspect", "."], 2, "Error: .: is a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_exit_codes(packages, arguments, code, message):
    packages.add("vast-faulty", FAULTY)
    (packages.folder / "r.yaml").write_text("vast: 1\ncorpus: {use: synthetic}\n")
    done = packages.vast(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_of_ours_is_short_on_screen_and_whole_in_a_log(packages):
    packages.add("vast-faulty", FAULTY)
    done = packages.vast("fail", "fault", XDG_STATE_HOME=str(packages.folder), HOME=str(packages.folder))
    assert done.returncode == 1
    summary, details = done.stderr.splitlines()
    fault = "Error: a fault in vast or in one of its plugins: KeyError: 'the inner workings' (at "
    assert summary.startswith(fault)
    file, line = summary.removeprefix(fault).removesuffix(")").rsplit(":", 1)
    assert "the inner workings" in Path(file).read_text().splitlines()[int(line) - 1]
    log = Path(details.removeprefix("The details are in "))
    assert packages.folder in log.parents
    assert "Traceback" in log.read_text()
    assert "vast_faulty.py" in log.read_text()


def test_traceback_shows_it_all(packages):
    packages.add("vast-faulty", FAULTY)
    for how in ("fault", "storage"):
        done = packages.vast("--traceback", "fail", how)
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "vast_faulty.py" in done.stderr


def test_a_log_that_cannot_be_written_costs_no_message(packages):
    packages.add("vast-faulty", FAULTY)
    (packages.folder / "file").write_text("")
    done = packages.vast(
        "fail", "fault", XDG_STATE_HOME=str(packages.folder / "file"), HOME=str(packages.folder / "file")
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "No log could be written" in done.stderr


def test_ctrl_c(packages):
    packages.add("vast-faulty", FAULTY)
    process = subprocess.Popen(
        [sys.executable, "-m", "vast_core", "fail", "sleep"],
        env=packages.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # whoever starts the tests in the background has them ignore it, and so would this process
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "asleep\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.strip()) == (130, "interrupted")


def test_a_reader_that_stops_is_no_fault(packages):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "vast_core", "plugins"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------------------------------------- plugins


def test_plugins_lists_everything_and_every_trouble(packages):
    packages.add(
        "vast-glow", "@hookimpl\ndef vast_components(): return [component(), component('planar')]", name="glow"
    )
    packages.add("vast-broken", "raise OSError('[red]no licence[/red]')", version="0.3")
    packages.add("vast-tomorrow", group="vast.v2")
    done = packages.vast("plugins")
    assert done.returncode == 0
    out = done.stdout
    assert re.search(r"^flow +glow +vast-glow 1\.0 +ready +A flow\.$", out, re.MULTILINE)
    assert re.search(r"^flow +vast-glow/planar +vast-glow 1\.0 +write in full", out, re.MULTILINE)
    assert re.search(r"^flow +vast-avatar/planar +vast-avatar", out, re.MULTILINE)
    assert re.search(r"^stage +prepare +vast itself +ready", out, re.MULTILINE)
    assert re.search(
        r"^vast_broken +vast-broken 0\.3 +broken +\d+ +OSError: \[red\]no licence\[/red\]$", out, re.MULTILINE
    )
    assert re.search(r"^vast_tomorrow +vast-tomorrow 1\.0 +foreign +0 +made for plugin API v2", out, re.MULTILINE)
    assert re.search(r"^glow +vast-glow 1\.0 +loaded +\d+", out, re.MULTILINE)
    assert "2 plugins are left out; `vast plugins doctor` shows the reason" in out
    bare = packages.vast("--no-plugins", "plugins").stdout
    assert "vast-avatar" not in bare.partition("\n\n")[0]
    assert "switched off by --no-plugins" in bare


@pytest.mark.parametrize("width", [80, 120])
def test_plugins_keeps_to_the_width_of_a_terminal(width):
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    command = [sys.executable, "-m", "vast_core", "plugins"]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        out = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how a terminal says that nobody writes any more
                break
            if not piece:
                break
            out += piece
    assert process.returncode == 0
    lines = re.sub(r"\x1b\[[\d;]*m|\r", "", out.decode()).splitlines()
    assert max(len(line) for line in lines) == width
    about = next(n for n, line in enumerate(lines) if re.match(r"flow +householder +vast-avatar", line))
    summary = lines[about + 1].strip() if width == 80 else lines[about].split("ready")[1].strip()
    assert summary.startswith("reflections amortised on the prompt")
    if width == 80:
        assert lines[about].split()[-1] == "ready"


def test_show_says_all_that_is_known_of_a_component(packages):
    packages.add(
        "vast-glow",
        """
        @attrs.frozen(kw_only=True)
        class Glowing:
            steps: int = attrs.field(default=3, validator=[attrs.validators.ge(1), attrs.validators.lt(9)])
            \"""How often it glows.\"""
            path: str

        class Glow:
            \"""It glows.

            A second paragraph.
            \"""

        @hookimpl
        def vast_components():
            return [component(config=Glowing, target="vast_glow:Glow", reference="Anon 2020"), component("planar")]
        """,
    )
    done = packages.vast("plugins", "show", "flow/glow")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "flow/glow: A flow.",
        "Provided by vast-glow 1.0, in vast_glow:Glow",
        "Licence of the code: unknown",
        "Reference: Anon 2020",
        "",
        "It glows.",
        "",
        "A second paragraph.",
        "",
        "Options",
        "  steps: a whole number; >= 1, < 9; default 3",
        "      How often it glows.",
        "  path: text; no default, required",
        "",
        "No packaged recipe uses it",
    ]
    assert packages.vast("plugins", "show", "glow").stdout == done.stdout
    other = packages.vast("plugins", "show", "flow/vast-glow/planar").stdout
    assert "It cannot be loaded: flow 'planar' of vast-glow 1.0 cannot be imported from mypkg.glow:Glow" in other


def test_show_says_who_uses_a_component_or_stage(packages):
    shown = packages.vast("plugins", "show", "renderer/cgan_convlstm").stdout
    changed = "ablations/renderer_to_the_letter: texture false, skips false, residual false, upsampling transposed"
    assert changed in " ".join(shown.split())
    assert re.search(r"\n  vast_default\n", shown)
    stage = packages.vast("plugins", "show", "stage/style").stdout
    assert stage.startswith(
        "stage/style: trains style encoder, flow and decoder\nProvided by vast itself, in vast_core."
    )
    assert "\nNeeds corpus, face, audio, style, flow, decoder\n" in stage
    assert "\n  beta_warmup: a number; >= 0, <= 1; default 0.3\n      Share of the training steps over" in stage
    assert re.search(r"\n  vast_default: batch 24, steps 1400\n", stage)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plannar", "nothing is called 'plannar'; did you mean flow/planar?"),
        ("flow/plannar", "no flow is called 'plannar'; did you mean 'planar'?"),
        ("stage/prepair", "no stage is called 'prepair'; did you mean 'prepare'?"),
        ("flow/vast-glow/planar", "write vast-avatar/planar"),
    ],
)
def test_show_of_what_is_not_there(packages, name, message):
    done = packages.vast("plugins", "show", name)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("cli.add_command(1 / 0)", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import click; cli.add_command(click.Command('run'))", "adds 'run', which is a command of vast"),
        ("import click; cli.add_command(click.Command('plugins'))", "adds 'plugins', which is a command of vast"),
        (
            "cli.group('plugins')(lambda: 0).command('show')(lambda: 0)",
            "adds 'plugins show', which is a command of vast",
        ),
    ],
)
def test_a_plugin_whose_commands_fail_costs_only_itself(packages, body, cause):
    packages.add("vast-faulty", FAULTY, name="zzz")
    packages.add(
        "vast-broken",
        f"@hookimpl\ndef vast_components(): return [component()]\n\n@hookimpl\ndef vast_commands(cli): {body}\n",
        name="aaa",
    )
    out = packages.vast("plugins").stdout
    assert re.search(rf"aaa +vast-broken 1\.0 +broken +\d+ +.*{re.escape(cause)}", out)
    assert "vast-broken 1.0   ready" not in out
    help_text = packages.vast("--help")
    assert help_text.returncode == 0
    assert "fail " in help_text.stdout
    assert "Run the stages of a recipe." in help_text.stdout


def test_of_a_command_that_two_plugins_add_neither_is_chosen(packages):
    packages.add("vast-faulty", FAULTY, name="zzz")
    packages.add("vast-other", FAULTY, name="aaa")
    assert "Added by the plugins aaa and zzz" in " ".join(packages.vast("--help").stdout.split())
    done = packages.vast("fail", "fault", "--more")
    assert done.returncode == 2
    assert "vast fail: Added by the plugins aaa and zzz: select one of them with VAST_PLUGINS" in done.stderr
    assert packages.vast("fail", "nothing", VAST_PLUGINS="aaa").returncode == 0


def test_a_plugin_adds_to_one_of_our_groups(packages):
    more = """
    @hookimpl
    def vast_commands(cli):
        @cli.group()
        def plugins():
            "Never called."

        @plugins.command()
        def count():
            "Count them."
            print("many")
    """
    packages.add("vast-more", more)
    assert packages.vast("plugins", "count").stdout == "many\n"
    shown = packages.vast("plugins", "--help").stdout
    assert re.search(r"Commands of plugins:\n(.+\n)* +count +Count them\.", shown)
    assert "List problems of the installed plugins" in shown
    assert "count" not in packages.vast("--help").stdout
    packages.add("vast-most", more)
    told = packages.vast("plugins", "count").stderr
    assert "vast plugins count: Added by the plugins vast_more and vast_most" in told


# ------------------------------------------------------------------------------------------------- inspect


def test_inspect_shows_header_and_tensors(tmp_path, packages):
    save_file(
        {"enc.weight": np.zeros((3, 4), np.float16), "scale": np.zeros((), np.float32)},
        tmp_path / "w.safetensors",
        metadata={"licence": "MIT", "components": json.dumps({"flow": "planar (vast-avatar 0.1.0)"})},
    )
    out = packages.vast("inspect", str(tmp_path / "w.safetensors")).stdout
    assert re.search(r"licence +MIT", out)
    assert re.search(r'"flow": "planar \(vast-avatar 0\.1\.0\)"', out)
    assert re.search(r"enc\.weight +3 x 4 +F16", out)
    assert re.search(r"scale +\(\) +F32", out)
    assert re.search(r"^2 tensors, 13 numbers, [\d,]+ bytes$", out, re.MULTILINE)


def test_inspect_of_a_truncated_file(tmp_path, packages):
    save_file({"a": np.zeros(100, np.float32)}, tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-50])
    done = packages.vast("inspect", str(tmp_path / "cut.safetensors"))
    assert done.returncode == 2
    assert "cut.safetensors: not a valid safetensors file" in done.stderr


# --------------------------------------------------------------------------------------------------- run


@pytest.mark.parametrize(
    ("arguments", "out", "resume", "stages"),
    [
        ([], "runs/r", False, ["prepare", "style", "renderer", "evaluate", "synthesize"]),
        (["flow.steps=5", "--out", "there", "--resume", "run=[style]"], "there", True, ["style"]),
        (["--stages", "style, prepare"], "runs/r", False, ["prepare", "style"]),
        (["ablate={vary: {flow.use: [none]}}", "run=[style]"], "runs/r", False, ["style"]),
    ],
)
def test_run_hands_over_what_was_asked(tmp_path, monkeypatch, arguments, out, resume, stages):
    import types

    from click.testing import CliRunner

    handed = {}

    def run_recipe(recipe, registry, out, resume, stages):
        handed.update(steps=recipe.flow.config.steps, registry=registry, out=out, resume=resume, stages=stages)

    monkeypatch.setitem(sys.modules, "vast_core.runner", types.SimpleNamespace(run_recipe=run_recipe))
    monkeypatch.chdir(tmp_path)
    parts = {"corpus": "synthetic", "face": "landmarks", "audio": "mel", "style": "attentive"}
    parts |= {"flow": "planar", "decoder": "hybrid", "renderer": "mesh"}
    assert list(parts) == [kind for kind in KINDS if kind != "metric"]
    Path("r.yaml").write_text("vast: 1\n" + "".join(f"{kind}: {{use: {name}}}\n" for kind, name in parts.items()))
    session = Session()
    done = CliRunner().invoke(cli, ["run", "r.yaml", *arguments], obj=session, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = "`vast run` does not use these sections: `ablate` (what `vast ablate` varies, "
    assert (told in done.output) == any("ablate" in a for a in arguments)
    assert handed.pop("steps") == (5 if arguments[:1] == ["flow.steps=5"] else 8)
    assert handed == {"registry": session.registry, "out": Path(out), "resume": resume, "stages": stages}
