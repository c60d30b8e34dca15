"""Answers to requests that are wrong or refused."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

__all__ = ["refused", "wrong"]

WORDS = {404: "there is no such page", 405: "this address cannot be used in that way"}


async def wrong(_: Request, error: Exception) -> Response:
    """What is wrong with the request, in the words of a :class:`vast_core.errors.VastError`."""
    return JSONResponse({"error": str(error)}, 400)


async def refused(_: Request, error: Any) -> Response:
    """Why the request is refused: our words begin with a small letter, and replace those of the server."""
    told = error.detail if error.detail and error.detail[0].islower() else WORDS.get(error.status_code, error.detail)
    return JSONResponse({"error": told}, error.status_code)
