"""``python tests/faults``: try all faults and print the table; exit code 1 if anything was lost."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads of a library would not survive the fork

from faults.attempts import import_everything
from faults.faults import FAULTS, Trial


def main() -> int:
    """Print a line as soon as a fault is tried."""
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="number of SIGKILLs; the others follow from it  [50]")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments  [1]")
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=[*FAULTS], help="the faults to try  [all]")
    arguments = parser.parse_args()
    import_everything()
    lost = 0
    with tempfile.TemporaryDirectory(prefix="vast-faults-") as place:
        trial = Trial.begin(Path(place).resolve(), arguments.seed)
        print("| fault | tried | survived | lost |\n|---|---|---|---|", flush=True)
        for fault in arguments.only:
            row = FAULTS[fault](trial, arguments.kills)
            if row is not None:
                print(f"| {row.fault} | {row.tried} | {row.survived} | {len(row.lost)} |", flush=True)
                print(*(f"    {line}" for line in row.lost), sep="\n", end="\n" * bool(row.lost), file=sys.stderr)
                lost += len(row.lost)
    return min(lost, 1)


sys.exit(main())
