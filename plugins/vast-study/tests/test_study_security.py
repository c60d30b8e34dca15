"""Strangers, forgers and the curious: what each of them tries is refused and changes nothing."""

from __future__ import annotations

import re
import secrets

import attrs
import pytest
from starlette.testclient import TestClient

from vast_study.enrolment import fingerprint
from vast_study.server.application import application
from vast_study.server.limits import Limit
from vast_study.server.security import BODY, is_session, neighbourhood, open_session
from vast_study.storage import open_storage
from vast_study.tables import Attempt, Judge, Medium, Vote

PAGES = ["/", "/consent", "/nowhere", "/experimenter", "/static/study.css", "/clip/1", "/j/" + "0" * 32]


@pytest.fixture
def rater(room):
    """A judge in front of the first clip that counts, not yet watched."""
    return room.judge(until="rating")


def refused(reply, status):
    assert reply.status_code == status, (reply.status_code, reply.text)
    assert "Traceback" not in reply.text
    return reply


def votes(room):
    return sorted((vote.task_id, vote.question, vote.score, vote.changes) for vote in room.rows(Vote))


# ---- headers and cookies ----


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_is_shielded(room, path):
    headers = room.client().get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    if not path.startswith("/static"):
        assert headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_script_or_style(room, rater):
    pages = [rater.get(path).text for path in ("/", "/consent", "/link", "/withdraw", "/clip/2", "/experimenter")]
    for page in pages:
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page), "nothing from elsewhere"


def test_a_failure_shows_no_trace_and_keeps_the_headers(room, rater, monkeypatch):
    monkeypatch.setattr(type(room.storage), "reading", lambda _: 1 / 0)
    reply = refused(rater.get("/clip/2"), 500)
    assert "ZeroDivisionError" not in reply.text
    assert "content-security-policy" in reply.headers


@pytest.mark.parametrize(("base", "secure"), [("http://study.test", False), ("https://study.test", True)])
def test_cookies_are_closed_to_scripts_and_other_sites(room, base, secure):
    client = TestClient(room.app, base, follow_redirects=False)
    judge = client.get(f"/j/{room.invite()}").headers["set-cookie"]
    visitor = client.get("/experimenter").headers["set-cookie"]
    for cookie in (judge, visitor):
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert ("Secure" in cookie) == secure
    token = re.search(r'name="csrf" value="(\w+)"', client.get("/experimenter").text)[1]
    signed_in = client.post("/experimenter/login", data={"csrf": token, "token": room.token}).headers["set-cookie"]
    assert "HttpOnly" in signed_in
    assert "SameSite=strict" in signed_in
    assert room.token not in signed_in


def test_another_host_is_refused_where_hosts_are_named(room):
    app = application(room.site, ["study.test"])
    assert TestClient(app, "http://study.test").get("/").status_code == 200
    assert TestClient(app, "http://evil.test").get("/").status_code == 400


# ---- who comes in ----


def test_links_have_128_bits_and_only_their_hashes_are_kept(room):
    links = {room.invite() for _ in range(20)}
    assert len(links) == 20
    assert all(re.fullmatch("[0-9a-f]{32}", link) for link in links)
    kept = {judge.link for judge in room.rows(Judge)}
    assert kept == {fingerprint(link) for link in links}
    stored = b"".join(path.read_bytes() for path in room.study.folder.glob("study.sqlite*"))
    assert not any(link.encode() in stored for link in links)


@pytest.mark.parametrize("link", ["0" * 32, "0" * 31, "A" * 32, "..%2f..%2fetc", "%00" * 32, "' OR 1=1 --"])
def test_wrong_links_open_nothing(room, link):
    room.invite()
    reply = refused(room.client().get(f"/j/{link}"), 404)
    assert "judge=" not in reply.headers.get("set-cookie", "")


def test_wrong_links_and_tokens_are_counted(room):
    client = room.client()
    good = room.invite()
    for _ in range(20):
        refused(client.get(f"/j/{secrets.token_hex(16)}"), 404)
    assert refused(client.get(f"/j/{good}"), 429).headers["retry-after"]
    refused(client.get("/experimenter", headers={"Authorization": f"Bearer {room.token}"}), 429)
    elsewhere = room.client(client=("192.0.2.7", 1))
    assert elsewhere.get(f"/j/{good}").status_code == 303


