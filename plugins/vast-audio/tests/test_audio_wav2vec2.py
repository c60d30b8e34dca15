"""audio/wav2vec2 against torchaudio's own pipelines and transformers, with small random weights, offline."""

import dataclasses
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from vast_audio.blocks import BLOCK
from vast_audio.config import Wav2Vec2Config
from vast_audio.wav2vec2_bundles import BUNDLES
from vast_core.errors import ComponentError, WeightsError
from vast_core.interfaces import Sizes, listen_between
from vast_core.runs import weight_files
from vast_core.speak.perform import CHUNK
from vast_core.testing import conformance

torchaudio = pytest.importorskip("torchaudio", reason="pip install 'vast-avatar[wav2vec2]'")
from vast_audio.wav2vec2 import Wav2Vec2  # noqa: E402 (after the skip)

RATE = 16_000
LETTERS, HIDDEN, NORMALISED, WAVLM = (
    "WAV2VEC2_ASR_BASE_960H",
    "HUBERT_BASE",
    "WAV2VEC2_ASR_LARGE_LV60K_960H",
    "WAVLM_BASE",
)
SMALL = {
    "extractor_conv_layer_config": [(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16, 2, 2)] * 2,
    "encoder_embed_dim": 32,
    "encoder_pos_conv_kernel": 16,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 3,
    "encoder_num_heads": 2,
    "encoder_ff_interm_features": 64,
}
"""A twentieth of the real widths and a quarter of the layers, at the same steps."""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Small bundles instead of the real ones, no weights anywhere, and no download."""
    for name in (LETTERS, HIDDEN, NORMALISED, WAVLM):
        bundle = getattr(torchaudio.pipelines, name)
        cut = dataclasses.replace(bundle, _params=bundle._params | SMALL)
        monkeypatch.setattr(torchaudio.pipelines, name, cut)
    monkeypatch.setattr(weight_files, "downloads", lambda: tmp_path / "cache")
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path))
    return tmp_path


def random_weights(name):
    """Tensors as torchaudio's files have them, the rows of four unused symbols among those of the letters."""
    torch.manual_seed(0)
    bundle = getattr(torchaudio.pipelines, name)
    letters = bundle._params["aux_num_out"]
    params = bundle._params | {"aux_num_out": letters and letters + len(bundle._remove_aux_axis)}
    make = torchaudio.models.wavlm_model if bundle._model_type == "WavLM" else torchaudio.models.wav2vec2_model
    return {key: 1.5 * tensor.clone() for key, tensor in make(**params).state_dict().items()}


def place(folder, name):
    tensors = random_weights(name)
    save_file(tensors, folder / f"{name.lower()}.safetensors")
    return tensors


def build(fps=25.0, **options):
    config = Wav2Vec2Config(**options)
    sizes = Sizes(fps=fps, image=128, expression=8, lower_face=8, vertices=468, style=8, context=8, **config.sizes())
    return Wav2Vec2.from_config(config, sizes)


