"""mel and ppg as components: shapes, alignment in time, independence of batch, chunks and loudness."""

import functools
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

from vast_audio.config import AcousticConfig, MelConfig, PpgConfig
from vast_audio.mel import Mel
from vast_audio.ppg import SHIPPED, Acoustic, Ppg
from vast_audio.spectrum import mel_filters
from vast_core.errors import InputError
from vast_core.interfaces import Sizes, listen_between
from vast_core.phones import PHONES

RATE = 16_000
FPS = (22.13, 24.0, 25.0, 29.97, 60.0)
CONFIGS = {
    "mel": (Mel, MelConfig()),
    "ppg": (Ppg, PpgConfig()),
    "ppg as it comes": (Ppg, PpgConfig(look_ahead=0.2)),
    "acoustic": (Acoustic, AcousticConfig()),
    "acoustic as it comes": (Acoustic, AcousticConfig(look_ahead=0.2)),
}


@functools.cache
def build(name, fps=25.0, **options):
    cls, config = CONFIGS[name]
    if options:
        config = type(config)(**options)
    sizes = Sizes(fps=fps, image=128, expression=8, lower_face=8, vertices=468, style=8, context=8, **config.sizes())
    return cls.from_config(config, sizes)


def babble(seconds, seed=0):
    """Noise with bursts and pauses, something like speech in its level."""
    rng = np.random.default_rng(seed)
    level = np.repeat(10 ** rng.uniform(-3, -0.8, math.ceil(seconds * 8)), RATE // 8)[: round(seconds * RATE)]
    return torch.from_numpy((rng.standard_normal(len(level)) * level).astype(np.float32))


@pytest.fixture(params=CONFIGS)
def name(request):
    return request.param


@pytest.mark.parametrize("fps", FPS)
def test_one_row_a_frame(name, fps):
    for frames, samples in ((1, 0), (1, 50_000), (2, 1), (77, 399), (77, 50_000)):
        rows = build(name, fps)(babble(4)[None, :samples].repeat(2, 1), frames)
        assert rows.shape == (2, frames, CONFIGS[name][1].sizes()["audio"])
        assert rows.isfinite().all()


@pytest.mark.parametrize("fps", FPS)
def test_mel_hears_a_click_in_its_frame(fps):
    mel = build("mel", fps)
    for frame in (0, 7, 40):
        wave = torch.zeros(1, 5 * RATE)
        wave[0, round(frame / fps * RATE)] = 1.0
        loudness = mel(wave, 60)[0].mean(-1)
        loudness = (loudness - loudness.min()).numpy()
        assert loudness.argmax() == frame
        assert (loudness * np.arange(60)).sum() / loudness.sum() == pytest.approx(frame, abs=0.5)


@pytest.mark.parametrize("fps", FPS)
def test_mel_hears_a_tone_in_its_band(fps):
    """In the band whose centre, by the mel formula, is nearest, from its first to its last frame."""
    mel = build("mel", fps)
    first, last = 20, 50
    seconds = torch.arange(5 * RATE) / RATE
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * seconds) * ((seconds >= first / fps) & (seconds <= last / fps))
    rows = mel(tone[None], 80)[0]
    edges = np.linspace(2595 * math.log10(1 + 60 / 700), 2595 * math.log10(1 + 7600 / 700), 42)
    band = int(np.abs(edges[1:-1] - 1000).argmin())  # 1000 Hz is 1000 mel
    assert rows[35].argmax() == band
    loud = (rows[:, band] > rows[:, band].max() - 1.0).nonzero().flatten()
    assert abs(int(loud[0]) - first) <= 1
    assert abs(int(loud[-1]) - last) <= 1


