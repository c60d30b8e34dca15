"""``python tests/hostile``: let everything read hostile files; exit code 1 if anything was wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hostile.reading import attack
from hostile.targets import targets


def main() -> int:
    """Print a line as soon as a target is done."""
    known = targets()
    parser = argparse.ArgumentParser(prog="python tests/hostile", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target where they are cheap  [100000]")
    parser.add_argument("--only", nargs="*", choices=known, default=[*known], help="the targets  [all]")
    arguments = parser.parse_args()
    wrong = 0
    print("| target | inputs | refused | read | wrong | slowest |\n|---|---|---|---|---|---|", flush=True)
    for name in arguments.only:
        target = known[name]
        result = attack(target, max(1, round(arguments.inputs * target.cheap)))
        print(
            f"| {name} | {result.inputs} | {result.refused} | {result.read} | {int(bool(result.wrong))} "
            f"| {result.slowest:.2f} s |",
            flush=True,
        )
        if result.wrong:
            print(f"    {result.wrong}", file=sys.stderr, flush=True)
            wrong += 1
    return min(wrong, 1)


sys.exit(main())