def babble(seconds, seed=0):
    """Noise with bursts and pauses, something like speech in its level."""
    rng = np.random.default_rng(seed)
    level = np.repeat(10 ** rng.uniform(-3, -0.8, math.ceil(seconds * 8)), RATE // 8)[: round(seconds * RATE)]
    return torch.from_numpy((rng.standard_normal(len(level)) * level).astype(np.float32))


# ---------------------------------------------------------------------------------------- second opinions


def test_bundles_are_those_of_torchaudio_that_may_be_used_freely():
    found = {}
    for name in dir(torchaudio.pipelines):
        bundle = getattr(torchaudio.pipelines, name)
        if isinstance(bundle, torchaudio.pipelines.Wav2Vec2Bundle) and not re.search("CC.BY-NC", bundle.__doc__):
            letters = len(bundle.get_labels()) if bundle._params["aux_num_out"] else None
            found[name] = (bundle._params["encoder_num_layers"], bundle._params["encoder_embed_dim"], letters)
            assert "MIT License" in bundle.__doc__, name
            assert bundle.sample_rate == RATE
    assert {name: (b.layers, b.width, b.letters) for name, b in BUNDLES.items()} == found
    assert len(found) == 24


@pytest.mark.parametrize("name", [LETTERS, NORMALISED, HIDDEN, WAVLM])
def test_it_agrees_with_torchaudios_pipeline(small, monkeypatch, name):
    """With the network that ``bundle.get_model()`` makes of the same weights, one window at a time."""
    tensors = place(small, name)
    loader = "torchaudio.pipelines._wav2vec2.utils.load_state_dict_from_url"
    monkeypatch.setattr(loader, lambda url, **options: {key: tensor.clone() for key, tensor in tensors.items()})
    theirs = getattr(torchaudio.pipelines, name).get_model()
    windows = torch.stack([babble(2, seed) for seed in range(3)])
    with torch.no_grad():
        for layer in (None, 1, 3) if BUNDLES[name].letters else (1, 3):
            ours = build(bundle=name, layer=layer)._steps(windows)
            for window, got in zip(windows, ours, strict=True):
                expected = (
                    theirs(window[None])[0] if layer is None else theirs.extract_features(window[None])[0][layer - 1]
                )
                torch.testing.assert_close(got, expected[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [LETTERS, HIDDEN, WAVLM])
def test_it_agrees_with_transformers(small, name):
    """Reading the file that transformers writes, names and all."""
    transformers = pytest.importorskip("transformers", reason="pip install 'vast-avatar[oracles]'")
    kinds = {
        LETTERS: (transformers.Wav2Vec2Config, transformers.Wav2Vec2ForCTC),
        HIDDEN: (transformers.HubertConfig, transformers.HubertModel),
        WAVLM: (transformers.WavLMConfig, transformers.WavLMModel),
    }
    config, model = kinds[name]
    torch.manual_seed(0)
    theirs = model(
        config(
            vocab_size=32,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=64,
            conv_dim=(16,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
        )
    ).eval()
    folder = small / "theirs"
    theirs.save_pretrained(folder)
    wave = babble(2)[None]
    with torch.no_grad():
        if name == LETTERS:
            letters = [row for row in range(32) if row not in (1, 2, 3)]
            torch.testing.assert_close(
                build(weights=folder)._steps(wave), theirs(wave).logits[..., letters], atol=1e-4, rtol=1e-4
            )
        hidden = theirs(wave, output_hidden_states=True).hidden_states
        for layer in (1, 2, 3):
            ours = build(bundle=name, layer=layer, weights=folder / "model.safetensors")
            torch.testing.assert_close(ours._steps(wave), hidden[layer], atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------------------------------------- weights


def test_names_of_older_releases(small):
    tensors = place(small, LETTERS)
    wave = babble(2)[None]
    expected = build()(wave, 40)
    older = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for key, tensor in tensors.items()
    }
    assert older.keys() != tensors.keys()
    save_file(older, small / "older.safetensors")
    torch.testing.assert_close(build(weights=small / "older.safetensors")(wave, 40), expected, atol=0, rtol=0)


def test_places_in_their_order(small, monkeypatch):
    with pytest.raises(WeightsError) as caught:
        build()
    for part in (
        str(small / "wav2vec2_asr_base_960h.safetensors"),
        "cache/",
        "facebook/wav2vec2-base-960h",
        "as safetensors",
    ):
        assert part in str(caught.value)
    (small / "cache/wav2vec2-base-960h").mkdir(parents=True)
    (small / "other").mkdir()
    save_file(random_weights(LETTERS), small / "cache/wav2vec2-base-960h/model.safetensors")
    build()
    other = {name: tensor * (not name.startswith("aux")) for name, tensor in random_weights(LETTERS).items()}
    save_file(other, small / "other/wav2vec2_asr_base_960h.safetensors")
    wave = babble(2)[None]
    assert build()(wave, 10).any()
    assert not build(weights=small / "other")(wave, 10).any()
    monkeypatch.setenv("VAST_WEIGHTS", str(small / "other"))
    assert not build()(wave, 10).any()


def test_wrong_weights_are_refused(small):
    file = small / "wrong.safetensors"
    save_file(random_weights(HIDDEN), file)
    with pytest.raises(WeightsError, match=r"aux\.weight: missing"):
        build(weights=file)
    tensors = random_weights(LETTERS)
    tensors["encoder.transformer.layer_norm.weight"] = torch.ones(48)
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"layer_norm\.weight: \(48,\) in the file, \(32,\)"):
        build(weights=file)
    file.write_bytes(b"not at all")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        build(weights=file)


def test_no_pickle_is_read(small):
    """A file of torchaudio's own, as it is downloaded, is refused."""
    torch.save(random_weights(LETTERS), small / "wav2vec2_asr_base_960h.safetensors")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        build()


# ----------------------------------------------------------------------------------------------- component


@pytest.mark.parametrize("fps", [22.13, 25.0, 60.0])
def test_one_row_a_frame(small, fps):
    for options in ({"bundle": LETTERS}, {"bundle": NORMALISED}):
        place(small, options["bundle"])
        wav2vec2 = build(fps, **options)
        for frames, samples in ((1, 0), (1, 50_000), (2, 1), (77, 50_000)):
            rows = wav2vec2(babble(4)[None, :samples].repeat(2, 1), frames)
            assert rows.shape == (2, frames, 29)
            assert rows.isfinite().all()


@pytest.mark.parametrize("name", [LETTERS, NORMALISED])
def test_rows_do_not_depend_on_the_batch_or_on_silence_appended(small, name):
    place(small, name)
    wav2vec2 = build(bundle=name)
    short, long = babble(1.5, 1), babble(6, 2)
    alone = wav2vec2(short[None], 150)
    together = wav2vec2(torch.stack([torch.nn.functional.pad(short, (0, len(long) - len(short))), long]), 150)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1:], wav2vec2(long[None], 150), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("fps", [25.0, 50.0])
def test_chunks_equal_the_whole(small, fps):
    """As synthesis cuts sound, at rates of which frames begin on samples."""
    place(small, LETTERS)
    wav2vec2, wave, total = build(fps), babble(9), int(8 * fps)
    whole = wav2vec2(wave[None], total)[0]
    assert (whole[:-BLOCK] - whole[BLOCK:]).abs().max() > 0.1, "it must hear something"
    for start in range(0, total, CHUNK):
        last = min(start + CHUNK + 5, total)
        rows = listen_between(wav2vec2, wave[None], start, last, fps, wave.device)[0]
        torch.testing.assert_close(rows, whole[start:last], atol=1e-4, rtol=1e-4)


def test_a_burst_is_heard_when_it_sounds(small):
    """Among silence, the rows that change most are those of the burst."""
    place(small, LETTERS)
    wav2vec2, wave = build(layer=1), torch.zeros(1, 6 * RATE)
    silent = wav2vec2(wave, 150)
    wave[0, 3 * RATE : 3 * RATE + 1600] = torch.randn(1600, generator=torch.Generator().manual_seed(0))
    changed = (wav2vec2(wave, 150) - silent).abs().mean(-1)[0]
    assert changed.argmax() in range(74, 80)


def test_it_is_frozen_and_drops_nothing_out(small):
    place(small, LETTERS)
    wav2vec2, wave = build(), babble(2)[None]
    before = wav2vec2(wave, 40)
    assert not any(parameter.requires_grad for parameter in wav2vec2.parameters())
    torch.testing.assert_close(wav2vec2.train()(wave, 40), before, atol=0, rtol=0)


def test_meta_device_needs_no_weights(small):
    with torch.device("meta"):
        rows = build(layer=2)(torch.zeros(3, RATE), 25)
    assert rows.is_meta
    assert rows.shape == (3, 25, 32)


def test_options():
    assert Wav2Vec2Config().sizes() == {"audio": 29}
    assert Wav2Vec2Config(layer=12).sizes() == {"audio": 768}
    assert Wav2Vec2Config(bundle="WAVLM_LARGE", layer=24).sizes() == {"audio": 1024}
    for wrong, message in (
        ({"bundle": "WAV2VEC3"}, "bundle"),
        ({"bundle": "MMS_FA"}, "bundle"),
        ({"bundle": HIDDEN}, "has no logits; choose a layer from 1 to 12"),
        ({"layer": 13}, "has 12"),
        ({"layer": 0}, "layer"),
    ):
        with pytest.raises(ValueError, match=message):
            Wav2Vec2Config(**wrong)


def test_without_torchaudio_it_says_what_to_install(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(ComponentError, match=r"pip install 'vast-avatar\[wav2vec2\]'"):
        build()


def test_declaring_needs_neither_torch_nor_torchaudio():
    code = (
        "import sys, vast_audio.plugin as p; list(p.vast_components());"
        "from vast_audio.config import Wav2Vec2Config as C; C(layer=3).sizes();"
        "sys.exit(bool({'torch', 'torchaudio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0


@pytest.mark.parametrize("case", conformance("audio/wav2vec2"))
def test_conforms(case, small):
    if case.rule.name == "row t belongs to t over fps":
        pytest.skip("attention with random weights looks everywhere")
    place(small, LETTERS)
    case()
