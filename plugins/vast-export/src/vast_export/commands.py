"""``vast export``: the parts of an avatar as graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

LOOK_AHEAD = click.option(
    "--look-ahead",
    metavar="SECONDS",
    type=click.FloatRange(0, 10, min_open=True),
    help="How much later sound the audio features may hear, where sound is heard as it comes (0.12, say). By default "
    "as in training.",
)


@click.command(short_help="Write an avatar's networks as ONNX, OpenVINO or torch.")
@click.argument("run", metavar="RUN|FILE.vast", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "openvino", "torch"]),
    default="onnx",
    show_default=True,
    help="onnx: .onnx; openvino: .xml and .bin, needs the extra openvino; torch: .pt2, for torch.export.load.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files; made if new."
)
@click.option(
    "--audio",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Speech to check with; by default a sentence that this program speaks.",
)
@LOOK_AHEAD
@click.option("--force", is_flag=True, help="Overwrite the files of an export in the folder.")
@click.pass_obj
def export(
    session: Any, run: Path, form: str, out: Path, audio: Path | None, look_ahead: float | None, force: bool
) -> None:
    """Write the networks of the finished run RUN, or of a packed avatar, for programs without vast.

    Audio features, style encoder, decoder, face and renderer become one graph each. Each graph is run on real input and
    compared with the avatar itself; a table shows the largest differences. avatar.json says how the graphs are used,
    and two examples use them: example.py with onnxruntime alone, example.html in a browser. A folder with other files
    is refused.

    \b
    Example:
      vast export runs/vast_default --format onnx --out alma_onnx
      python alma_onnx/example.py speech.wav face.npy
    """
    from rich.table import Table

    from vast_core.api import load
    from vast_core.console import Terminal
    from vast_core.errors import InputError
    from vast_core.files import check_own_folder

    from .exporting import FACTS, TOLERANCE, require_passed
    from .exporting import export as write
    from .formats import FORMATS, files_of
    from .sounds import check_sound

    chosen = next(known for known in FORMATS if known == form)
    check_own_folder(out, mark=FACTS, ours=files_of(chosen), what="an export")
    if (out / FACTS).exists() and not force:
        raise InputError(f"{out}: has an export already; choose another folder, or overwrite it with --force")
    console = Terminal()
    wave = check_sound(audio)
    with console.status("loading the avatar") as status:
        avatar = load(run, device="cpu", look_ahead=look_ahead, registry=session.registry)
        checks = list(write(avatar, wave, chosen, out, begun=lambda part: status.update(f"exporting {part}")))
    table = Table("graph", "component", "file", "MB", f"largest difference (at most {TOLERANCE:g})")
    for check in checks:
        size = f"{check.bytes / 1e6:.1f}"
        table.add_row(check.name, check.component, check.file, size, f"{check.error:.1e}")
    console.print(table)
    if "style" not in {check.name for check in checks}:
        console.print("There is no graph for the style encoder, because it reads labels: use the saved styles.")
    require_passed(checks)
    console.print(f"{out}: {FACTS} says how the graphs are used")
