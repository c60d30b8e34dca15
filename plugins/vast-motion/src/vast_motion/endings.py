"""The formats and how their files end. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from vast_core.errors import InputError

ENDINGS = {"arkit-csv": ".csv", "bvh": ".bvh", "gltf": ".glb", "usda": ".usda", "npz": ".npz"}


def check_ending(out: Path, form: str) -> None:
    """Raise :class:`InputError` if ``out`` does not end as files of the format ``form`` do."""
    ending = ENDINGS[form]
    if out.suffix.lower() != ending:
        raise InputError(
            f"{out}: programs know the format {form} by the ending {ending}; name it {out.with_suffix(ending)}"
        )
