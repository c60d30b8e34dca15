"""corpus/folder on folders of small files; only their names matter, save where a film is made."""

import os
import unicodedata
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vast_core.errors import InputError, MediaError, MediaWarning
from vast_core.interfaces import Sizes
from vast_core.media import SPOKEN, VideoWriter
from vast_corpora.config import FolderConfig
from vast_corpora.folder import FolderCorpus
from vast_corpora.plugin import vast_components

SIZES = Sizes(fps=25.0, image=64, audio=1, expression=1, lower_face=1, vertices=1, style=1, context=1)
TALKERS = Path(__file__).resolve().parents[3] / "../shared/footage/talkers"


def corpus(path, **options):
    return FolderCorpus.from_config(FolderConfig(path=path, **options), SIZES)


def fill(folder, *names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes([number]))
    return folder


def speakers(folder, **options):
    return {clip.name: clip.speaker for clip in corpus(folder, **options).clips()}


def test_the_component_is_declared():
    (component,) = [component for component in vast_components() if component.name == "folder"]
    assert component.kind == "corpus"
    assert component.load() is FolderCorpus
    assert component.config is FolderConfig


def test_real_footage_gives_its_speakers():
    if not TALKERS.is_dir():
        pytest.skip(f"no footage at {TALKERS}")
    found = {Path(clip.name).stem: clip.speaker for clip in corpus(TALKERS).clips()}
    known = {
        "KristiNoem": "KristiNoem",
        "Obama_clip1": "Obama",
        "Obama_clip2": "Obama",
        "andrew_clip_1": "andrew",
        "andrew_clip_2": "andrew",
        "feifeili_clip2_short": "feifeili",
        "reagan_clip1": "reagan",
    }
    assert known.items() <= found.items()
    assert len(found) == len(list(TALKERS.glob("*.mp4")))


@pytest.mark.parametrize(
    ("stem", "speaker"),
    [
        ("Obama_clip1", "Obama"),
        ("andrew_clip_1", "andrew"),
        ("feifeili_clip2_short", "feifeili"),
        ("KristiNoem", "KristiNoem"),
        ("d12", "d12"),
        ("anna-2", "anna"),
        ("anna 003", "anna"),
        ("Anna Smith take3", "Anna Smith"),
        ("WDA_AlexandriaOcasioCortez_000", "WDA_AlexandriaOcasioCortez"),
        ("clipper_clip1", "clipper"),
        ("shorty", "shorty"),
        ("2024", "2024"),
        ("clip1", "clip1"),
        ("M030_front_happy_level3_001", "M030"),
        ("M030_happy_1", "M030"),
        ("sad_emotion_clip1", "sad_emotion"),
    ],
)
def test_speaker_from_the_files_name(tmp_path, stem, speaker):
    fill(tmp_path, f"{stem}.mp4")
    assert speakers(tmp_path) == {stem: speaker}


def test_sub_folders_name_speaker_and_style(tmp_path):
    fill(
        tmp_path, "anna/happy/1.mp4", "anna/2.MOV", "bob/deep/down/3.webm", "carl_clip1.mkv", "notes.txt", "bob/._4.mp4"
    )
    clips = corpus(tmp_path).clips()
    assert [(clip.name, clip.speaker, clip.style) for clip in clips] == [
        ("anna/2", "anna", None),
        ("anna/happy/1", "anna", "happy"),
        ("bob/deep/down/3", "bob", "deep"),
        ("carl_clip1", "carl", None),
    ]
    assert all(clip.footage.fps == 25 and clip.split is None for clip in clips)


def test_names_stay_unique_where_only_the_suffix_differs(tmp_path):
    fill(tmp_path, "a.mp4", "a.mov", "b.mp4")
    assert [clip.name for clip in corpus(tmp_path).clips()] == ["a.mov", "a.mp4", "b"]


def test_patterns_are_searched_in_the_path(tmp_path):
    fill(tmp_path, "take/M030_front_happy_level3_001.mp4", "take/W009_front_sad_level3_001.mp4", "take/W009.mp4")
    clips = corpus(tmp_path, speaker=r"/(?P<speaker>[MW]\d+)", style=r"_front_(?P<style>[a-z]+)_").clips()
    assert [(clip.speaker, clip.style) for clip in clips] == [("M030", "happy"), ("W009", None), ("W009", "sad")]
    with pytest.raises(InputError, match=r"take/W009\.mp4: the pattern corpus\.speaker = .* does not match"):
        corpus(tmp_path, speaker=r"/(?P<speaker>[MW]\d+)_front").clips()


