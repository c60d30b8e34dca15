"""Requests and messages of any form: refused or answered, never a fault, and the next visitor is served."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from vast_live.limits import Limits

FEW = settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))

plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
known = st.sampled_from(["style", "styles", "factors", "strength", "interrupt", "say", "text", "type", "id", "weights"])
message = st.one_of(
    st.binary(max_size=64),
    st.text(max_size=20),
    plain.map(json.dumps),
    st.dictionaries(known, plain, max_size=3).map(json.dumps),
)
name = st.sampled_from(["audio", "text", "style", "strength", "factors", "x"])


def test_no_request_is_a_fault(serve):
    url = serve(Limits())
    value = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), plain.map(json.dumps))

    @FEW
    @given(
        st.sampled_from(["/speak", "/style", "/avatar", "/live", "/../x"]),
        st.dictionaries(name, value, max_size=4),
        st.dictionaries(name, st.binary(max_size=60), max_size=2),
    )
    def ask(path, form, files):
        began = time.monotonic()
        form = {key: text for key, text in form.items() if key not in files and not (key == "text" and text.strip())}
        reply = httpx.post(url + path, data=form, files=files, timeout=30)
        assert reply.status_code < 500, (path, form, files, reply.text)
        assert time.monotonic() - began < 30

    ask()


def test_no_message_is_a_fault(serve):
    url = serve(Limits()).replace("http", "ws") + "/live"

    @FEW
    @given(st.lists(message, min_size=1, max_size=4))
    def send(messages):
        with connect(url, open_timeout=20, max_size=None) as visit:
            with suppress(ConnectionClosed):
                for one in messages:
                    visit.send(one)
                visit.send(json.dumps({}))
                for _ in range(4):
                    visit.recv(timeout=30)
            assert visit.close_code != 1011, (messages, visit.close_reason)  # a fault of the server

    send()
