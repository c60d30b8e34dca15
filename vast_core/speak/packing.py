"""An avatar in one file: the necessary files of its run in a zip, which is checked before it is unpacked.

The members are stored, not compressed: ``manifest.json`` with the size and SHA-256 of the others, the sections of the
recipe for speaking, the weights and the base clip's video. Other members are refused, so that none can be written
outside the target folder.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import cattrs
import yaml

from ..errors import InputError
from ..files.atomic import replacing
from ..media.opening import content_digest
from ..places import located
from ..registry.declarations import Part
from ..runs.weights import read_header
from ..version import __version__
from .base_clip import BASE_VIDEO, BaseClip
from .named_styles import is_member, style_files
from .sliders import SLIDERS_FILE

SPEAKING: tuple[Part, ...] = ("face", "audio", "style", "flow", "decoder", "renderer")
"""Sections of a recipe that an avatar needs to speak."""

RECIPE, AVATAR, MANIFEST = "recipe.yaml", "weights/avatar.safetensors", "manifest.json"

WEIGHTS = ("weights/face.safetensors", "weights/style.safetensors", "weights/renderer.safetensors", AVATAR)
"""The avatar's files of weights, by path in its run's folder."""

MEMBERS = (RECIPE, *WEIGHTS, BASE_VIDEO)
"""Files of every avatar, by path in its run's folder; sliders and named styles come in addition."""

SLIDERS = f"weights/{SLIDERS_FILE}"
"""Made by the style stage if the corpus has factors of styles."""

GRAPHS = "avatar.json"
"""Member of avatars that are packed for programs without vast."""

FORMAT = 1

MOST_BYTES = 8 * 2**30
"""Largest packed avatar, in bytes; a minute of 4K video takes a tenth of it (our choice)."""

MANIFEST_BYTES = 2**20
"""Largest manifest, in bytes."""

_BLOCK = 2**20


@attrs.frozen(kw_only=True)
class Entry:
    """Entry of the manifest for one member."""

    name: str
    size: int
    sha256: str


@attrs.frozen(kw_only=True)
class Manifest:
    """The files that a packed avatar must have."""

    format: int
    vast: str
    """Version of vast that packed it."""
    files: list[Entry]


def members(run: Path) -> tuple[str, ...]:
    """Files of the avatar in a run's folder, by path in it."""
    sliders = (SLIDERS,) if (run / SLIDERS).is_file() else ()
    return (*MEMBERS, *sliders, *(path.relative_to(run).as_posix() for path in style_files(run).values()))


def check_run(run: Path) -> None:
    """Raise :class:`InputError` if a folder lacks files of an avatar, or if its video has changed."""
    if not (run / RECIPE).is_file():
        raise InputError(f"{run}: not the folder of a run: there is no {RECIPE}; give a folder that `vast run` wrote")
    if missing := [name for name in MEMBERS if not (run / name).is_file()]:
        raise InputError(f"{run}: lacks {', '.join(missing)}; finish the run with `vast run`, or copy all of it")
    BaseClip.load(run / AVATAR).video.check(run / BASE_VIDEO)


def pack(run: Path, out: Path) -> None:
    """Write the avatar of a finished run to ``out``.

    Of the recipe, only the sections for speaking are packed, not the corpus. Raises :class:`InputError` as
    :func:`check_run` does, and :class:`vast_core.errors.StorageError` if ``out`` cannot be written.
    """
    check_run(run)
    always = read_header(run / AVATAR).get("sections", {})
    recipe = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8"))
    kept = {key: value for key, value in recipe.items() if key in ("vast", "name", "seed", "fps", *SPEAKING, *always)}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=120).encode()
    files = [Entry(name=RECIPE, size=len(text), sha256=hashlib.sha256(text).hexdigest())]
    others = members(run)[1:]
    for name in others:
        files.append(Entry(name=name, size=(run / name).stat().st_size, sha256=content_digest(run / name)))
    manifest = Manifest(format=FORMAT, vast=__version__, files=files)
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(MANIFEST, json.dumps(cattrs.unstructure(manifest), indent=1))
        packed.writestr(RECIPE, text)
        for name in others:
            packed.write(run / name, name)