def test_joining_is_limited_for_one_address(room):
    room.site = attrs.evolve(room.site, joins=Limit("joins", 3, 600))
    room.app = application(room.site)
    for expected in (303, 303, 303, 429):
        person = room.visitor()
        reply = person.post("/consent", {"answer": "agree"}, token=person.token("/consent"))
        assert reply.status_code == expected
    assert len(room.rows(Judge)) == 3


def test_limits_forget_with_time_and_keep_no_address(room):
    limit = Limit("guesses", 2, 10)

    def reached(address, now):
        with room.storage.reading() as session:
            return limit.reached(session, "key", address, now)

    for address, now in (("192.0.2.1", 0.0), ("192.0.2.1", 1.0), ("192.0.2.9", 2.0)):
        with room.storage.session() as session:
            limit.count(session, "key", address, now)
    assert reached("192.0.2.1", 9.9)
    assert not reached("192.0.2.9", 9.9)
    assert not reached("192.0.2.1", 10.5)
    assert len(room.rows(Attempt)) == 3
    assert not any("192.0.2" in row.address for row in room.rows(Attempt))
    with room.storage.session() as session:
        limit.count(session, "key", "192.0.2.9", 11.5)
    assert sorted(row.at for row in room.rows(Attempt)) == [2.0, 11.5]  # what has expired is removed


def test_limits_hold_for_two_servers_of_one_study(room):
    storage = open_storage(room.study)
    other = application(attrs.evolve(room.site, storage=storage))
    clients = [room.client(), TestClient(other, "http://study.test", follow_redirects=False)]
    for number in range(20):
        refused(clients[number % 2].get(f"/j/{secrets.token_hex(16)}"), 404)
    for client in clients:
        refused(client.get(f"/j/{room.invite()}"), 429)
    storage.close()


def test_a_network_of_ipv6_counts_as_one():
    assert neighbourhood("2001:db8:1:2::5") == neighbourhood("2001:db8:1:2:ffff::9")
    assert neighbourhood("2001:db8:1:2::5") != neighbourhood("2001:db8:1:3::5")
    assert neighbourhood("192.0.2.1") != neighbourhood("192.0.2.2")


@pytest.mark.parametrize("path", ["/go", "/clip/1", "/clip/1/video", "/link", "/thanks", "/review", "/headphones/0/1"])
def test_judges_pages_need_a_judge(room, path):
    room.judge()
    refused(room.client().get(path), 401)
    refused(room.client(cookies={"judge": "0" * 32}).get(path), 401)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Bearer 00"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic x"},
        {"Cookie": "experimenter=9999999999.00"},
    ],
)
def test_the_experimenters_pages_need_the_token(room, header):
    room.judge()
    for path in ("/experimenter", "/experimenter/votes.csv"):
        reply = room.client().get(path, headers=header)
        assert reply.status_code in (401, 403)
        assert "frost-secret" not in reply.text
    for path in ("/experimenter/links", "/experimenter/join", "/experimenter/logout"):
        assert room.client().post(path, data={"count": "1", "join": "closed"}, headers=header).status_code in (401, 403)


def test_a_session_of_the_experimenter_ends_and_cannot_be_forged():
    cookie = open_session("key", "kept", 1000.0)
    assert is_session("key", "kept", cookie, 1001.0)
    assert not is_session("key", "kept", cookie, 1000.0 + 13 * 3600)
    assert not is_session("key", "another token", cookie, 1001.0)
    assert not is_session("another key", "kept", cookie, 1001.0)
    until, _, signature = cookie.partition(".")
    assert not is_session("key", "kept", f"{int(until) + 1}.{signature}", 1001.0)
    assert not is_session("key", "kept", "", 0.0)
    assert not is_session("key", "kept", "é.é", 0.0)


def test_a_judge_is_no_experimenter(room, rater):
    assert rater.get("/experimenter").status_code == 401
    rater.client.cookies.set("experimenter", rater.link)
    assert rater.get("/experimenter/votes.csv").status_code == 401


# ---- forged votes ----


