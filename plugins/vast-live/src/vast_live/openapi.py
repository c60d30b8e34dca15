"""The description of what programs may ask (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from vast_core import __version__

__all__ = ["described"]

_ERROR = {"application/json": {"schema": {"type": "object", "properties": {"error": {"type": "string"}}}}}
_REFUSALS = {
    "400": {"description": "The request is wrong; the message says what.", "content": _ERROR},
    "413": {"description": "The request or its sound is too large.", "content": _ERROR},
    "503": {"description": "All places are taken; try again later.", "content": _ERROR},
}
_FILE = {"type": "string", "format": "binary"}

LIVE = """\
WebSocket `/live`. The server first sends JSON: `mime`, the type of the stream, and `latency` in seconds. All binary
messages after it, joined, are one fragmented MP4 that never ends. JSON in between has news: `moments`, `left_out`
(pictures for which there was no time), `stalled` and `waiting` (seconds), `style`, or `error`.

Binary messages to the server are sound to speak: 16-bit samples, little-endian, one channel, 16,000 a second. JSON
messages are `{"do": "say", "text": "..."}`, `{"do": "interrupt"}`, and
`{"do": "style", "style": "NAME" or null, "strength": 1.0, "factors": {"smile": 0.5}}`."""


def described(name: str, address: str) -> dict[str, Any]:
    """The OpenAPI document of the server at ``address``, which serves the avatar ``name``."""
    speak = {
        "type": "object",
        "properties": {
            "audio": {**_FILE, "description": "A sound file, or a video with sound."},
            "text": {"type": "string", "description": "English text to speak instead of `audio`."},
            "style": {"description": "A clip, or the name of a style.", "anyOf": [_FILE, {"type": "string"}]},
            "strength": {"type": "number", "default": 1, "description": "0 is neutral, above 1 exaggerates."},
            "factors": {"type": "string", "description": 'JSON, such as {"smile": 0.5}; each from -1 to 1.'},
        },
    }
    clip = {"type": "object", "required": ["clip"], "properties": {"clip": _FILE}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{name}, an avatar of vast", "version": __version__, "description": LIVE},
        "servers": [{"url": address.rstrip("/")}],
        "paths": {
            "/speak": {
                "post": {
                    "summary": "A video of the avatar that speaks a sound or a text",
                    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": speak}}},
                    "responses": {
                        "200": {
                            "description": "Fragmented MP4, sent while it is made.",
                            "content": {"video/mp4": {"schema": _FILE}},
                        },
                        **_REFUSALS,
                    },
                }
            },
            "/style": {
                "post": {
                    "summary": "Read the style of a clip, which can then be used by its name",
                    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": clip}}},
                    "responses": {
                        "200": {
                            "description": "The name, and notes of the face tracker.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        },
                        **_REFUSALS,
                    },
                }
            },
            "/avatar": {
                "get": {
                    "summary": "The avatar's name, size, styles, factors and limits",
                    "responses": {
                        "200": {
                            "description": "JSON.",
                            "content": {"application/json": {"schema": {"type": "object"}}},
                        }
                    },
                }
            },
        },
    }
