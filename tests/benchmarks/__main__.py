"""How fast an avatar speaks, on this machine.

    python tests/benchmarks [speaking] [parts] [lengths] --run RUN --sound SOUND [--json FILE] [--plot FILE]

``speaking``: the whole path, from sound to the encoded video, at several sizes of footage, beside a straightforward
loop over the same networks. ``parts``: what each part of the path takes. ``lengths``: speed and memory as the sound
gets longer. Every run is a process of its own, which computes with one thread; the path still overlaps its parts in
several. On a machine that does other things as well, trust the ratios and the time of the process, not the frames a
second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
from footage import resized

from vast_core.report.plots import plot_bars

SPEAKING = Path(__file__).with_name("speaking.py")
NAMES = ("speaking", "parts", "lengths")
SIZES = {"256": (256, 256), "512": (512, 512), "1080p": (1080, 1920)}
LENGTHS = (1, 4, 16)

Row = dict[str, Any]


def measured(run: Path, sound: Path, seconds: float, way: str) -> Row:
    """What one process of ``speaking`` found."""
    command = [sys.executable, str(SPEAKING), str(run), str(sound), str(seconds), way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def speaking(runs: dict[str, Path], sound: Path, seconds: float) -> list[Row]:
    """The whole path beside the straightforward loop, for each size."""
    rows = []
    for size, run in runs.items():
        ours, loop = (measured(run, sound, seconds, way) for way in ("vast", "plain"))
        rows.append({"footage": size, **ours, "plain": loop, "times": loop["cpu_ms"] / ours["cpu_ms"]})
        print(
            f"{size:>6}  {ours['fps']:6.1f} frames/s  {ours['cpu_ms']:6.1f} ms CPU a frame  "
            f"first frame {ours['first_s']:.3f} s  peak {ours['peak_mb']:.0f} MB (loaded {ours['loaded_mb']:.0f})  "
            f"straightforward loop: {loop['fps']:.1f} frames/s, {loop['cpu_ms']:.1f} ms, {loop['peak_mb']:.0f} MB",
            flush=True,
        )
    return rows


def parts(runs: dict[str, Path], sound: Path, seconds: float, peak: float) -> list[Row]:
    """Milliseconds of each part, for each size, and the share of the peak that the networks reach."""
    rows = []
    for size, run in runs.items():
        row = measured(run, sound, seconds, "parts")
        total = sum(row["parts"].values())
        row |= {"footage": size, "total_ms": total, "share_of_peak": row["gflop"] / (total / 1000) / peak}
        listed = "  ".join(f"{part} {value:.1f}" for part, value in row["parts"].items())
        print(
            f"{size:>6}  {total:6.1f} ms: {listed}  ({row['gflop']:.2f} GFLOP: {row['share_of_peak']:.1%} of the peak)"
        )
        rows.append(row)
    return rows


def lengths(run: Path, sound: Path, seconds: float) -> list[Row]:
    """Speed and memory as the sound gets longer."""
    rows = []
    for times in LENGTHS:
        row = {"seconds": times * seconds, **measured(run, sound, times * seconds, "vast")}
        print(f"{row['seconds']:6g} s  {row['cpu_ms']:6.1f} ms CPU a frame  peak {row['peak_mb']:.0f} MB", flush=True)
        rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--sound", type=Path, required=True, help="a sound file, repeated if it is too short")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the sound")
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plot", type=Path, help="SVG file for the parts")
    options = parser.parse_args(arguments)
    names = options.names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    peak = machine.peak()
    found: dict[str, Any] = {"machine": machine.named(), "peak_gflops_one_thread": peak}
    print(f"{found['machine']}; {peak:.0f} GFLOP/s with one thread (float32 GEMM)")
    with tempfile.TemporaryDirectory() as folder:
        runs = {size: resized(options.run, Path(folder, size), *SIZES[size]) for size in options.sizes}
        if "speaking" in names:
            found["speaking"] = speaking(runs, options.sound, options.seconds)
        if "parts" in names:
            found["parts"] = parts(runs, options.sound, options.seconds, peak)
        if "lengths" in names:
            found["lengths"] = lengths(next(iter(runs.values())), options.sound, options.seconds)
    if options.plot and "parts" in found:
        bars = {f"{row['footage']}: {part}": ms for row in found["parts"] for part, ms in row["parts"].items()}
        options.plot.write_bytes(plot_bars(list(bars), list(bars.values()), None, "ms", "CPU time of a frame, by part"))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
