"""audio/ppg_whisper: its encoder against another implementation, where weights are found, what its rows depend on.

Most tests run on a small encoder of random weights. Those of what is recognised need the real ones and are skipped
where neither ``VAST_WEIGHTS`` nor ``../shared/models`` has them.
"""

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vast_audio import whisper_weights
from vast_audio.blocks import BLOCK, Blocks
from vast_audio.config import PpgWhisperConfig
from vast_audio.ppg_whisper import PpgWhisper
from vast_audio.whisper import Encoder, LogMel, PhoneHead, WhisperPhones, mel_filters
from vast_audio.whisper_weights import DIGEST, HEAD, encoder_digest, find_whisper
from vast_core.errors import WeightsError
from vast_core.interfaces import Sizes, listen_between
from vast_core.phones import PHONES, VISEME_OF, phone_index
from vast_core.runs import load_weights, save_weights, weight_files
from vast_core.speak.perform import CHUNK
from vast_core.testing import conformance

RATE = 16_000
FPS = (22.13, 24.0, 25.0, 29.97, 60.0)
MODELS = Path(os.environ.get("VAST_WEIGHTS", Path(__file__).resolve().parents[3] / "../shared/models"))
COMBINED = MODELS / "ppg_whisper_tiny_en_arpa40.safetensors"
needs_weights = pytest.mark.skipif(not COMBINED.is_file(), reason=f"no {COMBINED}")


def small_encoder():
    """Tensors of two layers and two heads by their official names, large enough to hear something."""
    torch.manual_seed(0)
    return {name: (1.5 * tensor).half().float() for name, tensor in Encoder(80, 128, 2).state_dict().items()}


def small_head():
    torch.manual_seed(1)
    head = PhoneHead(128, 16).state_dict()
    norm = {"norm.mean": head.pop("mean") + 0.1, "norm.std": head.pop("std") * 0.5}
    return norm | {f"head.{name}": 2 * tensor for name, tensor in head.items()}


def as_released(encoder, prefix="model.encoder."):
    """With tensors that are not wanted, as in the official file."""
    unwanted = {"model.decoder.embed_tokens.weight": torch.zeros(7, 128)}
    unwanted[f"{prefix}embed_positions.weight"] = torch.full((1500, 128), 9.0)
    return {f"{prefix}{name}": tensor for name, tensor in encoder.items()} | unwanted