@pytest.mark.parametrize("pattern", ["(", "[a-z]+", "(?P<name>[a-z]+)"])
def test_a_pattern_that_cannot_work_is_refused_at_once(pattern):
    with pytest.raises(ValueError, match=r"regular expression|group named speaker"):
        FolderConfig(path=Path("."), speaker=pattern)


def test_one_file_is_a_corpus(tmp_path):
    fill(tmp_path, "Obama_clip1.mp4", "other.mp4")
    assert speakers(tmp_path / "Obama_clip1.mp4") == {"Obama_clip1": "Obama"}


def test_nothing_there(tmp_path):
    fill(tmp_path, "a/readme.txt")
    with pytest.raises(InputError, match=r"no video in this folder or its sub-folders \(looked for \*\.mp4, \*\.mov"):
        corpus(tmp_path).clips()
    with pytest.raises(InputError, match=r"absent: no such folder or video; check corpus\.path"):
        corpus(tmp_path / "absent").clips()


def test_a_digest_follows_the_content(tmp_path):
    fill(tmp_path, "a.mp4", "b.mp4")
    one, other = (clip.digest for clip in corpus(tmp_path).clips())
    assert one != other
    assert [clip.digest for clip in corpus(tmp_path).clips()] == [one, other]
    (tmp_path / "a.mp4").write_bytes(bytes([9]))
    os.utime(tmp_path / "a.mp4", ns=(1, 1))
    assert next(iter(corpus(tmp_path).clips())).digest != one
    (tmp_path / "a.mp4").write_bytes(bytes([0]))
    assert next(iter(corpus(tmp_path).clips())).digest == one


