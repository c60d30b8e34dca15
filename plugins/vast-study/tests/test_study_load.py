"""A real server under load, and killed: no error, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from vast_study.headphones import trials
from vast_study.storage import open_storage
from vast_study.votes import raw_votes

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


# ------------------------------------------------------------------- PostgreSQL, two servers, and kill -9

JUDGES = int(os.environ.get("VAST_JUDGES", "0"))


class Postgres:
    """A database server of the test's own; run as root, it is the user ``postgres``, because it refuses root."""

    def __init__(self, folder):
        self.folder, self.user = folder, "postgres" if os.geteuid() == 0 else None
        self.bin = Path(shutil.which("postgres")).resolve().parent
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folder.mkdir()
        if self.user:
            shutil.chown(folder, self.user)
            for parent in folder.parents[:3]:
                parent.chmod(parent.stat().st_mode | 0o055)
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", str(folder / "data"))
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "study")

    @property
    def url(self):
        return f"postgresql+pg8000://postgres@127.0.0.1:{self.port}/study"

    def _run(self, program, *words):
        subprocess.run([self.bin / program, *words], check=True, capture_output=True, user=self.user, cwd=self.folder)

    def start(self):
        options = (
            f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=250"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", log, "-o", options)

    def kill(self):
        """Kill the server and all its workers at once; the next start recovers from its log."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        workers = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=False)
        for each in (pid, *map(int, workers.stdout.split())):
            os.kill(each, signal.SIGKILL)
        (self.folder / "data" / "postmaster.pid").unlink()

    def stop(self):
        subprocess.run(
            [self.bin / "pg_ctl", "stop", "-m", "immediate", "-D", str(self.folder / "data")],
            capture_output=True,
            user=self.user,
            cwd=self.folder,
            check=False,
        )


@pytest.fixture
def postgres(tmp_path):
    if not JUDGES:
        pytest.skip("it takes two quiet cores and minutes: set VAST_JUDGES=300")
    if shutil.which("postgres") is None:
        pytest.skip("PostgreSQL is not installed: its program `postgres` is not on the path")
    pytest.importorskip("pg8000", reason="the driver pg8000 is not installed")
    made = Postgres(tmp_path / "postgres")
    yield made
    made.stop()


class Steady(Judge):
    """A judge who goes on at the other server when one is dead, and tries again until a vote is acknowledged."""

    def __init__(self, servers, link):
        super().__init__(servers[0], link)
        self.servers = servers

    async def insist(self, act):
        for attempt in range(60):
            try:
                reply = await act()
                if reply.status_code < 500:
                    return reply
            except httpx.HTTPError:
                self.servers = self.servers[1:] + self.servers[:1]
                self.client.base_url = self.servers[0].address
            await asyncio.sleep(0.2 + 0.05 * attempt)
        raise AssertionError("no server answers")

    async def get(self, path):
        return await self.insist(lambda: self.client.get(path))

    async def post(self, path, fields, headers=None):
        return await self.insist(lambda: self.client.post(path, data={"csrf": self.token} | fields, headers=headers))


@pytest.mark.slow
def test_many_judges_on_two_servers_and_postgresql_lose_no_vote(postgres, serve_with, capsys):
    """One server is killed, then the database, then both; every vote that was acknowledged is kept, once."""
    servers = serve_with(2, 1, f"database: {postgres.url}\n", training=0, traps=0, block=2)
    servers[1].token = servers[0].token
    links = [link for start in range(0, JUDGES, 100) for link in servers[0].invite(min(100, JUDGES - start))]

    async def judge(number, link):
        one = Steady([servers[number % 2], servers[(number + 1) % 2]], link)
        await one.begin(number)
        for position in (1, 2):
            await one.rate(position, (1 + number % 5, 1 + position, 1 + (number + position) % 5))
        await one.client.aclose()
        return one

    async def disturb():
        loop = asyncio.get_running_loop()
        for kill, start in (
            (servers[1].kill, servers[1].start),
            (postgres.kill, postgres.start),
            (lambda: (servers[0].kill(), postgres.kill()), lambda: (postgres.start(), servers[0].start())),
        ):
            await asyncio.sleep(3)
            kill()
            await asyncio.sleep(0.5)
            await loop.run_in_executor(None, start)

    async def everyone():
        running = [asyncio.create_task(judge(number, link)) for number, link in enumerate(links, 1)]
        await disturb()
        return await asyncio.gather(*running)

    begun = time.perf_counter()
    judges = asyncio.run(everyone())
    seconds = time.perf_counter() - begun
    acknowledged = {(n, *vote) for n, one in enumerate(judges, 1) for vote in one.acknowledged}
    assert len(acknowledged) == JUDGES * 2 * 3
    storage = open_storage(servers[0].study)
    with storage.reading() as session:
        kept = [(vote.judge, vote.position, vote.question, vote.score) for vote in raw_votes(session, storage.study)]
    storage.close()
    assert len(kept) == len(set(kept)), "a vote is there twice"
    assert set(kept) == acknowledged
    with capsys.disabled():
        print(f"\n{JUDGES} judges, 2 servers, 4 kills, {len(kept)} votes in {seconds:.1f} s: none lost")
