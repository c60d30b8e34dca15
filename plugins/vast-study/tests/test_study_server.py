"""A judge's way from the join page to the thanks, by plain forms: what JavaScript adds is tested in a browser."""

from __future__ import annotations

import csv
import io

from vast_study.tables import Judge, Task, Vote


def there(reply):
    assert reply.status_code == 303, (reply.status_code, reply.text)
    return reply.headers["location"]


def test_a_judge_goes_all_the_way(room):
    person = room.judge(until="consent")
    assert there(person.get("/go")) == "/consent"
    person.agree()
    assert there(person.get("/go")) == "/headphones"
    person.hear()
    assert there(person.get("/go")) == "/clip/1"
    assert "Practice clip 1 of 1" in person.get("/clip/1").text
    person.practise()
    assert person.row.trained == room.now
    rated = [task for task in person.tasks if task.block]
    assert "Clip 1 of 6" in person.get("/clip/2").text
    for task in rated:
        place = task.position + 1
        assert there(person.get("/go")) == f"/clip/{place}"
        person.watch(place)
        onward = there(person.score(place, 5, 3, 1))
        if task is rated[-1] or task.block != rated[rated.index(task) + 1].block:
            assert onward == "/review"
            assert person.get("/review").status_code == 200
            end = there(person.post(f"/part/{task.block}/finish"))
            assert end == ("/thanks" if task is rated[-1] else "/pause")
            assert person.get(end).status_code == 200
        else:
            assert onward == f"/clip/{place + 1}"
    judge = person.row
    assert judge.finished == room.now
    assert judge.completion_code in person.get("/thanks").text
    assert len(room.rows(Vote)) == 3 * len(person.tasks)
    assert {(vote.question, vote.score) for vote in room.rows(Vote)} >= {("sync", 5), ("expression", 3), ("natural", 1)}


def test_the_join_page_keeps_nothing_before_consent(room):
    person = room.visitor()
    assert "Begin" in person.get("/").text
    token = person.token("/consent")
    assert room.rows(Judge) == []
    assert person.post("/consent", {"answer": "decline"}, token=token).status_code == 200
    assert room.rows(Judge) == []
    assert there(person.post("/consent", {"answer": "agree"}, token=person.token("/consent"))) == "/link"
    assert len(room.rows(Judge)) == 1


def test_who_declines_a_personal_link_is_asked_nothing_more(room):
    person = room.judge(until="consent")
    assert person.post("/consent", {"answer": "decline"}, token=person.token("/consent")).status_code == 200
    assert person.row.withdrawn == room.now
    assert person.row.consented is None


def test_the_personal_link_goes_on_elsewhere(room):
    person = room.judge(until="rating")
    person.watch(2)
    assert person.score(2, 4, 4, 4).status_code == 303
    assert f"http://study.test/j/{person.link}" in person.get("/link").text
    other = room.client()
    assert there(other.get(f"/j/{person.link}")) == "/go"
    assert there(other.get("/go")) == "/clip/3"
    assert 'value="4" required checked' in other.get("/clip/2").text


def test_a_score_may_be_changed_until_its_part_ends(room):
    person = room.judge(until="rating")
    for task in person.tasks:
        if task.block == 1:
            person.watch(task.position + 1)
            person.score(task.position + 1, 2, 2, 2)
    changed = person.post("/clip/2/scores", {"score-sync": "5", "version-sync": "0"}, json=True)
    assert changed.json()["votes"]["sync"] == {"score": 5, "version": 1}
    task = person.tasks[1]
    vote = room.rows(Vote, task_id=task.id, question="sync")[0]
    assert (vote.score, vote.changes) == (5, 1)
    assert vote.changed > vote.given
    assert there(person.post("/part/1/finish")) == "/pause"
    late = person.post("/clip/2/scores", {"score-sync": "1", "version-sync": "1"}, json=True)
    assert late.status_code == 409
    assert room.rows(Vote, task_id=task.id, question="sync")[0].score == 5
    assert there(person.get("/clip/2")) == "/go"


def test_practice_tells_what_was_expected(room):
    person = room.judge()
    person.watch(1)
    assert there(person.score(1, 1, 3, 2)) == "/clip/1/feedback"
    page = person.get("/clip/1/feedback").text
    assert "The lips match well." in page
    assert "You gave 1; 4 to 5 would be expected here." in page
    assert "You gave 2, as most people would." in page
    assert "Expressiveness" not in page


def test_wrong_tones_are_asked_again_with_other_tones(room):
    person = room.judge(until="headphones")
    first = person.get("/headphones/0/1")
    assert first.headers["content-type"] == "audio/wav"
    assert first.content[:4] == b"RIFF"
    wrong = person.post("/headphones", {"attempt": "0"} | {f"trial-{i}": "1" for i in range(1, 7)})
    assert "try again" in wrong.text
    assert 'src="/headphones/1/1"' in wrong.text
    assert person.row.heard is None
    assert person.post("/headphones", {"attempt": "0", "trial-1": "1"}).status_code == 422


