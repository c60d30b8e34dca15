"""A real server under load, and killed: no error, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import re
import statistics
import time

import httpx
import pytest

from vast_study.headphones import trials

QUESTIONS = ("sync", "expressiveness", "naturalness")
LAPTOP = {"User-Agent": "Mozilla/5.0"}


class Judge:
    """A judge by plain requests; ``times`` are seconds a vote took, ``acknowledged`` what the server said it has."""

    def __init__(self, server, link):
        self.server, self.link = server, link
        self.client = httpx.AsyncClient(base_url=server.address, follow_redirects=True, timeout=60, headers=LAPTOP)
        self.times, self.acknowledged, self.errors = [], [], []

    async def get(self, path):
        reply = await self.client.get(path)
        if reply.status_code >= 400:
            self.errors.append((path, reply.status_code))
        return reply

    async def post(self, path, fields, headers=None):
        reply = await self.client.post(path, data={"csrf": self.token} | fields, headers=headers)
        if reply.status_code >= 400:
            self.errors.append((path, reply.status_code))
        return reply

    async def begin(self, number):
        self.token = re.search(r'name="csrf" value="(\w+)"', (await self.get(self.link)).text)[1]
        await self.post("/consent", {"answer": "agree"})
        right = {f"trial-{i}": str(t.answer) for i, t in enumerate(trials(self.server.study.seed, number), 1)}
        await self.post("/headphones", {"attempt": "0"} | right)

    async def rate(self, position, scores):
        await self.get(f"/clip/{position}")
        await self.get(f"/clip/{position}/video")
        await asyncio.sleep(1.0)
        json = {"Accept": "application/json"}
        await self.post(f"/clip/{position}/played", {}, json)
        for question, score in zip(QUESTIONS, scores, strict=True):
            begun = time.perf_counter()
            reply = await self.post(f"/clip/{position}/scores", {f"score-{question}": str(score)}, json)
            self.times.append(time.perf_counter() - begun)
            if reply.status_code == 200:
                self.acknowledged.append((position - 1, question, score))


def test_acknowledged_votes_survive_a_kill(serve):
    server = serve(2, training=0, traps=0, block=4)
    links = server.invite(3)

    async def judge(number, link):
        one = Judge(server, link)
        await one.begin(number)
        try:
            for position in (1, 2, 3, 4):
                await one.rate(position, (1 + number, 5 - number, position))
        except httpx.HTTPError:
            pass  # the server is dead
        await one.client.aclose()
        return [(number, *vote) for vote in one.acknowledged]

    async def all_and_kill():
        running = [asyncio.create_task(judge(number, link)) for number, link in enumerate(links, 1)]
        await asyncio.sleep(2.6)
        server.kill()
        return await asyncio.gather(*running)

    acknowledged = {vote for votes in asyncio.run(all_and_kill()) for vote in votes}
    assert 9 <= len(acknowledged) < 36, "killed in the midst"
    server.start()
    kept = {(vote.judge, vote.position, vote.question, vote.score) for vote in server.votes()}
    assert acknowledged <= kept
    assert len(kept) - len(acknowledged) <= 3, "at most the vote of each judge that was under way"
    assert httpx.get(server.address + links[0], follow_redirects=False).status_code == 303


@pytest.mark.slow
def test_a_hundred_judges_at_once(serve, capsys):
    server = serve(2, training=0, traps=0, block=4)
    links = server.invite(100)

    async def judge(number, link):
        one = Judge(server, link)
        await one.begin(number)
        for position in (1, 2, 3, 4):
            await one.rate(position, (1 + number % 5, 1 + position, 1 + (number + position) % 5))
        page = await one.post("/part/1/finish", {})
        await one.client.aclose()
        assert "completion code" in page.text
        return one

    async def everyone():
        return await asyncio.gather(*(judge(number, link) for number, link in enumerate(links, 1)))

    begun = time.perf_counter()
    judges = asyncio.run(everyone())
    seconds = time.perf_counter() - begun
    assert [error for judge in judges for error in judge.errors] == []
    acknowledged = {(n, *vote) for n, judge in enumerate(judges, 1) for vote in judge.acknowledged}
    assert len(acknowledged) == 100 * 4 * 3
    assert {(vote.judge, vote.position, vote.question, vote.score) for vote in server.votes()} == acknowledged
    times = sorted(taken for judge in judges for taken in judge.times)
    cuts = statistics.quantiles(times, n=20)
    with capsys.disabled():
        print(f"\n100 judges, 1200 votes in {seconds:.1f} s: p50 {cuts[9] * 1e3:.0f} ms, p95 {cuts[18] * 1e3:.0f} ms")
