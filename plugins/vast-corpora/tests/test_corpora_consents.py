"""`consent.yaml` beside the footage."""

from __future__ import annotations

import datetime
import hashlib
import unicodedata

import pytest

from vast_core.errors import InputError, MediaWarning
from vast_corpora.consents import read_consents

SIGNED = hashlib.sha256(b"signed").hexdigest()


def written(folder, text):
    (folder / "consent.yaml").write_text(text, encoding="utf-8")
    return read_consents(folder, ["ann", "bob"])


def test_without_a_file_nothing_is_on_record(tmp_path):
    assert read_consents(tmp_path, ["ann"]) == {"ann": None}


def test_what_is_written_is_read(tmp_path):
    (tmp_path / "ann.pdf").write_bytes(b"signed")
    text = "ann: {who: Ann Lee, purpose: our page, until: 2027-12-31, file: ann.pdf, signed: SIGNED}"
    found = written(tmp_path, text.replace("SIGNED", SIGNED))
    assert found["bob"] is None
    assert (found["ann"].who, found["ann"].purpose, found["ann"].signed) == ("Ann Lee", "our page", SIGNED)
    assert found["ann"].until == datetime.date(2027, 12, 31)
    assert found["ann"].withdrawn is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- ann", "give each speaker an entry"),
        ("ann: yes", "give who, purpose and until"),
        ("ann: {who: Ann, purpose: x, untill: 2027-01-01}", "unknown key 'untill'"),
        ("ann: {who: Ann}", "purpose is missing"),
        ("ann: {who: Ann, purpose: x, until: soon}", "write a date"),
        ("ann: {who: Ann, purpose: x, signed: abc}", "signed is 'abc', which is no SHA-256"),
        ("ann: [", "cannot be read"),
        ("ann: {who: Ann, purpose: x, until: 2027-13-01}", "cannot be read"),
        ("ann: {who: Ann, purpose: x}\nann: {who: Ann, purpose: y}", "yaml:2: ann has two entries"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as told:
        written(tmp_path, text)
    assert "consent.yaml" in str(told.value)


def test_a_signed_file_that_has_changed_is_refused(tmp_path):
    (tmp_path / "ann.pdf").write_bytes(b"another")
    with pytest.raises(InputError, match="is not the file that was signed"):
        written(tmp_path, f"ann: {{who: Ann, purpose: x, file: ann.pdf, signed: {SIGNED}}}")


def test_a_file_without_its_digest_is_told_the_digest(tmp_path):
    (tmp_path / "ann.pdf").write_bytes(b"signed")
    with pytest.raises(InputError, match=f"add `signed: {SIGNED}`"):
        written(tmp_path, "ann: {who: Ann, purpose: x, file: ann.pdf}")
    found = written(tmp_path, f"ann: {{who: Ann, purpose: x, file: ann.pdf, signed: {SIGNED.upper()}}}")
    assert found["ann"].signed == SIGNED


def test_names_are_read_as_they_are_written(tmp_path):
    names = ["001", "no", "1e3", "2024-01-02", unicodedata.normalize("NFC", "José")]
    text = "".join(f"{unicodedata.normalize('NFD', name)}: {{who: Person, purpose: x}}\n" for name in names)
    (tmp_path / "consent.yaml").write_text(text, encoding="utf-8")
    assert None not in read_consents(tmp_path, names).values()
    assert None not in read_consents(tmp_path, [*names[:-1], unicodedata.normalize("NFD", names[-1])]).values()


def test_an_entry_of_no_speaker_is_told(tmp_path):
    with pytest.warns(MediaWarning, match=r"called Ann, bbo; .*speakers are ann, bob"):
        written(tmp_path, "Ann: {who: Ann, purpose: x}\nbob: {who: Bob, purpose: x}\nbbo: {who: Bob, purpose: x}")