def test_no_vote_before_the_playback(room, rater):
    before = votes(room)
    rater.get("/clip/2")
    refused(rater.score(2, 5, 5, 5, json=True), 409)
    refused(rater.score(2, 5, 5, 5), 409)
    room.now += 3.0  # of 4 seconds
    refused(rater.post("/clip/2/played", json=True), 409)
    refused(rater.score(2, 5, 5, 5, json=True), 409)
    assert votes(room) == before
    room.now += 1.0
    assert rater.post("/clip/2/played", json=True).json() == {"played": True}
    assert rater.score(2, 5, 5, 5, json=True).status_code == 200


def test_a_playback_counts_from_the_opening_of_its_page(room, rater):
    room.now += 1000
    refused(rater.post("/clip/2/played", json=True), 409)


@pytest.mark.parametrize("value", ["0", "6", "-1", "3.0", "1e0", "", " 3", "³", "١", "true", "99999999999999999999"])
def test_scores_out_of_range_are_refused(room, rater, value):
    rater.watch(2)
    before = votes(room)
    refused(rater.post("/clip/2/scores", {"score-sync": value}, json=True), 422)
    refused(rater.post("/clip/2/scores", {"score-natural": "3", "score-sync": value}, json=True), 422)
    assert votes(room) == before


@pytest.mark.parametrize("name", ["beauty", "", "sync' --", "SYNC", "judge_id"])
def test_unknown_questions_are_refused(room, rater, name):
    rater.watch(2)
    before = votes(room)
    refused(rater.post("/clip/2/scores", {"score-sync": "3", f"score-{name}": "3"}, json=True), 422)
    assert votes(room) == before


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_form_without_its_token_is_refused(room, rater, token):
    rater.watch(2)
    before = votes(room)
    for path in ("/clip/2/scores", "/clip/2/played", "/part/1/finish", "/withdraw", "/headphones"):
        refused(rater.client.post(path, data={"csrf": token, "score-sync": "5"}), 403)
        refused(rater.client.post(path, data={"score-sync": "5"}), 403)
    assert votes(room) == before
    assert rater.row.withdrawn is None


def test_a_form_of_another_judge_is_refused(room, rater):
    other = room.judge(until="rating")
    for person in (rater, other):
        person.watch(2)
    before = votes(room)
    stolen = other.token("/withdraw")
    refused(rater.post("/clip/2/scores", {"score-sync": "1"}, token=stolen, json=True), 403)
    assert votes(room) == before


def test_a_form_from_another_site_is_refused(room, rater):
    rater.watch(2)
    for sender in ("cross-site", "same-site"):
        reply = rater.post("/clip/2/scores", {"score-sync": "1"}, json=True, headers={"Sec-Fetch-Site": sender})
        refused(reply, 403)


def test_addresses_reach_only_the_judges_own_clips(room, rater):
    other = room.judge(until="rating")
    other.watch(2)
    before = votes(room)
    rater.get("/clip/2")
    room.now += 10
    assert rater.post("/clip/2/played", json=True).status_code == 200
    assert rater.score(2, 1, 1, 1, json=True).status_code == 200
    changed = set(votes(room)) - set(before)
    assert {task for task, *_ in changed} == {rater.tasks[1].id}, "position 2 is this judge's own, and nobody else's"


@pytest.mark.parametrize("position", [0, 5, 7, 8, 10**12])
def test_clips_out_of_turn_are_refused(room, rater, position):
    before = votes(room)
    status = 409 if position in (5, 7) else 404
    for path in ("video", "scores", "played"):
        if path == "video":
            refused(rater.get(f"/clip/{position}/{path}"), status)
        else:
            refused(rater.post(f"/clip/{position}/{path}", {"score-sync": "5"}, json=True), status)
    assert votes(room) == before


