"""The linear path's start, against a planted map and against least squares on augmented data."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from vast_core.interfaces import Sizes
from vast_decoders.config import HybridConfig
from vast_decoders.hybrid import HybridDecoder
from vast_decoders.ridge import ADAPTING, ADAPTING_TAPER, PENALTIES, TAPERS, fit_ridge, windows

SIZES = Sizes(fps=25, image=64, audio=5, expression=4, lower_face=2, vertices=10, style=3, context=4)


def footage(noise, clips=6, frames=80, seed=0):
    chance = torch.Generator().manual_seed(seed)
    true = torch.randn(4, 5, 5, generator=chance)
    made = []
    for _ in range(clips):
        audio = torch.randn(frames, 5, generator=chance)
        padded = torch.nn.functional.pad(audio.T[None], (2, 2))
        face = torch.nn.functional.conv1d(padded, true)[0].T
        face = face + noise * torch.randn(frames, 4, generator=chance) + torch.randn(4, generator=chance)
        made.append((audio, face, torch.rand(frames, generator=chance) > 0.1))
    return true, made


def test_a_planted_map_is_found_and_masked_frames_do_not_matter():
    true, clips = footage(noise=0.0)
    found = fit_ridge(clips, 2).weights
    assert (found - true).norm() < 0.1 * true.norm()
    spoilt = [(a, torch.where(m[:, None], f, 1e6), m) for a, f, m in clips]
    assert torch.allclose(fit_ridge(spoilt, 2).weights, found)


def test_it_is_least_squares_on_data_with_the_penalty_as_further_rows():
    _, clips = footage(noise=3.0)
    found = fit_ridge(clips, 2).weights.double().numpy()
    x = np.concatenate([windows(a, 2)[m].double().numpy() for a, _, m in clips])
    y = np.concatenate([(f[m] - f[m].mean(0)).double().numpy() for _, f, m in clips])
    fits = []
    for penalty, taper in product(PENALTIES, TAPERS):
        each = [penalty * np.exp(taper * abs(lag)) for _ in range(5) for lag in (-2, -1, 0, 1, 2)]
        rows = np.concatenate([x, np.diag(np.sqrt(np.array(each) * len(x)))])
        targets = np.concatenate([y, np.zeros((x.shape[1], 4))])
        fits.append(np.linalg.lstsq(rows, targets, rcond=None)[0].T.reshape(found.shape))
    assert min(np.abs(fit - found).max() for fit in fits) < 1e-5


@pytest.mark.parametrize("clips", [1, 6])
def test_from_a_start_it_is_least_squares_on_the_difference_from_it(clips):
    true, made = footage(noise=3.0, clips=clips)
    start = true + torch.randn(true.shape, generator=torch.Generator().manual_seed(2))
    found = fit_ridge(made, 2, start).weights.double().numpy()
    x = np.concatenate([windows(a, 2)[m].double().numpy() for a, _, m in made])
    y = np.concatenate([(f[m] - f[m].mean(0)).double().numpy() for _, f, m in made])
    s = start.flatten(1).T.double().numpy()
    fits = []
    for penalty in ADAPTING:
        each = np.array([penalty * np.exp(ADAPTING_TAPER * abs(lag)) for _ in range(5) for lag in (-2, -1, 0, 1, 2)])
        rows = np.concatenate([x, np.diag(np.sqrt(each * len(x)))])
        targets = np.concatenate([y, np.sqrt(each * len(x))[:, None] * s])
        fits.append(np.linalg.lstsq(rows, targets, rcond=None)[0].T.reshape(found.shape))
    assert min(np.abs(fit - found).max() for fit in fits) < 1e-5


def test_adapting_moves_towards_what_the_footage_shows_and_keeps_the_rest():
    """Nearly right weights predict unseen clips better when little footage is added to them than if it had to do."""
    true, clips = footage(noise=4.0, clips=2, frames=60)
    _, unseen = footage(noise=0.0, clips=2, frames=400, seed=0)
    start = true + 0.5 * torch.randn(true.shape, generator=torch.Generator().manual_seed(2))
    options = {"parts": "linear", "linear_reach": 2, "linear_trained": False}
    errors = {}
    for name in ("start", "adapted", "anew"):
        decoder = HybridDecoder.from_config(HybridConfig(**options), SIZES).eval()
        decoder.linear.weight.data.copy_(start)
        if name != "start":
            decoder.adapt_to(clips, torch.zeros(2, 3)) if name == "adapted" else decoder.start_from(clips)
        audio, face, _ = unseen[0]
        spoken = decoder(audio[None], torch.zeros(1, 3), torch.ones(1, len(audio), dtype=torch.bool)).expression[0]
        errors[name] = float((spoken - face + face.mean(0)).square().mean().detach())
    assert errors["adapted"] < 0.9 * errors["start"]
    assert errors["adapted"] < 0.7 * errors["anew"]


def test_adapted_to_somebody_of_large_movements_it_does_not_enlarge_them_twice():
    """Weights whose style has a gain of 3 are right already if the footage moves three times as far."""
    true, clips = footage(noise=0.5, clips=2, frames=200)
    decoder = HybridDecoder.from_config(
        HybridConfig(parts="linear", linear_reach=2, linear_trained=False), SIZES
    ).eval()
    decoder.linear.weight.data.copy_(true)
    decoder.gain.weight.data[:, 0] = 1.5 * math.atanh(math.log(3) / 1.5)
    style = torch.tensor([[1.0, 0.0, 0.0]])
    decoder.adapt_to([(audio, 3 * face, mask) for audio, face, mask in clips], style.expand(2, 3))
    assert (decoder.linear.weight - true).norm() < 0.1 * true.norm()
    audio, face, mask = clips[0]
    spoken = decoder(audio[None], style, mask[None]).expression[0].detach()
    assert float(spoken[mask].std() / (3 * face[mask]).std()) == pytest.approx(1, abs=0.1)


def test_a_start_that_is_right_is_kept_where_footage_is_noise():
    true, clips = footage(noise=40.0, clips=2, frames=60)
    found = fit_ridge(clips, 2, true).weights
    assert (found - true).norm() < 0.15 * true.norm()


@pytest.mark.parametrize("noise", [0.1, 30.0])
def test_noise_asks_for_a_larger_penalty(noise):
    true, clips = footage(noise=noise)
    assert (fit_ridge(clips, 2).weights.norm() < 0.8 * true.norm()) == (noise > 1)


def test_frames_that_tell_nothing_of_the_face_are_distrusted():
    chance = torch.Generator().manual_seed(1)
    true = torch.randn(4, 5, generator=chance)
    clips = []
    for _ in range(8):
        audio = torch.randn(80, 5, generator=chance)
        face = audio @ true.T + 6 * torch.randn(80, 4, generator=chance)
        clips.append((audio, face, torch.ones(80, dtype=torch.bool)))
    x = torch.cat([windows(audio, 6) for audio, _, _ in clips]).double()
    y = torch.cat([face - face.mean(0) for _, face, _ in clips]).double()
    alike = torch.linalg.solve(x.T @ x + 0.3 * len(x) * torch.eye(65), x.T @ y).T.reshape(4, 5, 13)
    far = [0, 1, 2, 3, 9, 10, 11, 12]  # frames that the face never depended on
    assert fit_ridge(clips, 6).weights[..., far].square().sum() < 0.1 * alike[..., far].square().sum()


def test_one_clip_is_enough_to_start_from():
    _, clips = footage(noise=1.0, clips=1)
    assert torch.isfinite(fit_ridge(clips, 2).weights).all()


def test_the_decoder_starts_as_the_regression():
    _, clips = footage(noise=0.5)
    decoder = HybridDecoder.from_config(HybridConfig(width=16, recurrent=8, dropout=0.0), SIZES).eval()
    decoder.start_from(clips)
    audio, face, mask = clips[0]
    every = torch.ones(1, len(audio), dtype=torch.bool)
    trunk = decoder.reconstruct(audio[None], torch.zeros(1, 3), every, face[None], 1.0)[0][0]
    by_hand = windows(audio, decoder.reach) @ fit_ridge(clips, decoder.reach).weights.reshape(4, -1).T
    assert torch.allclose(trunk, by_hand, atol=1e-4)
    explained = (
        1
        - (by_hand - (face - face[mask].mean(0)))[mask].square().sum()
        / (face[mask] - face[mask].mean(0)).square().sum()
    )
    assert explained > 0.7


@pytest.mark.parametrize("trained", [True, False])
def test_the_linear_path_learns_on_only_where_it_is_told_to(trained):
    _, clips = footage(noise=0.5)
    config = HybridConfig(width=16, recurrent=8, dropout=0.0, linear_trained=trained)
    decoder = HybridDecoder.from_config(config, SIZES)
    decoder.start_from(clips)
    before = decoder.linear.weight.detach().clone()
    trunk = decoder.whole_face.weight.detach().clone()
    optimiser = torch.optim.AdamW(decoder.parameters(), 1e-2)
    audio, face, mask = (part[None] for part in clips[0])
    (decoder.reconstruct(audio, torch.zeros(1, 3), mask, face, 1.0)[-1] - face).square().mean().backward()
    optimiser.step()
    assert torch.equal(decoder.linear.weight, before) != trained
    assert not torch.equal(decoder.whole_face.weight, trunk)


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_the_size_is_that_of_what_the_sound_explains(noise):
    """Of white noise filtered by ``true``, beside noise, the best prediction has the filter's share of the variance."""
    true, clips = footage(noise=noise, clips=12, frames=400)
    signal = true.square().sum((1, 2))
    expected = (signal / (signal + noise**2)).sqrt()
    torch.testing.assert_close(fit_ridge(clips, 2).size, expected, atol=0.06, rtol=0)


def test_spoken_faces_are_enlarged_to_the_size_of_the_footage_but_reconstructions_are_not():
    _, clips = footage(noise=4.0, clips=12, frames=400)
    options = {"parts": "linear", "linear_reach": 2, "linear_trained": False}
    plain, limited, enlarged = (
        HybridDecoder.from_config(HybridConfig(**options, enlarged=most), SIZES).eval() for most in (1.0, 1.1, 3.0)
    )
    for decoder in (plain, limited, enlarged):
        decoder.start_from(clips)
    audio, face, _ = (torch.stack(parts) for parts in zip(*footage(noise=4.0, clips=4, frames=400)[1], strict=True))
    every, style = torch.ones(audio.shape[:2], dtype=torch.bool), torch.zeros(len(audio), 3)
    regressed, some, spoken = (decoder(audio, style, every).expression for decoder in (plain, limited, enlarged))
    assert (spoken.std((0, 1)) / (face - face.mean(1, keepdim=True)).std((0, 1)) - 1).abs().max() < 0.06
    torch.testing.assert_close(some, 1.1 * regressed)
    for decoder in (plain, enlarged):
        torch.testing.assert_close(decoder.reconstruct(audio, style, every, face, 1.0)[-1], regressed)
