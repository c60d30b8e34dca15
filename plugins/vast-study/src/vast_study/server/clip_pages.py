"""Pages for clips and their questions, practice, the ends of parts, pauses, and the end."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ..tables import Medium, Task
from . import judging
from .judging import Refusal, Score
from .security import sign
from .site import Form, endpoint, wants_json
from .visit import Visit, for_judge

NUMBER = re.compile(r"[0-9]{1,9}")


def naming(task: Task, tasks: Sequence[Task]) -> str:
    """What a judge reads about a clip: only its number."""
    alike = [each.position for each in tasks if (each.block == 0) == (task.block == 0)]
    number = alike.index(task.position) + 1
    return f"{'Clip' if task.block else 'Practice clip'} {number} of {len(alike)}"


def way(visit: Visit) -> dict[str, int]:
    """The progress of the judge, for the progress bar."""
    rated = [task for task in visit.tasks if task.block]
    votes = judging.votes_of(visit.session, rated)
    done = sum(len(votes[task.id]) == len(visit.site.study.questions) for task in rated)
    return {"total": len(rated), "done": done, "parts": max((task.block for task in rated), default=0)}


@for_judge
def clip(visit: Visit) -> Response:
    """One video and its questions."""
    if judging.stage(visit.judge, visit.tasks) not in ("training", "block"):
        return visit.to("home")
    try:
        task = visit.task()
    except Refusal as refusal:
        # an old tab or the back button: redirect to the judge's current place
        if refusal.status == 409:
            return visit.to("home")
        raise
    if task.opened is None:
        with visit.site.storage.session() as session:
            session.get_one(Task, task.id).opened = visit.now
    return clip_page(visit, task)


def clip_page(visit: Visit, task: Task, problem: str | None = None, status: int = 200) -> Response:
    """The page of a clip, with the problem of the form that was sent, if any."""
    block = visit.block
    before = task.block and task is not block[0]
    return visit.page(
        "clip.html.j2",
        status,
        label=naming(task, visit.tasks),
        training=task.block == 0,
        part=task.block,
        before=visit.address("clip", position=task.position) if before else None,
        position=task.position + 1,
        played=task.played is not None,
        votes=judging.votes_of(visit.session, [task])[task.id],
        key=sign(visit.site.key, "shelf", str(task.id))[:16],
        onward="Check" if task.block == 0 else "End of this part" if task is block[-1] else "Next clip",
        problem=problem,
        **way(visit),
    )


@for_judge
def video(visit: Visit) -> Response:
    """The video of one of the judge's own clips, in byte ranges; its name and address reveal nothing."""
    task = visit.task()
    if task.opened is None:
        raise Refusal(409, "This clip's turn has not come yet.")
    medium = visit.session.get_one(Medium, task.medium_id)
    headers = {"Cache-Control": "private, max-age=86400", "Vary": "Cookie"}
    return FileResponse(visit.site.study.media / f"{medium.id}.mp4", media_type="video/mp4", headers=headers)


@for_judge
def played(visit: Visit) -> Response:
    """Open the questions after a full playback."""
    task = visit.task()
    judging.play(visit.session, task, visit.now)
    if wants_json(visit.request):
        return JSONResponse({"played": True})
    return visit.to("clip", position=task.position + 1)


def read_scores(form: Form) -> dict[str, Score]:
    """Scores by question from ``score-NAME`` and ``version-NAME``.

    Raises:
        Refusal: 422 a value is not a number.
    """
    scores = {}
    for field, text in form.items():
        prefix, _, name = field.partition("-")
        if prefix != "score":
            continue
        version = form.get(f"version-{name}", "")
        if not NUMBER.fullmatch(text) or not (version == "" or NUMBER.fullmatch(version)):
            raise Refusal(422, "A score is a whole number.")
        scores[name] = Score(value=int(text), version=int(version) if version else None)
    return scores


@for_judge
def scores(visit: Visit) -> Response:
    """Store scores: one from a script, or all from a form, followed by the next page."""
    task, questions = visit.task(), visit.site.study.questions
    given = read_scores(visit.form)
    if wants_json(visit.request):
        votes = judging.score(visit.session, task, given, visit.site.study, visit.now)
        return JSONResponse({"votes": judging.standing(votes)})
    try:
        votes = judging.score(visit.session, task, given, visit.site.study, visit.now)
    except Refusal as refusal:
        return clip_page(visit, task, refusal.message, refusal.status)
    if len(votes) < len(questions):
        return clip_page(visit, task, "Please answer all questions.", 422)
    if task.block == 0:
        return visit.to("feedback", position=task.position + 1)
    if task is visit.block[-1]:
        return visit.to("review")
    return visit.to("clip", position=task.position + 2)


@for_judge
def feedback(visit: Visit) -> Response:
    """The expected scores of a practice clip."""
    task = visit.task()
    if task.block != 0 or judging.incomplete(visit.session, [task], visit.site.study.questions):
        return visit.to("home")
    medium = visit.session.get_one(Medium, task.medium_id)
    votes = judging.votes_of(visit.session, [task])[task.id]
    answers = []
    for question in visit.site.study.questions:
        if question.name in medium.expected:
            low, high = medium.expected[question.name]
            given = votes[question.name].score
            expected = str(low) if low == high else f"{low} to {high}"
            answers.append(Answer(question.title, given, expected, low <= given <= high))
    return visit.page(
        "feedback.html.j2",
        label=naming(task, visit.tasks),
        feedback=medium.feedback,
        answers=answers,
        all_right=bool(answers) and all(answer.right for answer in answers),
        position=task.position + 1,
        last=sum(each.closed is None for each in visit.tasks if each.block == 0) == 1,
    )