def test_an_old_request_sent_again_changes_nothing(room, rater):
    rater.watch(2)
    first = {"score-sync": "2", "version-sync": ""}
    second = {"score-sync": "4", "version-sync": "0"}
    third = {"score-sync": "2", "version-sync": "1"}
    for fields in (first, second):
        assert rater.post("/clip/2/scores", fields, json=True).status_code == 200
    before = votes(room)
    refused(rater.post("/clip/2/scores", first, json=True), 409)
    assert rater.post("/clip/2/scores", second, json=True).status_code == 200, "what stands may be acknowledged again"
    assert votes(room) == before
    assert rater.post("/clip/2/scores", third, json=True).status_code == 200
    stale = refused(rater.post("/clip/2/scores", second, json=True), 409)
    assert stale.json()["votes"]["sync"] == {"score": 2, "version": 2}
    assert rater.post("/part/1/finish").status_code == 409
    mixed = {"score-natural": "5", "version-natural": "", "score-sync": "5", "version-sync": "0"}
    before = votes(room)
    refused(rater.post("/clip/2/scores", mixed, json=True), 409)
    assert votes(room) == before, "all or none"


def test_a_part_is_finished_once_and_in_turn(room, rater):
    refused(rater.post("/part/2/finish"), 409)
    refused(rater.post("/part/0/finish"), 409)
    refused(rater.post("/clip/2/practised"), 409)
    refused(rater.post("/clip/1/practised"), 409)


def test_bodies_have_a_limit_and_one_form(room, rater):
    refused(rater.client.post("/clip/2/scores", content=b"a=" + b"x" * BODY), 413)
    chunks = (b"x" * 1024 for _ in range(64))
    refused(rater.client.post("/clip/2/scores", content=chunks), 413)
    refused(rater.client.post("/clip/2/scores", json={"score-sync": 5}), 415)
    refused(rater.client.post("/clip/2/scores", files={"a": b"b"}), 415)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(rater.client.post("/clip/2/scores", content=b"csrf=1&csrf=2", headers=form), 422)
    refused(rater.client.post("/clip/2/scores", content=b"csrf=%ff", headers=form), 422)
    refused(rater.client.post("/clip/2/scores", content=b"&".join(b"%d=1" % i for i in range(200)), headers=form), 422)
    refused(rater.client.get("/clip/2/scores"), 405)
    refused(rater.client.put("/clip/2/scores"), 405)


# ---- what the browser gets ----


def test_no_name_of_a_system_or_file_reaches_a_judge(room):
    person = room.judge(until="consent")
    seen = []
    person.client.event_hooks["response"].append(
        lambda reply: seen.append((str(reply.url), reply.headers, reply.read()))
    )
    person.agree()
    person.hear()
    person.practise()
    for task in person.tasks[1:]:
        person.watch(task.position + 1)
        person.get(f"/clip/{task.position + 1}/video")
        if person.score(task.position + 1, 3, 3, 3).headers["location"] == "/review":
            person.get("/review")
            person.post(f"/part/{task.block}/finish")
            person.get("/pause")
    assert person.get("/thanks").status_code == 200
    media = room.rows(Medium)
    words = {"ember", "frost", ".mp4", "study.sqlite", str(room.study.folder)} | {medium.id for medium in media}
    words |= {medium.clip for medium in media} - {"one", "two", "practice"}
    assert len(seen) > 40
    for address, headers, body in seen:
        text = f"{address} {headers}".lower()
        if not address.endswith("/video"):
            text += body.decode(errors="replace").lower()
        assert not [word for word in words if word.lower() in text], address


def test_videos_come_in_ranges_to_their_judge_alone(room, rater):
    refused(rater.get("/clip/2/video"), 409)
    rater.get("/clip/2")
    whole = rater.get("/clip/2/video")
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"].startswith("private")
    assert whole.headers["accept-ranges"] == "bytes"
    assert "content-disposition" not in whole.headers
    own = (room.study.media / f"{rater.tasks[1].medium_id}.mp4").read_bytes()
    assert whole.content == own
    part = rater.get("/clip/2/video", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, own[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(own)}"
    assert rater.get("/clip/2/video", headers={"Range": f"bytes={len(own)}-"}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../study.py",
        "/static/..%2f..%2fstudy.py",
        "/static/%2e%2e/%2e%2e/study.py",
        "/static//etc/passwd",
        "/static/..\\study.py",
        "/clip/..%2f..%2f/video",
        "/media/x.mp4",
        "/study.sqlite",
        "/clip/2%00/video",
    ],
)
def test_no_path_leads_outside(room, rater, path):
    reply = rater.client.get(path)
    assert reply.status_code in (404, 400)
    assert "class Study" not in reply.text
    assert "root:" not in reply.text
