"""The command ``vast-runtime``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .errors import AvatarError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, or 2 for wrong input."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.command == "speak":
            _speak(asked)
        else:
            _serve(asked)
    except AvatarError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - it is the program's answer
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _speak(asked: argparse.Namespace) -> None:
    from .avatar import load

    avatar = load(asked.file, threads=asked.threads)
    style = avatar.style(asked.style, strength=asked.strength, factors=dict(asked.factors))
    print(avatar.write(asked.out, asked.audio, style, force=asked.force))  # noqa: T201


def _serve(asked: argparse.Namespace) -> None:
    from .avatar import load
    from .serving import server

    with server(load(asked.file, threads=asked.threads), asked.host, asked.port) as running:
        host, port = running.server_address[:2]
        print(f"http://{host!s}:{port}", flush=True)  # noqa: T201
        running.serve_forever()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("vast-runtime", description="Let an avatar of vast speak, without torch.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    speak = commands.add_parser("speak", help="write a video of the avatar speaking")
    speak.add_argument("file", type=Path, metavar="FILE.vast", help="a file of `vast pack --format onnx`")
    speak.add_argument("--audio", type=Path, required=True, help="sound or video file to speak")
    speak.add_argument("--out", type=Path, required=True, help="video to write (mp4)")
    speak.add_argument(
        "--style", help="name of a style of the avatar, or a file of `vast style save`; default: neutral"
    )
    speak.add_argument("--strength", type=float, default=1.0, help="0 is neutral, above 1 exaggerates; default: 1")
    speak.add_argument(
        "--style-factor", dest="factors", action="append", default=[], type=_factor, metavar="NAME=VALUE",
        help="change a factor of the style by a value from -1 to +1; may be repeated",
    )  # fmt: skip
    speak.add_argument("--force", action="store_true", help="overwrite the video")
    serve = commands.add_parser("serve", help="a web page, and POST /speak for programs")
    serve.add_argument("file", type=Path, metavar="FILE.vast", help="a file of `vast pack --format onnx`")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    serve.add_argument("--port", type=int, default=8000, help="port; 0 chooses a free one; default: 8000")
    for command in (speak, serve):
        command.add_argument("--threads", type=int, default=1, help="threads of each network; default: 1")
    return parser


def _factor(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE, such as smile=+1") from error


if __name__ == "__main__":
    sys.exit(main())