@attrs.frozen
class Answer:
    """One answer to a practice clip, beside the expected one."""

    title: str
    score: int
    expected: str
    right: bool


@for_judge
def practised(visit: Visit) -> Response:
    """End a practice clip."""
    task = visit.task()
    judging.finish_training(visit.session, visit.judge, visit.tasks, task, visit.site.study.questions, visit.now)
    return visit.to("begin") if visit.judge.trained is not None else visit.to("home")


@for_judge
def ready(visit: Visit) -> Response:
    """The page between the headphones check and the first clip."""
    media = [visit.session.get_one(Medium, task.medium_id) for task in visit.tasks if task.block == 0]
    practice, told = len(media), any(medium.expected or medium.feedback for medium in media)
    if judging.stage(visit.judge, visit.tasks) != "training":
        return visit.to("begin")
    asked = len(visit.site.study.questions)
    answers = (
        "questions from 1, the worst, to 5, the best" if asked > 1 else "a question from 1, the worst, to 5, the best"
    )
    if visit.site.study.test == "preference":
        answers = "questions by choosing left or right" if asked > 1 else "a question by choosing left or right"
    return pause_page(
        visit,
        "A little practice first",
        f"{practice} practice {'clip shows' if practice == 1 else 'clips show'} you how it works. Watch each to its "
        f"end; then answer {f'{asked} ' * (asked > 1)}{answers}.",
        f"{'After each you read what would be expected. ' if told else ''}Practice does not count.",
        label="Start the practice",
    )


@for_judge
def begin(visit: Visit) -> Response:
    """The page between the practice and the first block."""
    if judging.stage(visit.judge, visit.tasks) != "block":
        return visit.to("home")
    count, parts = way(visit)["total"], way(visit)["parts"]
    pauses = f" in {parts} parts, with a pause after each" if parts > 1 else ""
    return pause_page(
        visit,
        "Now it counts",
        f"You will see {count} clips{pauses}.",
        "Trust your first impression; there are no wrong answers. A score can be changed until its part ends.",
        label="Begin",
    )


def pause_page(visit: Visit, heading: str, *paragraphs: str, label: str) -> Response:
    """A page on which a judge may rest."""
    onward = visit.address("home")
    return visit.page("pause.html.j2", heading=heading, paragraphs=paragraphs, onward=onward, label=label, **way(visit))


@for_judge
def review(visit: Visit) -> Response:
    """The scores of a block before it is finished."""
    if judging.stage(visit.judge, visit.tasks) != "block":
        return visit.to("home")
    block = visit.block
    if judging.incomplete(visit.session, block, visit.site.study.questions):
        return visit.to("home")
    return review_page(visit, block)


def review_page(visit: Visit, block: Sequence[Task]) -> Response:
    """All clips of a block with their scores."""
    votes = judging.votes_of(visit.session, block)
    rows = [
        {
            "address": visit.address("clip", position=task.position + 1),
            "label": naming(task, visit.tasks).partition(" of ")[0],
            "scores": {name: vote.score for name, vote in votes[task.id].items()},
        }
        for task in block
    ]
    return visit.page("review.html.j2", rows=rows, part=block[0].block, **way(visit))


@for_judge
def finish(visit: Visit) -> Response:
    """End a block."""
    block, study = visit.request.path_params["block"], visit.site.study
    judging.finish_block(visit.session, visit.judge, visit.tasks, block, study.questions, visit.now)
    return visit.to("thanks") if visit.judge.finished is not None else visit.to("pause")


@for_judge
def pause(visit: Visit) -> Response:
    """The page between two blocks."""
    if judging.stage(visit.judge, visit.tasks) != "block" or visit.block[0].block == 1:
        return visit.to("home")
    part, parts = visit.block[0].block, way(visit)["parts"]
    return pause_page(
        visit,
        "Time for a pause",
        f"Part {part - 1} of {parts} is done, and all its scores are saved.",
        "Rest your eyes and ears for a minute. If you want to stop for today, close this page: your personal link "
        "brings you back here.",
        label=f"Go on with part {part}",
    )


@for_judge
def thanks(visit: Visit) -> Response:
    """The last page, with the completion code."""
    if judging.stage(visit.judge, visit.tasks) != "finished":
        return visit.to("home")
    return visit.page("thanks.html.j2", code=visit.judge.completion_code)


ROUTES = [
    Route("/clip/{position:int}", endpoint(clip), name="clip"),
    Route("/clip/{position:int}/video", endpoint(video), name="video"),
    Route("/clip/{position:int}/played", endpoint(played), methods=["POST"], name="played"),
    Route("/clip/{position:int}/scores", endpoint(scores), methods=["POST"], name="scores"),
    Route("/clip/{position:int}/feedback", endpoint(feedback), name="feedback"),
    Route("/clip/{position:int}/practised", endpoint(practised), methods=["POST"], name="practised"),
    Route("/ready", endpoint(ready), name="ready"),
    Route("/begin", endpoint(begin), name="begin"),
    Route("/review", endpoint(review), name="review"),
    Route("/part/{block:int}/finish", endpoint(finish), methods=["POST"], name="finish"),
    Route("/pause", endpoint(pause), name="pause"),
    Route("/thanks", endpoint(thanks), name="thanks"),
]
