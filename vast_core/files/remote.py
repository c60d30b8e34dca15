"""Files and folders named by URL (``s3://``, ``gs://``, ``https://`` and others of fsspec): copied here before use.

Every URL has a place on this machine (:func:`vast_core.places.located`), where all other code reads it as a file. A
file is copied again if its size, its tag or its time has changed there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError, UnreachableError, VastError
from ..places import mirror_root, url_of
from .atomic import replacing, write_text

__all__ = ["fetched", "sent"]

LAST = "index.json"
"""Name of the file that says that a folder is complete; copied after all others."""

SENT = ".sent"
"""Name of the file that says which files of a folder were sent, with their sizes."""

AT_ONCE = 8
"""Files copied at the same time."""


def fetched(path: Path, *, missing: bool = False) -> Path:
    """``path`` itself; if it stands for a URL, once the file or folder is here as it is there.

    Files that are no longer there are removed here. With ``missing``, it may be missing there.

    Raises :class:`vast_core.errors.UnreachableError` if it cannot be read, and :class:`InputError` if a package for
    this kind of URL is not installed.
    """
    url = url_of(path)
    if url is None:
        return path
    known_file = mirror_root() / ".states" / f"{hashlib.sha256(url.encode()).hexdigest()[:20]}.json"
    known: dict[str, str] = json.loads(known_file.read_text(encoding="utf-8")) if known_file.is_file() else {}
    with _reaching(url):
        system, root = _system(url)
        found = {name: _known(system, info) for name, info in _listed(system, root, url).items()}
        if not found and not missing:
            raise FileNotFoundError(url)
        states = {name: _state(info) for name, info in found.items()}
        for old in known.keys() - states.keys():
            (path / old).unlink(missing_ok=True)
        new = [name for name, state in states.items() if known.get(name) != state or not (path / name).is_file()]

        def copy(name: str) -> None:
            with replacing(path / name) as temporary:
                system.get_file(found[name]["name"], str(temporary))

        _each(new, copy)
    if new or known.keys() != states.keys():
        write_text(known_file, json.dumps(states))
    return path


def sent(folder: Path) -> None:
    """Copy a folder that stands for a URL to there, without hidden files, unless that was done; nothing for others.

    What an earlier call could not copy is copied now. Raises as :func:`fetched` does.
    """
    url = url_of(folder)
    if url is None:
        return
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    mark = folder / SENT
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == sizes:
        return
    with _reaching(url):
        system, root = _system(url)
        there = {name: info.get("size") for name, info in _listed(system, root, url).items()}
        new = [name for name, size in sizes.items() if there.get(name) != size]
        _each(new, lambda name: system.put_file(str(folder / name), f"{root}/{name}"))
    write_text(mark, json.dumps(sizes))


def names_there(folder: Path) -> list[str]:
    """Names of the files where a folder that stands for a URL is kept, relative to it; none for other folders.

    Raises as :func:`fetched` does, but not if there is nothing.
    """
    url = url_of(folder)
    if url is None:
        return []
    with _reaching(url):
        return list(_listed(*_system(url), url))


def text_there(path: Path) -> str:
    """The text of a file that stands for a URL, which is not copied. Raises as :func:`fetched` does."""
    url = url_of(path)
    if url is None:
        return path.read_text(encoding="utf-8")
    with _reaching(url):
        system, root = _system(url)
        content: bytes = system.cat_file(root)
        return content.decode()


def removed_there(path: Path) -> None:
    """Remove the file or folder for which ``path`` stands, if there is any; nothing for paths that stand for no URL.

    Raises as :func:`fetched` does.
    """
    url = url_of(path)
    if url is None:
        return
    with _reaching(url):
        system, root = _system(url)
        if system.exists(root):
            system.rm(root, recursive=True)


def _each(names: list[str], copy: Any) -> None:
    last = [name for name in names if PurePosixPath(name).name == LAST]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for group in (sorted(set(names) - set(last)), last):
            list(threads.map(copy, group))


def _system(url: str) -> tuple[Any, str]:
    """The file system of a URL, with fresh listings, and the path there."""
    from fsspec.core import url_to_fs

    system, root = url_to_fs(url)
    system.invalidate_cache()
    return system, str(root).rstrip("/")


def _listed(system: Any, root: str, url: str) -> dict[str, dict[str, Any]]:
    """What a listing says of each file, by its name relative to the root; nothing if there is nothing."""
    found = system.find(root, detail=True)
    return {_inside(root, name, url): {**info, "name": name} for name, info in found.items()}


def _known(system: Any, info: dict[str, Any]) -> dict[str, Any]:
    """What is known of a file; asked for by itself where a listing has no sizes, as that of ``https://``."""
    return info if info.get("size") is not None else {**info, **system.info(info["name"])}


def _inside(root: str, name: str, url: str) -> str:
    """The name of a file relative to the root; empty for the root itself."""
    relative = name.removeprefix(root).lstrip("/")
    if not name.startswith(root) or ".." in PurePosixPath(relative).parts:
        raise InputError(f"{url}: has a file called {name!r}, which cannot be kept on a disk; rename it there")
    return relative


def _state(info: dict[str, Any]) -> str:
    """What changes when the content does: size, and tag or time of change."""
    tags = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5")
    times = ("mtime", "LastModified", "Last-Modified", "last_modified", "created")
    return " ".join(
        [str(info.get("size")), *(str(info[mark]) for mark in (*tags, *times) if info.get(mark) is not None)]
    )


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Explain why something of a URL cannot be reached."""
    try:
        yield
    except VastError:
        raise
    except ImportError as error:
        raise InputError(
            f"{url}: the package that reads such addresses is not installed ({error}); pip install "
            "'vast-avatar[remote]' brings that of s3://"
        ) from error
    except PermissionError as error:
        raise UnreachableError(
            f"{url}: may not be read or written with these credentials ({error}); check their rights, and for s3:// "
            "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except FileNotFoundError as error:
        raise UnreachableError(f"{url}: there is no such file or folder; check the address") from error
    except Exception as error:  # each kind of store has errors of its own
        raise UnreachableError(
            f"{url}: cannot be reached ({type(error).__name__}: {error}); check the address, the network and the "
            "credentials"
        ) from error