def test_a_broken_file_is_a_clip_that_raises_only_when_read(tmp_path):
    (tmp_path / "good.mkv").touch()
    with av.open(str(tmp_path / "good.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    (tmp_path / "bad.mp4").write_text("no film")
    (tmp_path / "empty.mp4").touch()
    bad, empty, good = corpus(tmp_path).clips()
    assert len(list(good.footage.frames())) == 4
    for clip in (bad, empty):
        with pytest.raises(MediaError, match=f"{clip.name}.mp4: "):
            next(clip.footage.frames())
        with pytest.raises(MediaError, match=f"{clip.name}.mp4: "):
            clip.footage.wave()


# -------------------------------------------------------------------------------------------- manifest


def manifest(folder, text, name="manifest.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return corpus(folder, manifest=name)


def test_a_manifest_says_it_all(tmp_path):
    fill(tmp_path, "x/b.mp4", "a_clip1.mp4", "ignored.mp4")
    clips = manifest(
        tmp_path,
        '\ufefffile,speaker,style,transcript,split\nx/b.mp4,bob,happy,"Well, yes.\nNo.",held_out\na_clip1.mp4,,,,\n',
    ).clips()
    assert [(c.name, c.speaker, c.style, c.transcript, c.split) for c in clips] == [
        ("a_clip1", "a", None, None, None),
        ("x/b", "bob", "happy", "Well, yes.\nNo.", "held_out"),
    ]


def test_a_manifest_of_tabs(tmp_path):
    fill(tmp_path, "a.mp4")
    (clip,) = manifest(tmp_path, "file\tspeaker\na.mp4\tanna\n", "manifest.tsv").clips()
    assert clip.speaker == "anna"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,emotion\na.mp4,happy\n", r"manifest\.csv:1: has unknown columns emotion; the columns are file, speaker"),
        ("speaker\nanna\n", r"manifest\.csv:1: lacks the column file"),
        ("", r"manifest\.csv:1: lacks the column file"),
        ("file\na.mp4\nabsent.mp4\n", r"manifest\.csv:3: .*absent\.mp4 does not exist"),
        ("file\na.mp4\n./a.mp4\n", r"manifest\.csv:3: a\.mp4 is listed twice"),
        ("file,split\na.mp4,test\n", r"manifest\.csv:2: split is 'test'; write train, held_out"),
        ("file,transcript\na.mp4,Well, yes.\n", r"manifest\.csv:2: has more or fewer cells"),
        ("file,transcript\na.mp4\n", r"manifest\.csv:2: has more or fewer cells"),
        ("file,speaker\n,anna\n", r"manifest\.csv:2: has no file name"),
        ("file,speaker\n", r"manifest\.csv: lists no file"),
    ],
)
def test_mistakes_in_a_manifest(tmp_path, text, message):
    fill(tmp_path, "a.mp4")
    with pytest.raises(InputError, match=message):
        manifest(tmp_path, text).clips()


def test_no_manifest(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv: the manifest cannot be read"):
        corpus(tmp_path, manifest="absent.csv").clips()


NFC, NFD = (unicodedata.normalize(form, "José") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("stored", "written"), [(NFC, NFD), (NFD, NFC)])
def test_accents_of_either_form_name_the_same_file_and_speaker(tmp_path, stored, written):
    fill(tmp_path, f"{stored}/1.mp4", f"{written}_2.mp4")
    manifest(tmp_path, f"file\n{written}/1.mp4\n{written}_2.mp4\n")
    clips = corpus(tmp_path, manifest="manifest.csv").clips()
    assert {(clip.name, clip.speaker) for clip in clips} == {(f"{NFC}/1", NFC), (f"{NFC}_2", NFC)}
    assert [clip.name for clip in corpus(tmp_path).clips()] == [clip.name for clip in clips]


def test_two_files_whose_names_differ_in_form_only_stay_two_clips(tmp_path):
    fill(tmp_path, f"{NFC}_1.mp4", f"{NFD}_1.mp4")
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system has one form only")
    assert len({clip.name for clip in corpus(tmp_path).clips()}) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", ["file;speaker\na.mp4;ann,e\n", "sep=;\r\nfile;speaker\r\na.mp4;ann,e\r\n"])
def test_a_manifest_with_semicolons_as_spreadsheets_write_it(tmp_path, text, encoding):
    fill(tmp_path, "a.mp4")
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    assert [clip.speaker for clip in corpus(tmp_path, manifest="list.csv").clips()] == ["ann,e"]


def test_names_that_are_not_utf_8_become_text(tmp_path):
    name = os.fsdecode(b"caf\xe9_1.mp4")
    try:
        fill(tmp_path, name)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (clip,) = corpus(tmp_path).clips()
    assert (clip.name, clip.speaker) == ("caf%E9_1", "caf%E9")


def passed_over(folder, **options):
    with pytest.warns(MediaWarning) as caught:
        clips = corpus(folder, **options).clips()
    assert len({str(own.message) for own in caught}) == 1
    return [clip.name for clip in clips], str(caught[0].message)


def test_links_to_folders_are_followed_once(tmp_path):
    fill(tmp_path / "elsewhere", "ann/1.mp4")
    fill(tmp_path / "videos", "bob/1.mp4")
    (tmp_path / "videos" / "carl").symlink_to(tmp_path / "elsewhere" / "ann")
    assert [clip.name for clip in corpus(tmp_path / "videos").clips()] == ["bob/1", "carl/1"]
    (tmp_path / "videos" / "bob" / "loop").symlink_to(tmp_path / "videos")
    (tmp_path / "videos" / "dan").symlink_to(tmp_path / "videos" / "bob")
    names, said = passed_over(tmp_path / "videos")
    assert names == ["bob/1", "carl/1"]
    assert "links to folders that are read anyway: bob/loop, dan" in said


def test_what_is_no_footage_is_passed_over_and_listed_once(tmp_path):
    fill(tmp_path, "ann_1.mp4", "B.MTS", ".hidden_1.mp4", ".Trash-1000/x_1.mp4", "$RECYCLE.BIN/x_2.mp4", "@eaDir/x.mp4")
    fill(tmp_path, "runs/r/environment.json", "runs/r/base.mp4", "runs/r/samples/ann.mp4", "runs/r/stages/x.json")
    fill(tmp_path, "eval/v/eval.json", "eval/v/videos/a_1.mp4", "notes.txt", "sound.wav", "sound2.wav", ".DS_Store")
    (tmp_path / "gone_1.mp4").symlink_to(tmp_path / "nowhere")
    names, said = passed_over(tmp_path)
    assert names == ["B", "ann_1"]
    for line in (
        "hidden files: .hidden_1.mp4",
        "hidden folders and trash: $RECYCLE.BIN, .Trash-1000, @eaDir",
        "folders that vast has written: eval/v, runs/r",
        "links that lead nowhere: gone_1.mp4",
        "files with other endings: .txt (1), .wav (2)",
    ):
        assert line in said, said


def test_an_avatar_is_not_trained_on_itself(tmp_path):
    for name, spoken in (("ann_1", False), ("out", True)):
        with VideoWriter(tmp_path / f"{name}.mp4", 25, metadata={"comment": SPOKEN} if spoken else {}) as video:
            video.write(np.zeros((64, 64, 3), np.uint8))
    names, said = passed_over(tmp_path)
    assert names == ["ann_1"]
    assert "videos in which an avatar of vast speaks: out.mp4" in said
    assert [clip.name for clip in corpus(tmp_path, synthesised=True).clips()] == ["ann_1", "out"]
