"""The watermark: what it survives, that chance does not make it, and that it is hardly there for the eye."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vast_core.errors import InputError
from vast_provenance.commands import robustness
from vast_provenance.detecting import FALSE_ALARMS, Detector, best, threshold
from vast_provenance.marking import watermarked
from vast_provenance.pattern import phases, tiles
from vast_provenance.robustness import ATTACKS, encoded, pieces

FIRST = (4.856724, 3.693522, 4.591961)


def film(size=(256, 256), frames=25, seed=0):
    """A film with soft shapes, texture, an edge and something that moves, such as footage has."""
    chance = np.random.default_rng(seed)
    y, x = size
    soft = cv2.resize(chance.uniform(40, 210, (6, 6, 3)).astype(np.float32), (x, y), interpolation=cv2.INTER_CUBIC)
    rough = cv2.GaussianBlur(chance.normal(0, 40, (y, x)).astype(np.float32), (0, 0), 1.5)
    rough[:, : x // 2] *= 0.1
    still = soft + rough[..., None]
    still[y // 3 : y // 2, x // 4 : x // 3] = 20
    shown = []
    for number in range(frames):
        frame = still.copy()
        cv2.circle(frame, (x // 2 + number, 2 * y // 3), y // 8, (200, 160, 140), -1)
        shown.append(frame.clip(0, 255).astype(np.uint8))
    return shown


def found(frames):
    detector = Detector()
    for frame in frames:
        detector.add(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
    return detector.found()


@pytest.fixture(scope="module")
def written():
    return encoded([watermarked(frame) for frame in film()], 18)


@pytest.mark.parametrize("attack", ["as written, crf 18", "H.264 at crf 28", "half size", "a tenth cropped"])
def test_it_survives(written, attack):
    assert found(ATTACKS[attack](written)).marked


@pytest.mark.parametrize("size", [(96, 128), (192, 256), (512, 640), (801, 511)])
def test_any_size_can_be_marked_and_the_eye_hardly_sees_it(size):
    frames = film(size, 2)
    marked = [watermarked(frame) for frame in frames]
    error = np.square(marked[0].astype(float) - frames[0]).mean()
    assert 10 * np.log10(255**2 / error) >= 42
    assert found(marked).marked
    assert not found(frames).marked


def test_equal_frames_are_marked_equally_and_the_given_one_stays():
    frame, again = film(frames=1)[0], film(frames=1)[0]
    np.testing.assert_array_equal(watermarked(frame), watermarked(again))
    np.testing.assert_array_equal(frame, again)


def test_it_is_not_found_twice_as_strong_in_other_places():
    """A pattern of another name in the same picture is nothing to the detector."""
    detector = Detector()
    for frame in film(frames=4):
        detector.add(cv2.cvtColor(watermarked(frame), cv2.COLOR_RGB2GRAY))
    waves = detector.spectra()
    assert best(waves, phases()).z > threshold(len(waves)) + 5
    others = [best(waves, phases(f"other {number}")).z for number in range(5)]
    assert max(others) < threshold(len(waves))


def test_chance_stays_within_its_bound():
    """P(z >= t) <= exp(-t^2 / 2) for one shift and scale, whatever the picture: here over 2,000 patterns."""
    detector = Detector()
    detector.add(cv2.cvtColor(film(frames=1)[0], cv2.COLOR_RGB2GRAY))
    angles = np.angle(detector.spectra()[0])
    chance = np.random.default_rng(1)
    z = np.array(
        [
            np.cos(angles - chance.uniform(0, 2 * np.pi, len(angles))).sum() / np.sqrt(len(angles) / 2)
            for _ in range(2000)
        ]
    )
    for limit in (1.0, 2.0, 3.0):
        assert (z >= limit).mean() <= np.exp(-(limit**2) / 2)
    assert FALSE_ALARMS <= 1e-4


def test_the_phases_are_uniform_and_stay_as_they_are():
    """Videos of today must be recognised for ever: these are the first phases of all that were written."""
    np.testing.assert_allclose(phases()[:3], FIRST, atol=1e-6)
    histogram, _ = np.histogram(phases(), 8, (0, 2 * np.pi))
    assert histogram.min() > 0.6 * histogram.mean()


def test_half_of_a_picture_has_the_same_tiles():
    for short in (192, 384, 766, 1080, 2160):
        assert tiles((short, 2 * short)) in {1 * tiles((short // 2, short)), 2 * tiles((short // 2, short))}


def test_robustness_tells_what_it_measured(tmp_path):
    from vast_core.media import VideoWriter

    video = tmp_path / "film.mp4"
    with VideoWriter(video, 25) as writer:
        for frame in film((128, 128), 8):
            writer.write(frame)
    assert sum(len(piece) for piece in itertools.chain(pieces(video, 1))) == 8
    done = CliRunner().invoke(robustness, [str(video), "--keys", "2", "--pieces", "1"])
    assert done.exit_code == 0, done.output
    for attack in ATTACKS:
        assert f"| {attack} |" in done.output
    assert "0 of 2" in done.output
    assert "128 x 128: 1 pieces" in done.output
    with pytest.raises(InputError, match="name the videos"):
        CliRunner().invoke(robustness, [], catch_exceptions=False)


def test_no_footage_is_part_of_the_package():
    assert not list(Path(__file__).parents[1].rglob("*.mp4"))
