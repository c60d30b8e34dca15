"""Inputs by hypothesis: files with some bytes changed, cut or doubled, and headers of any plain data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORDS = st.sampled_from(
    [
        b"\0",
        b"\xff" * 8,
        b"\x7f\xff\xff\xff",
        b"-1",
        b"1e999",
        b"null",
        b"[" * 40,
        b"../../x",
        b"!!python/object:os.x",
        b"%n",
    ]
)
EDIT = st.one_of(
    st.tuples(st.just("set"), st.floats(0, 1), st.one_of(WORDS, st.binary(min_size=1, max_size=8))),
    st.tuples(st.just("add"), st.floats(0, 1), st.one_of(WORDS, st.binary(min_size=1, max_size=8))),
    st.tuples(st.just("cut"), st.floats(0, 1), st.integers(1, 400)),
    st.tuples(st.just("double"), st.floats(0, 1), st.integers(1, 400)),
    st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
)


def edited(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """One of the seeds with up to twelve edits, more of them near the beginning, where headers are."""
    return st.builds(_apply, st.sampled_from(seeds), st.lists(EDIT, max_size=12), st.sampled_from((1, 1, 4)))


def _apply(seed: bytes, edits: list[tuple[str, float, Any]], power: int) -> bytes:
    content = bytearray(seed)
    for what, share, value in edits:
        at = round(share**power * len(content))
        if what == "set":
            content[at : at + len(value)] = value
        elif what == "add":
            content[at:at] = value
        elif what == "cut":
            del content[at : at + value]
        elif what == "double":
            content[at:at] = content[at : at + value]
        elif at < len(content):
            content[at] ^= 1 << value
    return bytes(content)


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


def changed(plain: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The data with some entries replaced by any plain data, or left out."""
    return st.fixed_dictionaries(
        {}, optional={name: st.one_of(st.just(value), st.just(value), PLAIN) for name, value in plain.items()}
    ).map(lambda own: {**own})
