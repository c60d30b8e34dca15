"""Requests of any form, from a judge and from strangers: refused or answered, never a fault, never slow."""

from __future__ import annotations

import time
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vast_study.tables import Vote

PATHS = ("/", "/consent", "/headphones", "/headphones/0/1", "/withdraw", "/clip/1", "/clip/9999999999999999999999")
PATHS += ("/clip/1/scores", "/clip/1/played", "/clip/1/video", "/clip/1/practised", "/part/0/finish", "/j/x", "/review")
PATHS += (
    "/experimenter",
    "/experimenter/login",
    "/experimenter/links",
    "/experimenter/votes.csv",
    "/static/../study.py",
)
NAMES = ("csrf", "answer", "attempt", "trial-1", "score-sync", "score-natural", "token", "number", "seconds")

odd = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
path = st.one_of(
    st.sampled_from(PATHS), odd.map(lambda text: "/" + quote(text)), st.integers().map("/clip/{}/scores".format)
)
value = st.one_of(
    odd, st.integers().map(str), st.sampled_from(("", "agree", "0", "-1", "1e9", "\0", "'; drop table votes;"))
)
form = st.dictionaries(st.one_of(st.sampled_from(NAMES), odd), value, max_size=5)
headers = st.dictionaries(
    st.sampled_from(["Cookie", "Accept", "Range", "Origin", "Content-Type", "Content-Length", "X-Forwarded-For"]),
    st.one_of(
        st.sampled_from(["bytes=0-", "bytes=9-1", "bytes=-", "application/json", "multipart/form-data", "-5", "null"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
    max_size=2,
)


def test_no_request_is_a_fault(room):
    judge = room.judge(until="rating")
    token, practised = judge.token("/withdraw"), len(room.rows(Vote))

    @settings(max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(path, st.sampled_from(["GET", "POST", "PUT", "HEAD"]), form, st.binary(max_size=40), headers, st.booleans())
    def ask(where, method, fields, content, told, known):
        client = judge.client if known else room.client()
        body = {"data": {"csrf": token, **fields}} if fields else {"content": content}
        began = time.monotonic()
        reply = client.request(method, where, headers=told, **body)
        assert reply.status_code < 500, (method, where, fields, content, told, reply.status_code)
        assert time.monotonic() - began < 30
        assert "Traceback" not in reply.text

    ask()
    assert len(room.rows(Vote)) == practised, "nothing more was watched, so nothing more counts"
