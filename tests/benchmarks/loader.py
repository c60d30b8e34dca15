"""What the loader of the style stage needs if a corpus were much longer than it is.

    python tests/benchmarks/loader.py PREPARED --hours 10 1000 10000

PREPARED is a folder of prepared clips, one of those in ``prepared`` in the cache. Its clips are repeated under other
names until there are so many hours. Prints, for each length, the entries of the index, the seconds to start, the
batches a second of one process, the bytes that a batch reads from the disk, and the memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import time
from functools import cached_property
from pathlib import Path

import attrs
from torch import Tensor

from vast_core.console import Terminal
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runs import PreparedClip, Run, Store, load_into, load_weights
from vast_core.stages import StageContext
from vast_core.stages.windows import Windows
from vast_core.training import Part


@attrs.frozen(slots=False, eq=False)
class Repeated(Store):
    """A store whose clips are repeated until there are ``frames`` frames."""

    frames: int
    read_bytes: list[int] = attrs.field(factory=lambda: [0])

    @cached_property
    def clips(self) -> list[PreparedClip]:
        own, found, total = Store(self.path).clips, [], 0
        while total < self.frames:
            for clip in own:
                number = len(found)
                found.append(attrs.evolve(clip, file=f"{number}:{clip.file}", source=f"{number}:{clip.source}"))
                total += clip.frames
        return found

    def read(self, clip: PreparedClip, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        rows = super().read(attrs.evolve(clip, file=clip.file.partition(":")[2]), name, start, stop)
        self.read_bytes[0] += rows.numel() * rows.element_size()
        return rows


def measure(context: StageContext, prepared: Path, hours: float, batches: int) -> str:
    fps = context.recipe.fps
    store = Repeated(prepared, frames=round(hours * 3600 * fps))
    here = StageContext(run=context.run, pipeline=context.pipeline, console=context.console)
    here.__dict__["store"] = store
    began = time.perf_counter()
    windows = Windows(here)
    started = time.perf_counter()
    store.read_bytes[0] = 0
    for step in range(batches):
        windows(step, Part())
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{hours:8g} {len(store.clips):9d} {started - began:10.1f} {batches / seconds:10.1f} "
        f"{store.read_bytes[0] / batches / 2**20:12.2f} {memory:8.1f}"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("prepared", type=Path)
    options.add_argument("--hours", type=float, nargs="+", default=[10, 1000, 10_000])
    options.add_argument("--batches", type=int, default=200)
    chosen = options.parse_args()
    registry = Registry.discover()
    recipe = load_recipe("vast_footage", registry)
    context = StageContext(
        run=Run(chosen.prepared, recipe, registry), pipeline=assemble(recipe, registry), console=Terminal()
    )
    face = chosen.prepared / "face.safetensors"
    load_into(context.pipeline.face, load_weights(face)[0], face)
    print("   hours     clips   start, s  batches/s  MiB a batch  GiB RAM")
    for hours in chosen.hours:
        print(measure(context, chosen.prepared, hours, chosen.batches), flush=True)


if __name__ == "__main__":
    main()
