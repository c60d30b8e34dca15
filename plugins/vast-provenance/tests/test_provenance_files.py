"""Metadata and C2PA manifests in files, read by FFmpeg and by c2pa's own reader; who signs; what inspection tells."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import c2pa
import cv2
import numpy as np
import pytest

from vast_core.errors import InputError, MediaError, StorageError
from vast_core.media import SPOKEN, VideoWriter
from vast_core.registry import Origin
from vast_provenance import signing
from vast_provenance.config import Provenance
from vast_provenance.inspecting import findings, watermark
from vast_provenance.manifest import SOURCE_TYPE, read
from vast_provenance.marking import PLAIN_WORDS, ProvenanceMarker, watermarked
from vast_provenance.robustness import pieces
from vast_provenance.signing import CERTIFICATES, KEY, credentials, local_root


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in (KEY, CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def marker_of(**options):
    sections = {"provenance": Provenance(**options)}
    return ProvenanceMarker(
        Origin(
            avatar="ann",
            run="mine",
            recipe="abc",
            weights="def",
            software="vast 0.1.0",
            sections=sections,
            consent="none",
        )
    )


def write(path, marker):
    """A video of six frames, written as an avatar's are."""
    chance = np.random.default_rng(0)
    entries = {"comment": SPOKEN, **marker.metadata()}
    with VideoWriter(path, 25, np.zeros(3840, np.float32), metadata=entries, finish=marker.finish) as writer:
        for _ in range(6):
            writer.write(marker.frame(chance.integers(90, 110, (128, 128, 3), np.uint8)))
    return path


def test_a_file_has_all_three_marks(tmp_path):
    video = write(tmp_path / "out.mp4", marker_of())
    with av.open(video) as container:
        assert container.metadata["comment"] == SPOKEN
        assert container.metadata["description"] == PLAIN_WORDS
        facts = json.loads(container.metadata["synopsis"])
        assert facts == {"run": "mine", "recipe": "abc", "weights": "def", "software": "vast 0.1.0", "consent": "none"}
        assert sum(1 for _ in container.decode(video=0)) == 6
    with video.open("rb") as file, c2pa.Reader("video/mp4", file) as reader:  # a verifier that we did not write
        assert reader.get_validation_state() == "Valid"
        assert SOURCE_TYPE in reader.json()
    told = dict(findings(video))
    assert PLAIN_WORDS in told["metadata"]
    assert "compositeWithTrainedAlgorithmicMedia (synthetic)" in told["C2PA"]
    assert "weights def" in told["C2PA"]
    assert told["watermark"].startswith("there")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.mp4"], "nothing else is left"


def test_a_verifier_that_trusts_the_root_trusts_the_file(tmp_path):
    video = write(tmp_path / "out.mp4", marker_of())
    assert read(video).state == "Valid"
    assert read(video).problems == ("signingCredential.untrusted",)
    assert read(video, local_root()).state == "Trusted"


def test_a_changed_file_is_no_longer_valid(tmp_path):
    video = write(tmp_path / "out.mp4", marker_of())
    content = bytearray(video.read_bytes())
    content[-40] ^= 1
    video.write_bytes(content)
    found = read(video)
    assert found.state == "Invalid"
    assert "assertion.bmffHash.mismatch" in found.problems
    assert "invalid" in dict(findings(video))["C2PA"]


def test_the_recipe_switches_each_mark_off_and_the_report_says_so(tmp_path):
    marker = marker_of(metadata=False, manifest=False, watermark=False)
    told = dict(findings(write(tmp_path / "plain.mp4", marker)))
    assert told["metadata"] == SPOKEN, "what keeps avatars from learning from avatars stays"
    assert told["C2PA"] == "no manifest"
    assert told["watermark"].startswith("not found")
    off = "The recipe has switched off: container metadata, a signed C2PA manifest and an invisible watermark."
    assert marker.lines() == [off]
    assert not (tmp_path / "data").exists(), "no key is made that nothing needs"
    some = marker_of(watermark=False).lines()
    assert some[0] == "Its videos are marked as synthetic by container metadata and a signed C2PA manifest."
    assert "local test key, which proves nothing" in some[1]
    assert some[2] == "The recipe has switched off: an invisible watermark."


def test_the_local_key_is_made_once_and_kept_private(tmp_path):
    first = credentials()
    assert credentials().key == first.key
    folder = tmp_path / "data" / "vast" / "signing"
    assert folder.stat().st_mode & 0o077 == 0
    assert str(folder) in first.who