def test_mel_agrees_with_numpy():
    """Against a plain loop of numpy FFTs and triangles written down here, at 25 fps where four windows make a frame."""
    wave = babble(2).numpy()
    edges = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), 42) / 2595) - 1)
    hertz = 31.25 * np.arange(257)
    triangles = [np.interp(hertz, edges[band : band + 3], [0, 1, 0], left=0, right=0) for band in range(40)]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(wave.astype(np.float64), 2000)
    expected = np.zeros((40, 40))
    for frame in range(40):
        for offset in range(-3, 4):
            centre = 2000 + 640 * frame + 160 * offset
            piece = padded[centre - 200 : centre + 200]
            power = np.abs(np.fft.fft((piece - piece.mean()) * window / 100, 512)[:257]) ** 2
            expected[frame] += (1 - abs(offset) / 4) / 4 * (np.log(triangles @ power + 1e-8) + 12.4) / 3.7
    got = build("mel")(torch.from_numpy(wave)[None], 40)[0].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("bands", [40, 80])
def test_filters_agree_with_torchaudio(bands):
    functional = pytest.importorskip("torchaudio.functional", reason="pip install 'vast-avatar[oracles]'")
    theirs = functional.melscale_fbanks(513, 60.0, 7600.0, bands, 16_000, norm=None, mel_scale="htk").numpy()
    assert np.abs(mel_filters(bands, 1024) - theirs).max() < 1e-5


def test_mel_of_speech_is_about_standard():
    """Pink noise at the level of speech stays within two units of zero; digital silence is where the docstring says."""
    mel = build("mel")
    rows = mel(babble(4)[None], 100)
    assert abs(rows.mean()) < 2
    assert 0.3 < rows.std() < 2
    torch.testing.assert_close(mel(torch.zeros(1, RATE), 10), torch.full((1, 10, 40), -1.63), atol=0.02, rtol=0)


@pytest.mark.parametrize("bands", [8, 64, 80])
def test_every_band_hears_something(bands):
    rows = build("mel", bands=bands)(torch.randn(1, 4 * RATE) * 0.1, 90)
    assert rows.shape[-1] == bands
    assert rows.amin() > -1.0


def test_rows_do_not_depend_on_the_batch_or_on_silence_appended(name):
    features = build(name)
    short, long = babble(1.5, 1), babble(3, 2)
    alone = features(short[None], 60)
    together = features(torch.stack([torch.nn.functional.pad(short, (0, len(long) - len(short))), long]), 60)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1:], features(long[None], 60), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
def test_chunks_with_margins_equal_the_whole(name, fps):
    """As synthesis cuts sound, at frames that are no whole number of blocks, too."""
    features = build(name, fps)
    wave = babble(12)
    total = int(11 * fps)
    whole = features(wave[None], total)[0]
    for start, stop in pairwise((0, 64, 96, 101, 180, 200, total)):
        rows = listen_between(features, wave[None], start, stop, fps, wave.device)[0]
        # at 24 and 30 fps frames do not begin on samples, and the windows move by up to one
        torch.testing.assert_close(rows, whole[start:stop], atol=1e-4 if fps == 25 else 0.06, rtol=1e-4)


