"""Manifests of recorded speech: one written by hand is understood, a wrong one is refused at its line."""

from pathlib import Path, PurePosixPath

import pytest

from vast_core.errors import InputError
from vast_core.interfaces import Phone
from vast_core.media import Recording, format_phones, parse_phones, read_manifest, write_manifest

SPEECH = Path(__file__).resolve().parents[1] / "../shared/speech"
HEADER = "file\tspeaker\tseconds\ttranscript\tphones (ARPAbet:start-end, seconds)"


def folder(path, text, *files):
    (path / "MANIFEST.tsv").write_text(text, encoding="utf-8")
    for file in files:
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).touch()
    return path


def test_a_manifest_written_by_hand(tmp_path):
    text = f"{HEADER}\na/1.wav\tann\t0.5\tHi, you.\tSIL:0-0.1 HH:0.1-0.25\n\na/2.wav\tbob\t1.25\t\t\n"
    first, second = read_manifest(folder(tmp_path, text, "a/1.wav", "a/2.wav"))
    assert (first.file, first.speaker, first.seconds) == (PurePosixPath("a/1.wav"), "ann", 0.5)
    assert first.transcript == "Hi, you."
    assert first.phones == (Phone(label="SIL", start=0, end=0.1), Phone(label="HH", start=0.1, end=0.25))
    assert (second.speaker, second.transcript, second.phones) == ("bob", "", ())
    assert (second.source(tmp_path), second.name(tmp_path)) == ("a", "a/2")


def test_columns_are_found_by_name_and_phones_may_be_missing(tmp_path):
    text = "\ufeffspeaker\tfile\ttranscript\tseconds\r\nann\t1.5.wav\tHi.\t2\r\n"
    (tmp_path / "set").mkdir()
    (only,) = read_manifest(folder(tmp_path / "set", text, "1.5.wav"))
    assert (only.speaker, only.seconds, only.phones) == ("ann", 2.0, ())
    assert (only.source(tmp_path / "set"), only.name(tmp_path / "set")) == ("set", "set/1.5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"MANIFEST.tsv:1: lacks the column file"),
        ("file\tspeaker\ttranscript\n", r"MANIFEST.tsv:1: lacks the column seconds"),
        ("file\tspeaker\tseconds\ttranscript\tphonemes\n", r"MANIFEST.tsv:1: unknown column 'phonemes'"),
        ("file\tfile\tspeaker\tseconds\ttranscript\n", r"MANIFEST.tsv:1: the column file stands there twice"),
        (f"{HEADER}\n", r"MANIFEST.tsv: lists no file"),
        (f"{HEADER}\na.wav\tme\t1\thello", r"MANIFEST.tsv:2: 4 cells, but 5 columns"),
        (f"{HEADER}\n\na.wav\t\t1\thello\t", r"MANIFEST.tsv:3: the cell speaker is empty"),
        (f"{HEADER}\na.wav\tme\tlong\thello\t", r"MANIFEST.tsv:2: seconds is 'long'"),
        (f"{HEADER}\na.wav\tme\t0\thello\t", r"MANIFEST.tsv:2: seconds is '0'"),
        (f"{HEADER}\nb.wav\tme\t1\thello\t", r"MANIFEST.tsv:2: .*b.wav does not exist"),
        (f"{HEADER}\na.wav\tme\t1\thello\t\na.wav\tme\t1\thello\t", r"MANIFEST.tsv:3: a.wav is listed twice"),
        (f"{HEADER}\na.wav\tme\t1\thello\tHH:0.0-x", r"MANIFEST.tsv:2: 'HH:0.0-x' is not PHONE:start-end"),
        (f"{HEADER}\na.wav\tme\t1\thello\tAH0:0.0-1.0", r"MANIFEST.tsv:2: unknown phone 'AH0'"),
        (f"{HEADER}\na.wav\tme\t1\thello\tAH:1.0-1.0", r"MANIFEST.tsv:2: 'AH:1.0-1.0' must start"),
        (f"{HEADER}\na.wav\tme\t1\thello\tAH:nan-1.0", r"MANIFEST.tsv:2: 'AH:nan-1.0' must start"),
        (f"{HEADER}\na.wav\tme\t1\thello\tAH:0-1 B:0.9-2", r"MANIFEST.tsv:2: 'B:0.9-2' starts before"),
    ],
)
def test_a_wrong_manifest_is_refused_at_its_line(tmp_path, text, message):
    folder(tmp_path, text, "a.wav")
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path)


def test_a_missing_or_unreadable_manifest(tmp_path):
    with pytest.raises(InputError, match=r"MANIFEST.tsv: no such file; .* file, speaker, seconds, transcript, phones"):
        read_manifest(tmp_path)
    (tmp_path / "MANIFEST.tsv").write_bytes(b"\xff\xfe\x00file")
    with pytest.raises(InputError, match="UTF-8"):
        read_manifest(tmp_path)


def test_what_is_written_is_read(tmp_path):
    folder(tmp_path, "", "x/1.wav", "x/2.wav")
    rows = [
        Recording(
            file=PurePosixPath("x/1.wav"),
            speaker="ann",
            seconds=1.5,
            transcript="Ça va?",
            phones=(Phone(label="SIL", start=0, end=0.125), Phone(label="S", start=0.125, end=1.4996)),
        ),
        Recording(file=PurePosixPath("x/2.wav"), speaker="bob", seconds=2),
    ]
    write_manifest(tmp_path, rows)
    assert (tmp_path / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines() == [
        "file\tspeaker\tseconds\ttranscript\tphones",
        "x/1.wav\tann\t1.50\tÇa va?\tSIL:0.000-0.125 S:0.125-1.500",
        "x/2.wav\tbob\t2.00\t\t",
    ]
    assert [row.transcript for row in read_manifest(tmp_path)] == ["Ça va?", ""]
    with pytest.raises(InputError, match="tab or a line break"):
        write_manifest(tmp_path, [Recording(file=PurePosixPath("y.wav"), speaker="a\tb", seconds=1)])
    assert len(read_manifest(tmp_path)) == 2


def test_the_shared_recordings_are_understood():
    if not (SPEECH / "MANIFEST.tsv").is_file():
        pytest.skip(f"no speech at {SPEECH}")
    rows = read_manifest(SPEECH)
    lines = (SPEECH / "MANIFEST.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == len(lines) > 100
    assert {row.source(SPEECH) for row in rows} == {line.partition("/")[0] for line in lines}
    assert all(row.phones and row.phones[-1].end <= row.seconds + 0.1 for row in rows)
    for row, line in zip(rows, lines, strict=True):
        assert format_phones(row.phones).split()[0].split(":")[0] == line.split("\t")[4].split(":")[0]
        assert parse_phones(format_phones(row.phones), "") == row.phones