def test_of_two_processes_that_make_the_key_at_once_the_first_decides(tmp_path, monkeypatch):
    """The second one begins and ends while the first one works."""
    work, first = signing._certificate, []

    def interrupted(*given):
        monkeypatch.setattr(signing, "_certificate", work)
        first.append(credentials())
        return work(*given)

    monkeypatch.setattr(signing, "_certificate", interrupted)
    assert credentials() == first[0] == credentials()
    folder = tmp_path / "data" / "vast" / "signing"
    assert [path.name for path in folder.parent.iterdir()] == ["signing"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert read(write(tmp_path / "out.mp4", marker_of()), local_root()).state == "Trusted"


def test_a_damaged_folder_of_the_local_key_is_told(tmp_path):
    folder = tmp_path / "data" / "vast" / "signing"
    folder.mkdir(parents=True)
    (folder / "key.pem").write_text("half")
    with pytest.raises(StorageError, match="remove it if it is there"):
        credentials()


def test_the_users_own_key_signs(tmp_path, monkeypatch):
    credentials()
    local, own = tmp_path / "data" / "vast" / "signing", tmp_path / "own"
    shutil.copytree(local, own)
    shutil.rmtree(local)
    monkeypatch.setenv(KEY, str(own / "key.pem"))
    with pytest.raises(InputError, match="set both"):
        credentials()
    monkeypatch.setenv(CERTIFICATES, str(own / "certificates.pem"))
    marker = marker_of()
    assert read(write(tmp_path / "out.mp4", marker), (own / "root.pem").read_bytes()).state == "Trusted"
    assert "the key of CN=" in " ".join(marker.lines())
    assert not local.exists()


@pytest.mark.parametrize(("key", "certificates"), [("absent.pem", "absent.pem"), ("words.pem", "words.pem")])
def test_a_key_that_cannot_be_used_leaves_no_video(tmp_path, monkeypatch, key, certificates):
    (tmp_path / "words.pem").write_text("no key")
    monkeypatch.setenv(KEY, str(tmp_path / key))
    monkeypatch.setenv(CERTIFICATES, str(tmp_path / certificates))
    with pytest.raises(InputError, match=r"\.pem"):
        write(tmp_path / "out.mp4", marker_of())
    assert not (tmp_path / "out.mp4").exists()


def test_certificates_of_another_key_are_refused(tmp_path, monkeypatch):
    credentials()
    folder = tmp_path / "data" / "vast" / "signing"
    monkeypatch.setenv(KEY, str(folder / "key.pem"))
    monkeypatch.setenv(CERTIFICATES, str(folder / "root.pem"))
    with pytest.raises(InputError, match="cannot be signed"):
        write(tmp_path / "out.mp4", marker_of())
    assert not (tmp_path / "out.mp4").exists()


def test_other_files_are_inspected_or_refused_in_plain_words(tmp_path):
    plain = tmp_path / "plain.mp4"
    with VideoWriter(plain, 25) as writer:
        writer.write(np.full((64, 64, 3), 90, np.uint8))
    told = dict(findings(plain))
    assert told == {
        "metadata": "none that says what the file is",
        "C2PA": "no manifest",
        "watermark": told["watermark"],
    }
    assert told["watermark"].startswith("not found")
    words = tmp_path / "words.mp4"
    words.write_text("no video at all")
    with pytest.raises(MediaError, match="is no video or sound file"):
        list(findings(words))


def test_a_file_may_have_a_colon_in_its_name_and_may_not_name_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VideoWriter(Path("a:1.mp4"), 25) as writer:
        writer.write(np.full((64, 64, 3), 90, np.uint8))
    assert dict(findings(Path("a:1.mp4")))["watermark"].startswith("not found")
    Path("list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError):
        list(findings(Path("list.m3u8")))


def pictures(path, *sizes):
    """A stream of JPEGs."""
    chance = np.random.default_rng(0)
    frames = [watermarked(chance.integers(90, 110, (*size, 3), np.uint8)) for size in sizes]
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return path


def test_pictures_of_several_sizes_are_searched(tmp_path):
    video = pictures(tmp_path / "a.mjpeg", (64, 64), *[(192, 256)] * 12, (256, 192))
    assert watermark(video).marked
    sizes = [piece[0].shape[:2] for piece in pieces(pictures(tmp_path / "b.mjpeg", *[(64, 80)] * 30, (80, 64)), 4)]
    assert sizes == [(64, 80)]


@pytest.mark.parametrize("size", [(1, 4000), (1, 1), (200, 9000)])
def test_extreme_pictures_are_searched_in_time(tmp_path, size):
    assert watermark(pictures(tmp_path / "a.mjpeg", size)) is not None
    if min(size) < 64:
        with pytest.raises(MediaError, match="give at least 64"):
            list(pieces(tmp_path / "a.mjpeg", 1))


def test_the_hook_reads_the_recipes_section():
    from vast_provenance.plugin import vast_marker

    origin = SimpleNamespace(avatar="a", run="r", recipe="x", weights="y", software="vast 1", sections={}, consent="")
    assert vast_marker(origin).lines()[0].startswith("Its videos are marked as synthetic by container metadata")