def test_the_receptive_field_is_as_stated(name):
    """Sound beyond it changes nothing; sound well inside does."""
    for fps in (24.0, 25.0, 60.0):
        features = build(name, fps)
        wave, frame = babble(8), int(4 * fps)
        centre = round(frame / fps * RATE)
        reach = math.ceil(features.receptive_field * RATE) + 1
        before = features(wave[None], frame + 1)[0, frame]
        outside = wave.clone()
        outside[: centre - reach] = babble(8, 9)[: centre - reach]
        outside[centre + reach :] = 0
        torch.testing.assert_close(features(outside[None], frame + 1)[0, frame], before, atol=1e-6, rtol=1e-5)
        inside = wave.clone()
        inside[centre - RATE // 100 : centre + RATE // 100] *= 30
        assert (features(inside[None], frame + 1)[0, frame] - before).abs().max() > 1e-3


@pytest.mark.parametrize("look_ahead", [0.1, 0.16, 0.2, 1.0])
@pytest.mark.parametrize("fps", [24.0, 25.0, 60.0])
def test_sound_later_than_the_look_ahead_is_not_heard(fps, look_ahead):
    ppg = build("ppg", fps, look_ahead=look_ahead)
    assert look_ahead - 0.025 < ppg.look_ahead <= look_ahead
    wave, frame = babble(6), int(3 * fps)
    until = round(frame / fps * RATE + ppg.look_ahead * RATE)
    later = torch.cat([wave[: until + 1], 10 * babble(6, 7)[until + 1 :]])
    torch.testing.assert_close(ppg(later[None], frame + 1), ppg(wave[None], frame + 1), atol=1e-6, rtol=1e-5)
    sooner = torch.cat([wave[: until - 400], 10 * babble(6, 7)[until - 400 :]])
    assert (ppg(sooner[None], frame + 1)[:, -1] - ppg(wave[None], frame + 1)[:, -1]).abs().max() > 1e-4


def test_a_look_ahead_shorter_than_a_frame_is_refused():
    with pytest.raises(InputError, match=r"look_ahead is 0\.02 s; a frame needs at least 0\.043 s at 25 fps"):
        build("ppg", look_ahead=0.02)


def test_posteriors_are_the_head_on_the_acoustic_activations():
    """At 50 fps a row is one step. The head sees ten steps to either side, here within a block of 32."""
    wave = babble(3)
    ppg, acoustic = build("ppg", 50.0), build("acoustic", 50.0)
    hidden = acoustic(wave[None], 100)
    posteriors = torch.softmax(ppg.model.head(hidden), -1)
    inside = [frame for frame in range(100) if 10 <= frame % 32 < 22]
    torch.testing.assert_close(ppg(wave[None], 100)[:, inside], posteriors[:, inside], atol=1e-4, rtol=1e-3)


def test_odd_sound_gives_finite_posteriors():
    ppg = build("ppg")
    tone = torch.sin(torch.arange(2 * RATE) * 0.3)
    odd = {
        "silence": torch.zeros(2 * RATE),
        "DC": torch.full((2 * RATE,), 0.7),
        "clipped": (100 * babble(2)).clamp(-1, 1),
        "a lone click": torch.nn.functional.one_hot(torch.tensor(RATE), 2 * RATE).float(),
        "from 8 kHz": babble(1).repeat_interleave(2),
        "far too loud": 1e4 * tone,
        "far too soft": 1e-7 * tone,
    }
    for what, wave in odd.items():
        rows = ppg(wave[None], 50)
        assert rows.isfinite().all(), what
        torch.testing.assert_close(rows.sum(-1), torch.ones(1, 50), atol=1e-5, rtol=0)
        assert rows.min() >= 0, what
    assert (ppg(odd["silence"][None], 50)[..., 0] > 0.5).all()
    # it begins and ends with a click
    assert (ppg(odd["DC"][None], 50)[0, 3:-3].argmax(-1) == 0).float().mean() > 0.9


def test_temperature_softens():
    wave = babble(2)[None]
    sharp, plain, soft = (build("ppg", temperature=t)(wave, 40).amax(-1).mean() for t in (0.5, 1.0, 4.0))
    assert sharp > plain > soft > 1 / len(PHONES)


def test_ppg_is_frozen():
    ppg = build("ppg", temperature=1.0)
    assert not any(parameter.requires_grad for parameter in ppg.parameters())
    assert not ppg.train()(torch.zeros(1, RATE), 5).requires_grad


def test_meta_device(name):
    with torch.device("meta"):
        rows = build.__wrapped__(name)(torch.zeros(3, RATE), 25)
    assert rows.is_meta
    assert rows.shape == (3, 25, CONFIGS[name][1].sizes()["audio"])


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))],
)
def test_autocast_changes_little(name, device):
    features, wave = build.__wrapped__(name).to(device), babble(2)[None].to(device)
    plain = features(wave, 50)
    with torch.autocast(device, torch.bfloat16):
        cast = features(wave, 50)
    assert cast.dtype == torch.float32
    torch.testing.assert_close(cast, plain, atol=1e-5 if name == "mel" else 0.1, rtol=0)


def test_weights_are_small():
    assert SHIPPED.stat().st_size < 5_000_000


def test_declaring_needs_no_torch():
    code = "import sys, vast_audio.plugin as p; list(p.vast_components()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_options_are_checked():
    for wrong in ({"bands": 4}, {"bands": 400}, {"bands": 40.5}):
        with pytest.raises((ValueError, TypeError), match="bands"):
            MelConfig(**wrong)
    with pytest.raises(ValueError, match="temperature"):
        PpgConfig(temperature=0.0)
