"""Every corpus keeps every rule of the conformance kit: one made from a seed, small films, small recordings."""

from fractions import Fraction

import av
import numpy as np
import pytest

from vast_core.interfaces import SAMPLE_RATE
from vast_core.registry import Registry
from vast_core.testing import Subject, check, conformance
from vast_corpora.config import FolderConfig, SpeechConfig, SyntheticConfig

SMALL = SyntheticConfig(
    speakers=2,
    styles=2,
    held_out_styles=1,
    sentences=1,
    pool=2,
    held_out_sentences=1,
    avatar_seconds=1,
    image=64,
    supersampling=1,
)


@pytest.mark.parametrize("case", conformance("corpus/synthetic", {"corpus/synthetic": SMALL}))
def test_synthetic_conforms(case):
    case()


def film(path, number):
    """A second of a grey that grows lighter, 48 by 32, with a tone."""
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=Fraction(25)), container.add_stream("aac", rate=44_100)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        for shade in range(25):
            picture = np.full((32, 48, 3), 8 * shade + 5 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        tone = 0.3 * np.sin(np.arange(44_100) * (1 + number) / 30).astype(np.float32)
        for start in range(0, 43_008, 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, start
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def broken(name, config):
    found = check(Subject.of(Registry.discover().get("corpus", name), config))
    return {outcome.rule.name: outcome.detail for outcome in found if outcome.state == "broken"}


def test_folder_conforms(tmp_path):
    for number, style in enumerate(("plain", "happy", "plain")):
        (tmp_path / "anna" / style).mkdir(parents=True, exist_ok=True)
        film(tmp_path / "anna" / style / f"{number}.mp4", number)
    assert broken("folder", FolderConfig(path=tmp_path)) == {}
    assert broken("folder", FolderConfig(path=tmp_path / "nothing")) == {}


def test_speech_conforms(tmp_path, monkeypatch):
    monkeypatch.setenv("VAST_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    with (tmp_path / "mine" / "MANIFEST.tsv").open("w", encoding="utf-8") as manifest:
        print("file", "speaker", "seconds", "transcript", "phones", sep="\t", file=manifest)
        for number in range(3):
            with av.open(str(tmp_path / "mine" / f"{number}.wav"), "w") as container:
                stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
                tone = (8000 * np.sin(np.arange(SAMPLE_RATE // 2) * (1 + number) / 20)).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
                frame.sample_rate = SAMPLE_RATE
                container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            print(f"{number}.wav", "ann", "0.5", "Hi.", "SIL:0.0-0.1 HH:0.1-0.2 AY:0.2-0.5", sep="\t", file=manifest)
    assert broken("speech", SpeechConfig(folders=(tmp_path / "mine",), engines=())) == {}
    assert broken("speech", SpeechConfig(minutes=0.2, voices=1)) == {}
