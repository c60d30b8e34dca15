"""The style's descriptor against channels worked out by hand, and whether it finds the right prompt."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from vast_core.errors import NotComputed
from vast_core.interfaces import Performance, unposed
from vast_core.media import VideoFile
from vast_core.mesh import canonical_face
from vast_corpora.config import SyntheticConfig
from vast_corpora.synthetic import SyntheticCorpus
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace
from vast_metrics.style import CHANNELS, DESCRIPTOR, StyleDistance, StyleDiversity, StyleRetrieval, descriptor

ROOT = Path(__file__).parents[3]
FOOTAGE = ROOT.parent / "shared" / "footage"
MODELS = Path(os.environ.get("VAST_WEIGHTS", ROOT.parent / "shared" / "models"))
CANONICAL = canonical_face()
NAMES = list(CHANNELS)


@pytest.fixture(scope="module")
def real_face():
    return LandmarkFace(LandmarksConfig())


def person():
    return torch.from_numpy(CANONICAL.vertices.copy())


def manner(face, brow=0.0, smile=0.0, jaw=0.5, frames=50, phase=0.0, **rest):
    """Brows that are up, corners that are up, in cm, and a lower lip that goes down and up 2.5 times a second."""
    time = torch.arange(frames) / 25.0
    vertices = person().repeat(frames, 1, 1)
    forehead = CANONICAL.upper_face[CANONICAL.vertices[CANONICAL.upper_face, 1] > 3.05]
    vertices[:, forehead, 1] += brow
    vertices[:, [61, 291], 1] += smile
    lower = [14, 17, 87, 317, 84, 314, 88, 318, 178, 402, 95, 324, 91, 321, 181, 405, 146, 375]
    vertices[:, lower, 1] -= jaw * (1 - torch.cos(2 * torch.pi * 2.5 * time + phase))[:, None] / 2
    return Performance(face=face, fps=25.0, vertices=vertices, neutral=person(), **rest)


def read(performance):
    """The descriptor by channel: mean in mm, standard deviation in mm, RMS speed in mm/s."""
    found = descriptor(performance, "style_distance", "prediction")
    assert found.shape == (DESCRIPTOR,)
    mean = found[: len(NAMES)] * torch.tensor(list(CHANNELS.values()))
    spread, speed = (found[len(NAMES) :] * 0.3).exp().reshape(2, -1) - torch.tensor([[0.05], [0.5]])
    return [dict(zip(NAMES, part.tolist(), strict=False)) for part in (mean, spread, speed)]


def test_the_descriptor_is_what_was_made(real_face):
    mean, spread, speed = read(manner(real_face, brow=0.2, smile=0.3))
    assert mean["brows"] == pytest.approx(2.0, rel=1e-3)
    assert mean["corners"] == pytest.approx(3.0, rel=1e-3)
    assert mean["opening"] == pytest.approx(2.5, rel=1e-3)
    assert spread["opening"] == pytest.approx(2.5 / np.sqrt(2), rel=1e-3)
    step = 2.5 / np.sqrt(2) * 2 * np.sin(np.pi * 2.5 / 25)  # of a sine from frame to frame
    assert speed["opening"] == pytest.approx(25 * step, rel=0.02)
    for still in ("width", "corners_slant", "sideways", "brows_slant", "upper_lip", "protrusion"):
        assert (mean[still], spread[still], speed[still]) == pytest.approx((0, 0, 0), abs=1e-4)


def test_the_descriptor_knows_no_shape_and_no_timing(real_face):
    one = manner(real_face)
    other = attrs.evolve(one, vertices=one.vertices * 1.0 + 0.3, neutral=one.neutral + 0.3)
    late = manner(real_face, phase=1.0)
    given = descriptor(one, "style_distance", "prediction")
    assert torch.allclose(descriptor(other, "style_distance", "prediction"), given, atol=1e-3)
    assert torch.allclose(descriptor(late, "style_distance", "prediction"), given, atol=0.05)


def test_distance_is_to_the_prompt(real_face):
    prompt = manner(real_face, brow=0.2, phase=2.0)
    far, near = manner(real_face, prompt=prompt), manner(real_face, brow=0.2, prompt=prompt)
    reference = manner(real_face)
    assert StyleDistance()(near, reference)["style_distance"] < 0.03
    # Brows that are 2 mm lower are 4 scales lower, of 28 numbers.
    assert StyleDistance()(far, reference)["style_distance"] == pytest.approx(4 / np.sqrt(28), rel=1e-2)
    assert StyleDistance()(attrs.evolve(far, neutral=None), reference) == StyleDistance()(far, reference)


def test_without_a_prompt_nothing_is_told(real_face):
    clip = manner(real_face)
    for metric in (StyleDistance(), StyleRetrieval()):
        with pytest.raises(NotComputed, match="prompt of the prediction is not known"):
            metric(clip, clip)
    with pytest.raises(ValueError, match="prompt has no neutral"):
        StyleDistance()(attrs.evolve(clip, prompt=attrs.evolve(clip, neutral=None)), clip)


def test_a_face_of_few_vertices_has_no_style(performance, speech):
    clip = performance(speech)
    with pytest.raises(NotComputed, match="4 lip vertices"):
        StyleDistance()(attrs.evolve(clip, prompt=clip), clip)


# ------------------------------------------------------------------------------------------- retrieval


def asked(face, shown, **prompt):
    """A prediction with brows so high, prompted by a clip."""
    return manner(face, brow=shown, phase=1.0, prompt=manner(face, **prompt))


def pooled(predictions):
    metric = StyleRetrieval()
    parts = [metric.part(prediction, prediction) for prediction in predictions]
    return metric.pool(parts), metric.each(parts), metric.pool(parts[::-1])


def test_retrieval_counts_the_nearest_prompts(real_face):
    given = [
        asked(real_face, 0.0, brow=0.0, name="a"),
        asked(real_face, 0.2, brow=0.2, name="b"),
        asked(real_face, 0.05, brow=0.4, name="c"),  # nearest to a
        asked(real_face, 0.6, brow=0.6, name="d"),
    ]
    found, each, backward = pooled(given)
    assert found == backward == {"style_retrieval": 0.75, "style_retrieval_chance": 0.25}
    assert [row["style_retrieval"] for row in each] == [1, 1, 0, 1]


@pytest.mark.parametrize("same", [{"name": "a"}, {"name": ""}, {"name": "e", "style": "calm"}])
def test_one_prompt_of_two_predictions_and_prompts_of_one_style_are_no_rivals(real_face, same):
    prompt = {"name": "a", "brow": 0.0, "style": "calm"} | ({"name": ""} if same == {"name": ""} else {})
    given = [
        asked(real_face, 0.0, **prompt),
        asked(real_face, 0.05, **(prompt | same)),
        asked(real_face, 0.3, brow=0.3, name="b", style="cross"),
    ]
    found, _, backward = pooled(given)
    assert found["style_retrieval"] == backward["style_retrieval"] == 1
    assert found["style_retrieval_chance"] == pytest.approx(5 / 9 if same.get("name") == "e" else 1 / 2)


def test_one_prompt_alone_cannot_be_told_apart(real_face):
    given = asked(real_face, 0.0, brow=0.0, name="a")
    for predictions in ([given], [given, given]):
        with pytest.raises(NotComputed, match="all prompts are the same"):
            pooled(predictions)


# ------------------------------------------------------------------------------------------- diversity


def test_diversity_is_the_mean_distance_of_pairs(performance, speech):
    draw = torch.Generator().manual_seed(0)
    takes = tuple(speech + amount * torch.randn(speech.shape, generator=draw) for amount in (0.1, 0.2, 0.3))
    found = StyleDiversity()(performance(speech, takes=takes), performance(speech))["style_diversity"]
    far = [np.linalg.norm(10 * (a - b).double().numpy(), axis=-1).mean() for a, b in combinations(takes, 2)]
    assert found == pytest.approx(np.mean(far), rel=1e-6)
    assert StyleDiversity()(performance(speech, takes=takes[:1] * 3), performance(speech)) == {"style_diversity": 0.0}


def test_diversity_needs_takes_that_fit(performance, speech):
    with pytest.raises(NotComputed, match=r"needs 2 takes .*, but got 1"):
        StyleDiversity()(performance(speech, takes=(speech,)), performance(speech))
    with pytest.raises(ValueError, match=r"\[\(99, 12, 3\), \(100, 12, 3\)\]"):
        StyleDiversity()(performance(speech, takes=(speech, speech[:99])), performance(speech))


# ------------------------------------------------------------------------------------- what it can tell


def test_an_unknown_speakers_sentence_finds_its_style_among_all(real_face):
    corpus = SyntheticCorpus(SyntheticConfig(avatar_seconds=0.0), 25.0)
    shapes = {speaker.name: torch.from_numpy(speaker.shape).float() for speaker in corpus.speakers}
    clips = list(corpus.clips())
    draw = np.random.default_rng(0)

    def seen(clip, **rest):
        vertices = unposed(clip.track)
        given = {"name": clip.name, "style": clip.style} | rest
        return Performance(face=real_face, fps=25.0, vertices=vertices, neutral=shapes[clip.speaker], **given)

    given = []
    for style in corpus.styles:
        own = [clip for clip in clips if clip.style == style]
        clip = own[draw.integers(len(own))]
        others = [c for c in own if c.speaker != clip.speaker and c.transcript != clip.transcript]
        given.append(seen(clip, prompt=seen(others[draw.integers(len(others))])))
    found, _, _ = pooled(given)
    assert found["style_retrieval_chance"] == pytest.approx(1 / 30)
    assert found["style_retrieval"] >= 0.9


TALKERS = (
    *("KristiNoem", "Obama_clip1", "Obama_clip2", "andrew_clip_1", "andrew_clip_2", "feifeili_clip2_short"),
    "reagan_clip1",
)
"""Seven of the talkers; all would take an hour."""


@pytest.fixture(scope="module")
def footage(real_face):
    """Real clips of 3 s and more, tracked, each with the neutral face of all clips of that person."""
    if not FOOTAGE.is_dir() or not (MODELS / "face_landmarker.task").is_file():
        pytest.skip(f"no real footage at {FOOTAGE}, or no face tracker at {MODELS}")
    face = LandmarkFace(LandmarksConfig(weights=str(MODELS), threads=1))
    shapes, people = {}, {}
    talkers = [FOOTAGE / "talkers" / f"{name}.mp4" for name in TALKERS]
    for path in sorted([*talkers, *FOOTAGE.glob("styles/[MW]0*_front_*.mp4")]):
        track = max(face.track(VideoFile(path, 25.0).frames(), 25.0), key=len)
        shapes[path.stem] = unposed(track)
        people.setdefault(path.stem.partition("_")[0], []).append(path.stem)
    found = {}
    for names in people.values():
        neutral = torch.cat([shapes[name] for name in names]).median(0).values
        for name in names:
            found[name] = Performance(face=face, fps=25.0, vertices=shapes[name], neutral=neutral, name=name)
    return found


def halves(clip):
    middle = len(clip.vertices) // 2
    return [attrs.evolve(clip, vertices=clip.vertices[part]) for part in (slice(middle), slice(middle, None))]


@pytest.mark.slow
@pytest.mark.parametrize(("of", "count", "least"), [("talkers", 7, 1.0), ("actors", 16, 0.85)])
def test_half_a_real_clip_finds_the_other(footage, of, count, least):
    clips = [clip for name, clip in footage.items() if (name[:4] in ("M030", "W009")) == (of == "actors")]
    assert len(clips) == count
    for one, other in ((0, 1), (1, 0)):
        found, _, _ = pooled([attrs.evolve(halves(clip)[one], prompt=halves(clip)[other]) for clip in clips])
        print(of, found)
        assert found["style_retrieval"] >= least
        assert found["style_retrieval_chance"] == pytest.approx(1 / count)


@pytest.mark.slow
@pytest.mark.parametrize(("who", "by"), [("M030", "W009"), ("W009", "M030")])
def test_an_emotion_finds_the_same_of_another_actor(footage, who, by):
    clips = [(clip, footage[name.replace(who, by)]) for name, clip in footage.items() if name.startswith(who)]
    found, _, _ = pooled([attrs.evolve(clip, prompt=prompt) for clip, prompt in clips])
    print(who, found)
    assert found["style_retrieval"] >= 0.5
    assert found["style_retrieval_chance"] == pytest.approx(1 / 8)
