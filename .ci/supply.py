"""What vast brings along: every package that it needs, with its licence, and the bill of materials of a release.

Packages of extras are listed where they are installed.
``python .ci/supply.py licences`` lists them, and ends with 1 if one does not allow commercial use or is not known.
``python .ci/supply.py sbom FILE`` writes the same as CycloneDX 1.6.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = "vast-avatar"
DEVELOPERS = ("test", "oracles", "check", "docs")
"""Extras that no user installs."""

FREE = re.compile(
    r"(apache( software)?( license)?[- ,]*(version )?(2(\.0)?)?( with llvm-exception)?"
    r"|0?bsd[-\w ]*|(3-clause|new|modified) bsd.*|mit[-\w ]*|isc.*|psf.*"
    r"|python software foundation.*|zlib|cc0-1\.0|bsl-1\.0|boost.*|unlicense|hpnd"
    r"|mpl-2\.0|mozilla public license 2\.0.*)",
    re.IGNORECASE,
)
"""Licences that allow commercial use and ask nothing of a program that only imports what they cover."""

KNOWN = {
    "cuda-toolkit": "NVIDIA's licence: no content of its own, it names the packages of CUDA",
    "torchvision": "BSD",
}
"""Packages whose metadata does not name a licence as above, with what their files say."""

NVIDIA = (
    "NVIDIA's licence: commercial use is free; installed beside torch for NVIDIA's GPUs alone, and not passed on by us"
)


def users_extras() -> set[str]:
    """The extras for users."""
    return set(distribution(ROOT).metadata.get_all("Provides-Extra") or []) - set(DEVELOPERS)


def packages() -> dict[str, tuple[Distribution, set[str]]]:
    """Every installed package that vast or an extra for users needs, with the names of those that it needs itself."""
    found: dict[str, tuple[Distribution, set[str]]] = {}
    extras: dict[str, set[str]] = {}
    waiting = [(ROOT, users_extras())]
    while waiting:
        name, wanted = waiting.pop()
        if name in found and wanted <= extras[name]:
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed here
        extras[name] = extras.get(name, set()) | wanted
        needed = list(_needed(package, extras[name]))
        found[name] = package, {need for need, _ in needed}
        waiting += needed
    present = found.keys()
    return {name: (package, needs & present) for name, (package, needs) in sorted(found.items())}


def _needed(package: Distribution, extras: set[str]) -> Iterator[tuple[str, set[str]]]:
    for line in package.requires or []:
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield re.sub(r"[-_.]+", "-", need.name).lower(), set(need.extras)


def licence(package: Distribution) -> str:
    """The licence that the metadata name: an expression, else classifiers, else the first line of the field."""
    stated = package.metadata.get("License-Expression")
    classified = [line for line in package.metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    kinds = [kind for line in classified if (kind := line.rpartition("::")[2].strip()) != "OSI Approved"]
    return stated or " OR ".join(kinds) or (package.metadata.get("License") or "").strip().split("\n")[0][:80]


def is_free(name: str, stated: str) -> bool:
    """Whether a licence allows commercial use; one of several that are offered is enough."""
    if name in KNOWN or name.startswith("nvidia-"):
        return True
    choices = re.split(r"\s+OR\s+", stated.strip("()"))
    return any(
        all(FREE.fullmatch(part.strip("() ")) for part in re.split(r"\s+AND\s+", choice))
        for choice in choices
        if choice
    )


def sbom(found: dict[str, tuple[Distribution, set[str]]]) -> dict[str, Any]:
    """CycloneDX 1.6; the same packages give the same bytes."""
    parts = {name: _component(name, package) for name, (package, _) in found.items()}
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {"component": {**parts[ROOT], "type": "application"}},
        "components": [part for name, part in parts.items() if name != ROOT],
        "dependencies": [
            {"ref": parts[name]["bom-ref"], "dependsOn": sorted(parts[need]["bom-ref"] for need in needs)}
            for name, (_, needs) in found.items()
        ],
    }


def _component(name: str, package: Distribution) -> dict[str, Any]:
    link = f"pkg:pypi/{name}@{package.version}"
    stated = licence(package) or KNOWN.get(name, NVIDIA if name.startswith("nvidia-") else "")
    return {
        "type": "library",
        "bom-ref": link,
        "name": name,
        "version": package.version,
        "purl": link,
        "licenses": [{"license": {"name": stated}}],
    }


def main() -> int:
    """List the licences, or write the bill of materials."""
    found = packages()
    if sys.argv[1:2] == ["sbom"] and len(sys.argv) == 3:
        Path(sys.argv[2]).write_text(json.dumps(sbom(found), indent=1) + "\n", encoding="utf-8")
        return 0
    if sys.argv[1:] != ["licences"]:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    wrong = 0
    for name, (package, _) in found.items():
        free = is_free(name, licence(package))
        wrong += not free
        stated = licence(package) or "not named"
        print(f"{'' if free else 'NOT FREE '}{name} {package.version}: {KNOWN.get(name, stated)}")  # noqa: T201
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