def unpack(file: Path, folder: Path) -> None:
    """Check a packed avatar, and write its files to ``folder``.

    Raises :class:`InputError` if it is not a file of :func:`pack`; then only files that passed their checks remain.
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
    """Require all :data:`MEMBERS`, and nothing else but sliders and styles, each once, as plain uncompressed files."""
    names = [member.orig_filename for member in members]
    if GRAPHS in names:
        raise InputError(f"{file}: was packed with --format onnx, for vast-runtime; pack its run without --format")
    for name in names:
        if name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in name.replace("\\", "/").split("/"):
            raise InputError(f"{file}: refused, because its member {name!r} would lie outside the folder of the avatar")
    for name in names:
        if name not in (MANIFEST, *MEMBERS, SLIDERS) and not is_member(name):
            raise InputError(f"{file}: refused, because its member {name!r} is not part of an avatar")
        if names.count(name) > 1:
            raise InputError(f"{file}: refused, because it has {name!r} twice")
    if missing := [name for name in (MANIFEST, *MEMBERS) if name not in names]:
        raise InputError(f"{file}: is not a packed avatar, or is incomplete: it lacks {', '.join(missing)}")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(
                f"{file}: refused, because its member {member.filename!r} is a link or another special file"
            )
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise InputError(f"{file}: refused, because its member {member.filename!r} is compressed")
        if member.flag_bits & 0x1:
            raise InputError(f"{file}: refused, because its member {member.filename!r} is encrypted")


def _read_manifest(file: Path, packed: zipfile.ZipFile) -> Manifest:
    size = packed.getinfo(MANIFEST).file_size
    if size > MANIFEST_BYTES:
        raise InputError(f"{file}: refused, because its manifest has {size} bytes, more than {MANIFEST_BYTES}")
    try:
        plain = json.loads(packed.read(MANIFEST))
        if plain["format"] != FORMAT:
            raise InputError(f"{file}: is of format {plain['format']}, this vast {__version__} reads format {FORMAT}")
        return cattrs.structure(plain, Manifest)
    except (ValueError, KeyError, TypeError, AttributeError, cattrs.BaseValidationError) as error:
        raise InputError(f"{file}: its manifest cannot be read ({error}); pack the avatar again") from error


def _check_sizes(file: Path, members: Sequence[zipfile.ZipInfo], manifest: Manifest) -> None:
    listed = {entry.name: entry.size for entry in manifest.files}
    if sorted(entry.name for entry in manifest.files) != sorted(m.filename for m in members if m.filename != MANIFEST):
        raise InputError(f"{file}: refused, because its manifest does not list what an avatar is made of, each once")
    for member in members:
        if member.filename != MANIFEST and member.file_size != listed[member.filename]:
            raise InputError(
                f"{file}: refused: {member.filename} has {member.file_size} bytes, {listed[member.filename]} by the "
                "manifest"
            )
    if (total := sum(listed.values())) > MOST_BYTES:
        raise InputError(f"{file}: refused, because it would unpack to {total} bytes, more than {MOST_BYTES}")


def _extract(file: Path, packed: zipfile.ZipFile, entry: Entry, path: Path) -> None:
    """Write one member; it is removed again if its SHA-256 differs from the manifest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    joint = hashlib.sha256()
    with packed.open(entry.name) as source, path.open("xb") as target:
        while block := source.read(_BLOCK):
            joint.update(block)
            target.write(block)
    if joint.hexdigest() != entry.sha256:
        path.unlink()
        raise InputError(f"{file}: refused, because the SHA-256 of {entry.name} is not the manifest's; copy it again")


def corpus_of(run: Path) -> tuple[Path, ...]:
    """Existing files and folders that the corpus section of a run's recipe names."""
    recipe = run / RECIPE
    if not recipe.is_file():
        return ()
    plain = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    corpus = plain.get("corpus") if isinstance(plain, dict) else None
    named = [_located(text, place) for text in _texts(corpus) for place in (Path(), run) if text]
    return tuple(path for path in named if path.exists())


def _located(text: str, folder: Path) -> Path:
    """The path relative to ``folder``, as corpora read it."""
    try:
        return located(text, folder)
    except InputError:  # no such user: it is no path
        return folder / text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != "use":
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
