"""An avatar in one file: what it needs of its run, in a zip that is checked before anything is unpacked.

The members are stored, not compressed: ``manifest.json`` with the size and SHA-256 of each of the others, the recipe's
parts that speak, the weights and the base clip's video. Nothing else is accepted, so no member can lie outside the
folder that it is unpacked to.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import cattrs
import yaml

from ..errors import InputError
from ..files.atomic import replacing
from ..media.reading import file_digest
from ..registry.declarations import Part
from ..version import __version__
from .base_clip import BASE_VIDEO, BaseClip

SPEAKING: tuple[Part, ...] = ("face", "audio", "style", "flow", "decoder", "renderer")
"""The sections of a recipe that an avatar needs in order to speak."""

RECIPE, AVATAR, MANIFEST = "recipe.yaml", "weights/avatar.safetensors", "manifest.json"

MEMBERS = (
    RECIPE,
    "weights/face.safetensors",
    "weights/style.safetensors",
    "weights/renderer.safetensors",
    AVATAR,
    BASE_VIDEO,
)
"""What an avatar is made of, by the path in its run's folder."""

FORMAT = 1

MOST_BYTES = 8 * 2**30
"""A packed avatar is not larger: a minute of 4K video takes a tenth of it (our choice)."""

MANIFEST_BYTES = 64 * 2**10
"""A manifest is not larger."""

_BLOCK = 2**20


@attrs.frozen(kw_only=True)
class Entry:
    """One member as the manifest has it."""

    name: str
    size: int
    sha256: str


@attrs.frozen(kw_only=True)
class Manifest:
    """What a packed avatar must hold."""

    format: int
    vast: str
    """Version of vast that packed it."""
    files: list[Entry]


def check_run(run: Path) -> None:
    """Raise :class:`InputError` where a folder lacks what an avatar needs, or its video is not what it was."""
    if not (run / RECIPE).is_file():
        raise InputError(f"{run}: no folder of a run, as it holds no {RECIPE}; name one that `vast run` has made")
    if missing := [name for name in MEMBERS if not (run / name).is_file()]:
        raise InputError(f"{run}: lacks {', '.join(missing)}; finish the run with `vast run`, or copy it whole")
    BaseClip.load(run / AVATAR).video.check(run / BASE_VIDEO)


def pack(run: Path, out: Path) -> None:
    """Write the avatar of a finished run to ``out``.

    The recipe goes along with its speaking parts alone: what it says of the corpus stays at home. Raises
    :class:`InputError` as :func:`check_run` does, :class:`vast_core.errors.StorageError` where ``out`` cannot be
    written.
    """
    check_run(run)
    recipe = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8"))
    kept = {key: value for key, value in recipe.items() if key in ("vast", "name", "seed", "fps", *SPEAKING)}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=120).encode()
    files = [Entry(name=RECIPE, size=len(text), sha256=hashlib.sha256(text).hexdigest())]
    for name in MEMBERS[1:]:
        files.append(Entry(name=name, size=(run / name).stat().st_size, sha256=file_digest(run / name)))
    manifest = Manifest(format=FORMAT, vast=__version__, files=files)
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(MANIFEST, json.dumps(cattrs.unstructure(manifest), indent=1))
        packed.writestr(RECIPE, text)
        for name in MEMBERS[1:]:
            packed.write(run / name, name)


def unpack(file: Path, folder: Path) -> None:
    """Check a packed avatar, and write what it holds to ``folder``.

    Raises :class:`InputError` where it is not what :func:`pack` writes; nothing is then left but what was checked.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            members = packed.infolist()
            _check_members(file, members)
            manifest = _read_manifest(file, packed)
            _check_sizes(file, members, manifest)
            for entry in manifest.files:
                _extract(file, packed, entry, folder / entry.name)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise InputError(f"{file}: is not a packed avatar, or is damaged ({error}); copy it again") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be unpacked to {folder} ({error.strerror}); free some space") from error


def _check_members(file: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Only what is expected, each once, as plain files, uncompressed."""
    names = [member.orig_filename for member in members]
    for name in names:
        if name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in name.replace("\\", "/").split("/"):
            raise InputError(f"{file}: refused, as its member {name!r} would lie outside the folder of the avatar")
    for name in names:
        if name not in (MANIFEST, *MEMBERS):
            raise InputError(f"{file}: refused, as its member {name!r} is no part of an avatar")
        if names.count(name) > 1:
            raise InputError(f"{file}: refused, as it holds {name!r} twice")
    if missing := [name for name in (MANIFEST, *MEMBERS) if name not in names]:
        raise InputError(f"{file}: is no packed avatar, or not a whole one, as it lacks {', '.join(missing)}")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"{file}: refused, as its member {member.filename!r} is a link or another special file")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise InputError(f"{file}: refused, as its member {member.filename!r} is compressed")
        if member.flag_bits & 0x1:
            raise InputError(f"{file}: refused, as its member {member.filename!r} is encrypted")


def _read_manifest(file: Path, packed: zipfile.ZipFile) -> Manifest:
    size = packed.getinfo(MANIFEST).file_size
    if size > MANIFEST_BYTES:
        raise InputError(f"{file}: refused, as its manifest has {size} bytes, more than {MANIFEST_BYTES}")
    try:
        plain = json.loads(packed.read(MANIFEST))
        if plain["format"] != FORMAT:
            raise InputError(f"{file}: is of format {plain['format']}, this vast {__version__} reads format {FORMAT}")
        return cattrs.structure(plain, Manifest)
    except (ValueError, KeyError, TypeError, AttributeError, cattrs.BaseValidationError) as error:
        raise InputError(f"{file}: its manifest cannot be read ({error}); pack the avatar again") from error


def _check_sizes(file: Path, members: Sequence[zipfile.ZipInfo], manifest: Manifest) -> None:
    listed = {entry.name: entry.size for entry in manifest.files}
    if set(listed) != set(MEMBERS) or len(manifest.files) != len(MEMBERS):
        raise InputError(f"{file}: refused, as its manifest does not list what an avatar is made of, each once")
    for member in members:
        if member.filename != MANIFEST and member.file_size != listed[member.filename]:
            raise InputError(
                f"{file}: refused, as {member.filename} has {member.file_size} bytes, {listed[member.filename]} by the "
                "manifest"
            )
    if (total := sum(listed.values())) > MOST_BYTES:
        raise InputError(f"{file}: refused, as it would unpack to {total} bytes, more than {MOST_BYTES}")


def _extract(file: Path, packed: zipfile.ZipFile, entry: Entry, path: Path) -> None:
    """Write one member, which is removed again where its content is not what the manifest says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    joint = hashlib.sha256()
    with packed.open(entry.name) as source, path.open("xb") as target:
        while block := source.read(_BLOCK):
            joint.update(block)
            target.write(block)
    if joint.hexdigest() != entry.sha256:
        path.unlink()
        raise InputError(f"{file}: refused, as the SHA-256 of {entry.name} is not the manifest's; copy it again")