def test_incomplete_forms_keep_what_they_have_and_say_what_is_missing(room):
    person = room.judge(until="rating")
    person.watch(2)
    reply = person.post("/clip/2/scores", {"score-sync": "3"})
    assert reply.status_code == 422
    assert "Please answer all questions" in reply.text
    assert len(room.rows(Vote, task_id=person.tasks[1].id)) == 1
    assert person.post("/part/1/finish").status_code == 409


def test_withdrawing_marks_and_ends(room):
    person = room.judge(until="rating")
    token = person.token("/withdraw")
    person.watch(2)
    assert there(person.post("/withdraw")) == "/withdrawn"
    assert person.row.withdrawn == room.now
    assert there(person.get("/go")) == "/withdrawn"
    assert person.post("/clip/2/scores", {"score-sync": "3"}, token=token, json=True).status_code == 410
    assert person.post("/part/1/finish", token=token).status_code == 410


def test_the_join_page_closes_when_as_many_as_wanted_have_begun(room):
    for _ in range(room.study.judges):
        room.judge(until="headphones")
    assert "takes no new judges" in room.client().get("/").text
    assert room.judge(until="headphones").row.consented == room.now, "invited by a personal link"


def experimenter(room):
    person = room.visitor()
    assert person.get("/experimenter").status_code == 401
    assert (
        there(person.post("/experimenter/login", {"token": room.token}, token=person.token("/experimenter")))
        == "/experimenter"
    )
    return person


def test_the_experimenter_sees_how_far_everyone_is(room):
    one, _two = room.judge(until="rating"), room.judge(until="headphones")
    one.watch(2)
    one.score(2, 3, 3, 3)
    page = experimenter(room).get("/experimenter").text
    assert "rating" in page
    assert "headphones check" in page
    assert "1 of 6" in page
    assert "frost-secret" in page


def test_links_are_made_and_shown_once(room):
    person = experimenter(room)
    token = person.token("/experimenter")
    made = person.post("/experimenter/links", {"count": "2"}, token=token)
    assert made.text.count("http://study.test/j/") == 2
    assert "http://study.test/j/" not in person.get("/experimenter").text
    link = made.text.split("http://study.test/j/")[1][:32]
    assert there(room.client().get(f"/j/{link}")) == "/go"
    for wrong in ("0", "201", "-1", "x", ""):
        assert person.post("/experimenter/links", {"count": wrong}, token=token).status_code == 422


def test_the_experimenter_closes_the_join_page(room):
    person = experimenter(room)
    assert (
        there(person.post("/experimenter/join", {"join": "closed"}, token=person.token("/experimenter")))
        == "/experimenter"
    )
    assert "takes no new judges" in room.client().get("/").text
    visitor = room.client()
    assert there(visitor.get("/consent")) == "/"


def test_raw_votes_are_one_row_a_vote(room):
    person = room.judge(until="rating")
    person.watch(2)
    person.score(2, 5, 4, 3)
    reply = room.client().get("/experimenter/votes.csv", headers={"Authorization": f"Bearer {room.token}"})
    assert reply.status_code == 200
    rows = list(csv.DictReader(io.StringIO(reply.text)))
    assert [(row["kind"], row["question"], row["score"]) for row in rows[3:]] == [
        ("rated", "sync", "5"),
        ("rated", "expression", "4"),
        ("rated", "natural", "3"),
    ]
    assert len(rows) == len(room.rows(Vote))


def test_a_prefix_of_a_proxy_stands_before_every_address(room):
    from starlette.testclient import TestClient

    client = TestClient(room.app, "http://study.test", root_path="/mos", follow_redirects=False)
    page = client.get("/mos/")
    assert 'href="/mos/consent"' in page.text
    assert 'href="/mos/static/study.css"' in page.text
    assert client.get(f"/mos/j/{room.invite()}").headers["location"] == "/mos/go"
    assert "Path=/mos" in client.get(f"/mos/j/{room.invite()}").headers["set-cookie"]


def test_tasks_are_opened_once(room):
    person = room.judge()
    person.get("/clip/1")
    first = room.rows(Task, id=person.tasks[0].id)[0].opened
    room.now += 60
    person.get("/clip/1")
    assert room.rows(Task, id=person.tasks[0].id)[0].opened == first


def test_headphones_are_required(room):
    person = room.judge(until="headphones")
    assert "without headphones" not in person.get("/headphones").text
    assert person.post("/headphones", {"without": "1"}).status_code == 403
    assert person.row.heard is None


def test_who_has_no_headphones_goes_on_where_the_study_offers_it(offering_room):
    person = offering_room.judge(until="headphones")
    assert "Go on without headphones" in person.get("/headphones").text
    assert person.post("/headphones", {"without": "1"}).status_code == 303
    assert (person.row.heard, person.row.headphones) == (offering_room.now, False)
    other = offering_room.judge(until="training")
    assert other.row.headphones is True
