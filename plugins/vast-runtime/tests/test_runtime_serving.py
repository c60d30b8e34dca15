"""The server of the runtime refuses what it should not answer."""

from __future__ import annotations

import io
import socket
import threading
import wave
from contextlib import contextmanager, suppress

import pytest

from vast_runtime import AvatarError, serving

SECOND = b"\0\0" * 16_000


class Speaker:
    """Stands for an avatar; its video is the length of the sound."""

    name, styles, factors = "ann", ["happy"], []

    def style(self, named, *, strength, factors):
        return named

    def write(self, out, speech, style):
        out.write_text(str(len(speech)))
        return out


def sound(seconds):
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(SECOND * seconds)
    return content.getvalue()


@contextmanager
def running(host="127.0.0.1"):
    with serving.server(Speaker(), host, 0) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def answer(port, *lines, body=b"", whole=True):
    """What the server answers to a request of these lines."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        if whole:
            client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def speak(port, body, *lines, **more):
    return answer(port, "POST /speak HTTP/1.1", "Host: localhost", *lines, "Connection: close", body=body, **more)


def length(body):
    return f"Content-Length: {len(body)}"


def test_a_sound_is_answered():
    with running() as port:
        told = speak(port, sound(1), length(sound(1)), f"Origin: http://localhost:{port}", f"Host: localhost:{port}")
        assert b" 403 " in told.splitlines()[0], "two hosts"
        told = speak(port, sound(1), length(sound(1)), "Origin: http://localhost")
    assert b" 200 " in told.splitlines()[0]
    assert told.endswith(b"16000")


@pytest.mark.parametrize(
    "lines",
    [
        ["POST /speak HTTP/1.1", "Host: localhost:8000", "Origin: http://evil.example", "Content-Length: 0"],
        ["POST /speak HTTP/1.1", "Host: localhost:8000", "Origin: http://localhost:1", "Content-Length: 0"],
        ["POST /speak HTTP/1.1", "Host: localhost:8000", "Origin: null", "Content-Length: 0"],
        ["POST /speak HTTP/1.1", "Host: evil.example", "Origin: http://evil.example", "Content-Length: 0"],
        ["GET / HTTP/1.1", "Host: evil.example"],
        ["GET / HTTP/1.1", "Host: ["],
        ["GET /avatar HTTP/1.1"],
    ],
)
def test_other_sites_are_refused(lines):
    with running() as port:
        assert answer(port, *lines).startswith(b"HTTP/1.1 403 ")


def test_a_server_for_others_has_any_name():
    with running("0.0.0.0") as port:
        assert answer(port, "GET / HTTP/1.1", "Host: avatar.example").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 411),
        (["Content-Length: 1", "Content-Length: 2"], 411),
        (["Content-Length: 1", "Transfer-Encoding: chunked"], 411),
        (["Content-Length: -1"], 400),
        (["Content-Length: " + "9" * 5000], 400),
        ([f"Content-Length: {2**27}"], 413),
        (["Content-Length: 900000"], 408),
    ],
)
def test_the_length_is_checked(lines, status):
    with running() as port:
        assert speak(port, b"", *lines).startswith(b"HTTP/1.1 %d " % status)


def test_a_long_sound_is_refused(monkeypatch):
    monkeypatch.setattr(serving, "SECONDS", 2)
    with running() as port:
        assert speak(port, sound(2), length(sound(2))).startswith(b"HTTP/1.1 200 ")
        assert b"give a sound of at most 2 s" in speak(port, sound(3), length(sound(3)))


def test_a_client_that_sends_slowly_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(serving, "PATIENCE", 2.5)
    with running() as port:
        assert speak(port, b"RIFF", "Content-Length: 99", whole=False).startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.settimeout(0.1)
            for _ in range(100):  # a byte now and then
                client.sendall(b"x")
                with suppress(TimeoutError):
                    client.recv(99)
                    return
        pytest.fail("it was waited for")


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_told(port):
    with pytest.raises(AvatarError, match=f"{port}: is no port"):
        serving.server(Speaker(), "127.0.0.1", port)
