"""Lips of unseen speakers: against least squares by hand, and on the smallest corpus."""

from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest

from vast_core.errors import ComponentError, InputError
from vast_core.media import LipSync
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runner import run_recipe
from vast_metrics.config import LipYardstickStage
from vast_metrics.stages.lip_yardstick import folds
from vast_metrics.stages.unseen_speakers import PENALTIES, leave_one_speaker_out

SPEAKERS = ["ada", "bo", "bo", "cy", "di"]


def talking(noise=1.0, seed=0, reach=1, own_maps=False):
    """Clips of four speakers whose lips follow three frames of sound, by one map or by one each."""
    chance = np.random.default_rng(seed)
    shared = chance.standard_normal((2 * reach + 1, 4))
    maps = {name: chance.standard_normal(shared.shape) if own_maps else shared for name in SPEAKERS}
    clips = []
    for number, speaker in enumerate(SPEAKERS):
        frames = 60 + 9 * number
        audio = chance.standard_normal((frames + 2 * reach, 4)) * [1, 1, 3, 0.1] + 5
        opening = sum(audio[lag : lag + frames] @ row for lag, row in enumerate(maps[speaker]))
        opening = (0.1 + number) * (opening + noise * chance.standard_normal(frames)) + number
        valid = chance.random(frames) > 0.1
        audio, opening = (x.astype(np.float32) for x in (audio[reach:-reach], opening))
        clips.append(LipSync(name=f"{speaker}{number}", audio=audio, opening=opening, valid=valid))
    return clips


def by_hand(clips, reach):
    """The same, by least squares on centred rows with the penalty as further rows, for every fold and penalty anew."""
    rows, openings = [], []
    for clip in clips:
        padded = np.pad(clip.audio.astype(float), ((reach, reach), (0, 0)), mode="edge")
        rows.append(
            np.concatenate([padded[lag : lag + len(clip.audio)] for lag in range(2 * reach + 1)], 1)[clip.valid]
        )
        seen = clip.opening[clip.valid].astype(float)
        openings.append((seen - seen.mean()) / seen.std())

    def judged(speaker, without, penalty):
        taught = [n for n, own in enumerate(SPEAKERS) if own not in without]
        x, y = np.concatenate([rows[n] for n in taught]), np.concatenate([openings[n] for n in taught])
        centred, width = x - x.mean(0), x.shape[1]
        weight = np.sqrt(penalty * len(x) * centred.var(0).mean())
        augmented = np.concatenate([centred, weight * np.eye(width)])
        fit = np.linalg.lstsq(augmented, np.concatenate([y - y.mean(), np.zeros(width)]), rcond=None)[0]
        return [np.corrcoef(rows[n] @ fit, openings[n])[0, 1] for n, own in enumerate(SPEAKERS) if own == speaker]

    found = []
    for speaker in dict.fromkeys(SPEAKERS):
        others = [other for other in dict.fromkeys(SPEAKERS) if other != speaker]

        def inner(penalty, speaker=speaker, others=others):
            return np.mean(list(chain.from_iterable(judged(o, {speaker, o}, penalty) for o in others)))

        found += judged(speaker, {speaker}, max(PENALTIES, key=inner))
    return found


@pytest.mark.parametrize("noise", [0.5, 15.0])
def test_it_is_least_squares_whose_penalty_a_second_speaker_chooses(noise):
    clips = talking(noise)
    assert np.allclose(leave_one_speaker_out(clips, SPEAKERS, 1), by_hand(clips, 1), atol=1e-6)


def test_what_speakers_share_is_found_and_what_is_their_own_is_not():
    assert min(leave_one_speaker_out(talking(0.3), SPEAKERS, 1)) > 0.97
    assert np.mean(leave_one_speaker_out(talking(0.3, own_maps=True), SPEAKERS, 1)) < 0.5


def test_the_speaker_who_is_judged_teaches_nothing_and_chooses_nothing():
    clips = talking(noise=8.0)
    before = leave_one_speaker_out(clips, SPEAKERS, 1)
    upside_down = LipSync(clips[0].name, clips[0].audio, -2 * clips[0].opening, clips[0].valid)
    after = leave_one_speaker_out([upside_down, *clips[1:]], SPEAKERS, 1)
    assert after[0] == pytest.approx(-before[0], abs=1e-9)
    assert not np.allclose(after[1:], before[1:], atol=1e-3)