def as_combined(encoder):
    """By the names of CTranslate2, query, key and value in one tensor, the key's bias zero."""
    names = {"self_attn_layer_norm": "self_attention/layer_norm", "final_layer_norm": "ffn/layer_norm"}
    names |= {"fc1": "ffn/linear_0", "fc2": "ffn/linear_1", "self_attn.out_proj": "self_attention/linear_1"}
    found = {}
    for name in encoder:
        path, _, kind = name.rpartition(".")
        norms = {"weight": "gamma", "bias": "beta"} if "layer_norm" in path else {}
        if (match := re.fullmatch(r"layers\.(\d)\.(.+)", path)) is None:
            found[f"enc.{path}/{norms.get(kind, kind)}"] = encoder[name]
        elif match[2] in names:
            found[f"enc.layer_{match[1]}/{names[match[2]]}/{norms.get(kind, kind)}"] = encoder[name]
        elif match[2] == "self_attn.q_proj":
            parts = [encoder.get(name.replace("q_proj", f"{x}_proj"), torch.zeros(128)) for x in "qkv"]
            found[f"enc.layer_{match[1]}/self_attention/linear_0/{kind}"] = torch.cat(parts)
    return found | {"enc.position_encodings/encodings": torch.zeros(1500, 128)} | small_head()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The folder ``VAST_WEIGHTS``, with a small release that passes for the official one, and an empty cache."""
    (tmp_path / "models/whisper-tiny.en").mkdir(parents=True)
    save_file(as_released(small_encoder()), tmp_path / "models/whisper-tiny.en/model.safetensors")
    save_weights(tmp_path / "head.safetensors", small_head(), {"phones": list(PHONES)})
    monkeypatch.setattr(whisper_weights, "DIGEST", encoder_digest(small_encoder()))
    monkeypatch.setattr(whisper_weights, "HEAD", tmp_path / "head.safetensors")
    monkeypatch.setattr(weight_files, "downloads", lambda: tmp_path / "cache")
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path / "models"))
    return tmp_path / "models"


def build(fps=25.0, **options):
    config = PpgWhisperConfig(**options)
    sizes = Sizes(fps=fps, image=128, expression=8, lower_face=8, vertices=468, style=8, context=8, **config.sizes())
    return PpgWhisper.from_config(config, sizes)


def babble(seconds, seed=0):
    """Noise with bursts and pauses, something like speech in its level."""
    rng = np.random.default_rng(seed)
    level = np.repeat(10 ** rng.uniform(-3, -0.8, math.ceil(seconds * 8)), RATE // 8)[: round(seconds * RATE)]
    return torch.from_numpy((rng.standard_normal(len(level)) * level).astype(np.float32))


# ------------------------------------------------------------------------------------------ second opinions


def test_filters_agree_with_torchaudio():
    functional = pytest.importorskip("torchaudio.functional", reason="pip install 'vast-avatar[oracles]'")
    theirs = functional.melscale_fbanks(201, 0.0, 8000.0, 80, RATE, norm="slaney", mel_scale="slaney")
    torch.testing.assert_close(mel_filters(80), theirs, atol=1e-6, rtol=1e-3)


def test_log_mel_agrees_with_transformers():
    transformers = pytest.importorskip("transformers", reason="pip install 'vast-avatar[oracles]'")
    wave = babble(3)
    theirs = transformers.WhisperFeatureExtractor(chunk_length=3)(wave.numpy(), sampling_rate=RATE)
    torch.testing.assert_close(
        LogMel(80)(wave[None]), torch.as_tensor(np.array(theirs["input_features"])), atol=1e-4, rtol=0
    )


def test_encoder_agrees_with_transformers():
    transformers = pytest.importorskip("transformers", reason="pip install 'vast-avatar[oracles]'")
    config = transformers.WhisperConfig(
        d_model=128, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=512, max_source_positions=150
    )
    theirs = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    ours = Encoder(80, 128, 2)
    ours.load_state_dict(small_encoder())
    missing, unknown = theirs.load_state_dict(small_encoder(), strict=False)
    assert (missing, unknown) == (["embed_positions.weight"], [])
    mel = LogMel(80)(babble(3)[None])
    with torch.no_grad():
        torch.testing.assert_close(ours(mel), theirs(mel).last_hidden_state, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fps", FPS)
def test_rows_belong_to_their_times(fps):
    """Steps that tell their own time make rows that tell theirs."""
    blocks = Blocks(fps, reach=1.0, step=320, centre=160)
    ramp = torch.arange(8 * RATE) / RATE
    rows = blocks(ramp[None] - 0.5, int(6 * fps), lambda windows: windows[:, 160::320, None])[0, :, 0] + 0.5
    inner = slice(math.ceil(0.1 * fps), None)
    np.testing.assert_allclose(rows[inner], (np.arange(int(6 * fps)) / fps)[inner], atol=2e-3)


def test_memory_does_not_grow_with_the_sound():
    seen = []

    def hear(windows):
        seen.append(windows.shape)
        return torch.zeros(len(windows), windows.shape[1] // 320, 3)

    blocks = Blocks(25.0, reach=1.0, step=320, centre=160)
    assert blocks(torch.zeros(2, 3 * RATE).expand(2, -1), 90_000, hear).shape == (2, 90_000, 3)
    assert max(seen) == (8, blocks.samples)
    assert sum(count for count, _ in seen) == 2 * math.ceil(90_000 / BLOCK)


# -------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("container", ["float32", "float16", "without the model's prefix", "combined"])
def test_any_container_of_the_encoder_is_the_same(small, tmp_path, container):
    encoder, file = small_encoder(), tmp_path / "other.safetensors"
    if container == "combined":
        save_file(as_combined(encoder), file, metadata={"phones": " ".join(PHONES)})
    elif container == "without the model's prefix":
        save_file(as_released(encoder, "encoder."), file)
    else:
        save_file({name: t.to(getattr(torch, container)) for name, t in as_released(encoder).items()}, file)
    found = find_whisper(file)
    assert found.origin == file
    torch.testing.assert_close(dict(found.encoder), encoder, atol=0, rtol=0)
    wave = babble(2)[None]
    torch.testing.assert_close(WhisperPhones(file)(wave), WhisperPhones()(wave))
    head = {name.partition(".")[2]: tensor for name, tensor in small_head().items()}
    torch.testing.assert_close(dict(found.head), head, atol=0, rtol=0)


def test_places_in_their_order(small, tmp_path, monkeypatch):
    release = small / "whisper-tiny.en"
    assert find_whisper().origin == release / "model.safetensors"
    assert find_whisper(release).origin == release / "model.safetensors"
    combined = small / COMBINED.name
    save_file(as_combined(small_encoder()), combined, metadata={"phones": " ".join(PHONES)})
    assert find_whisper().origin == combined
    assert find_whisper(release).origin == release / "model.safetensors"
    (tmp_path / "cache").mkdir()
    combined.rename(tmp_path / "cache" / combined.name)
    assert find_whisper().origin == release / "model.safetensors"
    monkeypatch.delenv("VAST_WEIGHTS")
    assert find_whisper().origin == tmp_path / "cache" / combined.name


def test_absent_weights_are_explained(small, tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError) as caught:
        build()
    for part in ("nowhere/whisper-tiny.en/model.safetensors", "cache/", "openai/whisper-tiny.en", "hf download"):
        assert part in str(caught.value)
    assert "is not set" not in str(caught.value)
    monkeypatch.delenv("VAST_WEIGHTS")
    with pytest.raises(WeightsError, match=r"VAST_WEIGHTS \(which is not set\)"):
        build()
    with pytest.raises(WeightsError, match=r"missing\.safetensors"):
        build(weights=tmp_path / "missing.safetensors")


def test_wrong_weights_are_refused(small, tmp_path):
    file = tmp_path / "wrong.safetensors"
    other = small_encoder()
    other["layers.1.fc2.bias"][3] += 0.01
    for content, message in (
        (as_released(other), rf"{file}: not the encoder of openai/whisper-tiny.en .*{encoder_digest(other)}"),
        (as_combined(other), "not the encoder"),
        (as_released({n: t for n, t in small_encoder().items() if "fc1" not in n}), "not the encoder"),
        ({"weight": torch.zeros(3)}, "has no Whisper encoder"),
        ({"encoder.conv1.weight": torch.zeros(3, dtype=torch.int64)}, "not the encoder"),
    ):
        save_file(content, file)
        with pytest.raises(WeightsError, match=message):
            build(weights=file)
    save_file(as_combined(small_encoder()), file, metadata={"phones": "SIL AH"})
    with pytest.raises(WeightsError, match="its head has the labels SIL AH, not SIL AA"):
        build(weights=file)
    file.write_bytes(b"not at all")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        build(weights=file)


def test_the_shipped_head():
    tensors, header = load_weights(HEAD)
    assert header["encoder"] == DIGEST
    assert tuple(header["phones"]) == PHONES
    assert HEAD.stat().st_size < 1_000_000
    assert "CC BY 4.0" in " ".join(header["data"])
    assert not any(name.startswith("enc") for name in tensors)


# ------------------------------------------------------------------------------------------------ component


@pytest.mark.parametrize("fps", FPS)
def test_one_row_a_frame(small, fps):
    whisper = build(fps)
    for frames, samples in ((1, 0), (1, 50_000), (2, 1), (77, 399), (77, 50_000)):
        rows = whisper(babble(4)[None, :samples].repeat(2, 1), frames)
        assert rows.shape == (2, frames, 40)
        torch.testing.assert_close(rows.sum(-1), torch.ones(2, frames))


def test_rows_do_not_depend_on_the_batch_or_on_silence_appended(small):
    whisper = build()
    short, long = babble(1.5, 1), babble(6, 2)
    alone = whisper(short[None], 150)
    together = whisper(torch.stack([torch.nn.functional.pad(short, (0, len(long) - len(short))), long]), 150)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1:], whisper(long[None], 150), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("fps", "lookahead"), [(24.0, 0), (25.0, 0), (25.0, 5), (60.0, 0)])
def test_chunks_equal_the_whole(small, fps, lookahead):
    """As synthesis cuts sound."""
    whisper = build(fps)
    wave = babble(9)
    total = int(8 * fps)
    whole = whisper(wave[None], total)[0]
    assert (whole[:-BLOCK] - whole[BLOCK:]).abs().max() > 0.1, "it must hear something"
    for start in range(0, total, CHUNK):
        last = min(start + CHUNK + lookahead, total)
        rows = listen_between(whisper, wave[None], start, last, fps, wave.device)[0]
        # at 24 fps frames do not begin on samples, and the windows move by up to one
        torch.testing.assert_close(rows, whole[start:last], atol=1e-4 if fps == 25 else 0.03, rtol=1e-4)


@pytest.mark.parametrize("fps", [24.0, 25.0, 60.0])
def test_the_receptive_field_is_enough(small, fps):
    """Sound beyond it changes nothing; sound well inside does."""
    whisper, wave, frame = build(fps), babble(10), int(5 * fps)
    centre, reach = round(frame / fps * RATE), math.ceil(whisper.receptive_field * RATE)
    before = whisper(wave[None], frame + 1)[0, frame]
    outside = babble(10, 9)
    outside[centre - reach : centre + reach] = wave[centre - reach : centre + reach]
    torch.testing.assert_close(whisper(outside[None], frame + 1)[0, frame], before, atol=1e-6, rtol=1e-5)
    inside = wave.clone()
    inside[centre - RATE : centre + RATE] *= 30
    assert (whisper(inside[None], frame + 1)[0, frame] - before).abs().max() > 1e-3


def test_odd_sound_gives_posteriors(small):
    whisper = build()
    odd = {
        "silence": torch.zeros(2 * RATE),
        "DC": torch.full((2 * RATE,), 0.7),
        "clipped": (100 * babble(2)).clamp(-1, 1),
        "a lone click": torch.nn.functional.one_hot(torch.tensor(RATE), 2 * RATE).float(),
        "far too loud": 1e4 * babble(2),
        "far too soft": 1e-7 * babble(2),
    }
    for what, wave in odd.items():
        rows = whisper(wave[None], 50)
        assert rows.isfinite().all(), what
        torch.testing.assert_close(rows.sum(-1), torch.ones(1, 50), atol=1e-5, rtol=0)
    for what in ("silence", "far too soft"):
        assert (whisper(odd[what][None], 50)[..., 0] == 1).all(), what


def test_a_pause_is_silence_and_a_closure_is_not(small):
    """0.1 s of nothing may be the closure of a stop; of a second, all but the ends are silence."""
    whisper, sound = build(), babble(6)
    whisper.model.head.o.bias[0] -= 10
    closure, pause = sound.clone(), sound.clone()
    closure[3 * RATE : 3 * RATE + RATE // 10] = 0
    pause[3 * RATE : 4 * RATE] = 0
    assert whisper(closure[None], 150)[0, :, 0].max() < 0.01
    rows = whisper(pause[None], 150)[0]
    assert (rows[75 + 6 : 100 - 6, 0] > 0.999).all()
    assert (rows[: 75 + 2, 0] < 0.01).all()
    assert (rows[100 - 2 :, 0] < 0.01).all()


def test_temperature_softens(small):
    wave = babble(2)[None]
    sharp, plain, soft = (build(temperature=t)(wave, 40).amax(-1).mean() for t in (0.5, 1.0, 4.0))
    assert sharp > plain > soft > 1 / len(PHONES)
    with pytest.raises(ValueError, match="temperature"):
        PpgWhisperConfig(temperature=0.0)


def test_it_is_frozen(small):
    whisper = build()
    assert not any(parameter.requires_grad for parameter in whisper.parameters())
    assert not whisper.train()(torch.zeros(1, RATE), 5).requires_grad


def test_meta_device_needs_no_weights(small, tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_WEIGHTS", str(tmp_path / "nowhere"))
    with torch.device("meta"):
        rows = build()(torch.zeros(3, RATE), 25)
    assert rows.is_meta
    assert rows.shape == (3, 25, 40)


def test_autocast_changes_little(small):
    whisper, wave = build(), babble(2)[None]
    plain = whisper(wave, 50)
    with torch.autocast("cpu", torch.bfloat16):
        cast = whisper(wave, 50)
    assert cast.dtype == torch.float32
    torch.testing.assert_close(cast, plain, atol=0.1, rtol=0)


def test_length_of_one_piece(small):
    model = WhisperPhones()
    assert model(torch.zeros(1, 30 * RATE)).shape == (1, 1500, 40)
    assert model(torch.zeros(1, 1)).shape == (1, 1, 40)
    for samples in (0, 30 * RATE + 1):
        with pytest.raises(ValueError, match="s of sound"):
            model(torch.zeros(1, samples))


# --------------------------------------------------------------------------------------- with real weights


@needs_weights
def test_the_shipped_head_is_that_of_the_whole_file():
    both = load_file(COMBINED)
    for name, tensor in load_weights(HEAD)[0].items():
        torch.testing.assert_close(tensor, both[name], atol=0, rtol=0)


@needs_weights
def test_built_from_the_release_it_is_the_same(tmp_path, monkeypatch):
    """The official names, in float32 as released, and our head, against the file with both."""
    found = whisper_weights.read_whisper(COMBINED)
    save_file({f"model.encoder.{name}": t for name, t in found.encoder.items()}, tmp_path / "model.safetensors")
    wave = babble(2)[None]
    torch.testing.assert_close(WhisperPhones(tmp_path)(wave), WhisperPhones(COMBINED)(wave), atol=0, rtol=0)


@needs_weights
def test_it_hears_what_is_said_when_it_is_said():
    """Four sentences of synthetic voices: the phones at their times, and worse 60 ms off."""
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora, which speaks")
    whisper = build(25.0, weights=COMBINED)
    right, alike, early, late, total = 0, 0, 0, 0, 0
    for number in range(4):
        said = speech.say(speech.SENTENCES[5 * number], speech.VOICES[2 * number])
        frames = int(len(said.wave) / RATE * 25)
        heard = [PHONES[i] for i in whisper(torch.from_numpy(said.wave)[None], frames)[0].argmax(-1)]
        for frame in range(frames):
            at = {
                s: next((p.label for p in said.phones if p.start <= frame / 25 + s < p.end), "SIL")
                for s in (-0.06, 0, 0.06)
            }
            if at[0] != "SIL":
                total += 1
                right += heard[frame] == at[0]
                alike += VISEME_OF[heard[frame]] == VISEME_OF[at[0]]
                early += heard[frame] == at[-0.06]
                late += heard[frame] == at[0.06]
    assert right / total > 0.68
    assert alike / total > 0.72
    assert max(early, late) < 0.75 * right


@needs_weights
def test_silence_and_quiet_speech():
    speech = pytest.importorskip("vast_corpora.speech", reason="needs vast-corpora, which speaks")
    whisper = build(25.0, weights=COMBINED)
    assert (whisper(torch.zeros(1, 3 * RATE), 75)[..., phone_index("SIL")] == 1).all()
    wave = torch.from_numpy(speech.say(speech.SENTENCES[0], speech.VOICES[0]).wave)[None]
    frames = wave.shape[1] // 640
    plain, soft = whisper(wave, frames), whisper(0.05 * wave, frames)
    assert ((plain - soft).abs().sum(-1) / 2).mean() < 0.1


@pytest.mark.parametrize("case", conformance("audio/ppg_whisper"))
def test_conforms(case, small):
    case()
