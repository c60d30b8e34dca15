"""The headphones check: tones that headphones keep separate and loudspeakers mix."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import Route

from ..headphones import Trial, passed, trials
from . import judging
from .judging import Refusal
from .site import endpoint
from .visit import Visit, for_judge


def _trials(visit: Visit, attempt: object) -> tuple[int, Sequence[Trial]]:
    """Different tones for each attempt, the same if a page is loaded again."""
    text = str(attempt)
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise Refusal(422, "Please load this page again.")
    return int(text), trials(visit.site.study.seed, visit.judge.number, int(text))


@for_judge
def headphones(visit: Visit) -> Response:
    """The check, with as many attempts as needed."""
    if judging.stage(visit.judge, visit.tasks) != "headphones":
        return visit.to("home")
    if visit.request.method == "GET":
        return _page(visit, 0)
    if "without" in visit.form:
        if visit.site.study.headphones == "required":
            raise Refusal(403, "This study needs headphones.")
        return _onward(visit, worn=False)
    attempt, asked = _trials(visit, visit.form.get("attempt"))
    answers = [visit.form.get(f"trial-{number}", "") for number in range(1, len(asked) + 1)]
    if not all(answer in ("1", "2", "3") for answer in answers):
        return _page(visit, attempt, "Please answer in every line.", 422)
    if not passed(asked, [int(answer) for answer in answers]):
        return _page(
            visit,
            attempt + 1,
            "Some answers were not right. Please put your headphones on properly, choose a quiet place, and try again "
            "with these new tones.",
        )
    return _onward(visit, worn=True)


def _onward(visit: Visit, *, worn: bool) -> Response:
    visit.judge.heard, visit.judge.headphones = visit.now, worn
    if judging.stage(visit.judge, visit.tasks) == "block":
        visit.judge.trained = visit.now  # this study has no practice
    return visit.to("ready")


def _page(visit: Visit, attempt: int, problem: str | None = None, status: int = 200) -> Response:
    _, asked = _trials(visit, attempt)
    return visit.page("headphones.html.j2", status, attempt=attempt, count=len(asked), problem=problem)


@for_judge
def tones(visit: Visit) -> Response:
    """The sound of one trial; its address does not reveal the answer."""
    _, asked = _trials(visit, visit.request.path_params["attempt"])
    number = visit.request.path_params["trial"]
    if not 1 <= number <= len(asked):
        raise Refusal(404, "There is no such sound.")
    headers = {"Cache-Control": "private, max-age=3600", "Vary": "Cookie"}
    return Response(asked[number - 1].wav(), media_type="audio/wav", headers=headers)


ROUTES = [
    Route("/headphones", endpoint(headphones), methods=["GET", "POST"], name="headphones"),
    Route("/headphones/{attempt:int}/{trial:int}", endpoint(tones), name="tones"),
]