def test_frames_without_a_face_and_still_mouths_do_not_count():
    clips = talking()
    before = leave_one_speaker_out(clips, SPEAKERS, 1)
    spoilt = [LipSync(c.name, c.audio, np.where(c.valid, c.opening, 1e3).astype(np.float32), c.valid) for c in clips]
    assert np.allclose(leave_one_speaker_out(spoilt, SPEAKERS, 1), before)
    clips[3] = LipSync(clips[3].name, clips[3].audio, np.full_like(clips[3].opening, 2.0), clips[3].valid)
    assert leave_one_speaker_out(clips, SPEAKERS, 1)[3] == 0


def test_two_speakers_are_too_few():
    with pytest.raises(InputError, match=r"clips of 2 speakers \(ada, bo\); at least three"):
        leave_one_speaker_out(talking()[:3], SPEAKERS[:3], 1)


def test_more_speakers_than_groups_are_left_out_in_groups(monkeypatch):
    clips = talking()
    monkeypatch.setattr("vast_metrics.stages.unseen_speakers.GROUPS", 3)
    joined = leave_one_speaker_out(clips, ["ada", "bo", "bo", "cy", "ada"], 1)  # the fourth speaker joins the first
    assert leave_one_speaker_out(clips, SPEAKERS, 1) == pytest.approx(joined)


def test_an_even_context_is_refused():
    with pytest.raises(ValueError, match="context is 12; it must be odd"):
        LipYardstickStage(context=12)


TINY = ("corpus.speakers=3", "corpus.avatar_seconds=2", "renderer=null", "stages.style.steps=2", "stages.style.batch=2")


def prepared(tmp_path, monkeypatch, *changes):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    registry = Registry.discover()
    return load_recipe("vast_tiny", registry, [*TINY, *changes]), registry


def test_an_unknown_component_is_named_before_anything_runs(tmp_path, monkeypatch):
    recipe, registry = prepared(tmp_path, monkeypatch, "run=[lip_yardstick]", "stages.lip_yardstick={audio: [melody]}")
    with pytest.raises(ComponentError, match="no audio is called 'melody'"):
        run_recipe(recipe, registry, tmp_path / "run")
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_the_yardstick_and_the_decoder_on_made_up_people(tmp_path, monkeypatch, capsys):
    recipe, registry = prepared(
        tmp_path, monkeypatch, "run=[prepare, lip_yardstick]", "stages.lip_yardstick={decoder: true, seeds: [1, 2]}"
    )
    run = run_recipe(recipe, registry, tmp_path / "run")
    figures = run.figures("lip_yardstick")
    assert set(figures["summary"]) == {"ridge on ppg", "ridge on mel", "decoder on ppg"}
    speakers = set(figures["summary"]["ridge on ppg"]["speakers"])
    assert len(speakers) == 3
    assert figures["summary"]["ridge on ppg"]["mean_over_clips"] > 0.5
    assert len(figures["summary"]["decoder on ppg"]["seeds"]) == 2
    assert sorted(path.name for path in (tmp_path / "run" / "trials").iterdir()) == sorted(
        f"ppg-{speaker}-seed-{seed}" for speaker in speakers for seed in (1, 2)
    )
    resolved = (tmp_path / "run" / "trials" / f"ppg-{min(speakers)}-seed-2" / "recipe.yaml").read_text()
    assert "seed: 2" in resolved
    assert "Lips of unseen speakers" in (tmp_path / "run" / "report.html").read_text()
    capsys.readouterr()
    run_recipe(recipe, registry, tmp_path / "run")
    assert capsys.readouterr().out.count("nothing has changed, kept") == 2


def test_speakers_are_left_out_alone_or_in_groups():
    clips = [SimpleNamespace(speaker=speaker) for speaker in "aabccde"]
    assert folds(clips, None) == folds(clips, 9) == [(speaker, [speaker]) for speaker in "abcde"]
    assert folds(clips, 2) == [("fold 1 of 2", ["a", "c", "e"]), ("fold 2 of 2", ["b", "d"])]
