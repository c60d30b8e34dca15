"""`consent.yaml` beside the footage."""

from __future__ import annotations

import datetime
import hashlib

import pytest

from vast_core.errors import InputError
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
        ("ann: {who: Ann, purpose: x, signed: abc}", "signed is no SHA-256"),
        ("ann: [", "cannot be read"),
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
