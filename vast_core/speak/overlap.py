"""Work that goes on in a thread of its own while its results are used."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

_PATIENCE = 0.1
"""Seconds between two looks at whether the results are still wanted."""


def ahead(items: Iterable[Item], most: int) -> Generator[Item, None, None]:
    """The ``items``, of which up to ``most`` are made in another thread before they are asked for.

    What the thread raises is raised here. When the iterator is closed, the thread ends, and so do ``items``.
    """
    ready: Queue[tuple[Item] | BaseException | None] = Queue(most)
    unwanted = Event()

    def put(what: tuple[Item] | BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                ready.put(what, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            for item in items:
                if not put((item,)):
                    break
            put(None)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the items are used
            put(error)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = Thread(target=run, daemon=True, name="vast: ahead")
    thread.start()
    try:
        while True:
            try:
                found = ready.get(timeout=_PATIENCE)  # a wait without end would not hear Ctrl-C on every system
            except Empty:
                continue
            if found is None:
                return
            if isinstance(found, BaseException):
                raise found
            yield found[0]
    finally:
        unwanted.set()
        thread.join()
