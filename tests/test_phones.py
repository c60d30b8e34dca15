"""The phone set, compared with independent facts about ARPAbet."""

import subprocess
import sys

import pytest

from vast_core.phones import PHONE_INDEX, PHONES, SILENCE, VISEME_OF, VISEMES, phone_index

VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}


def test_thirty_nine_phones_and_silence():
    assert len(PHONES) == len(set(PHONES)) == 40
    assert PHONES[0] == SILENCE
    assert set(PHONES) >= VOWELS
    assert len(set(PHONES) - VOWELS - {SILENCE}) == 24
    assert [PHONE_INDEX[p] for p in PHONES] == list(range(40))


def test_every_phone_has_one_viseme():
    assert set(VISEME_OF) == set(PHONES)
    assert set(VISEME_OF.values()) == set(VISEMES)
    assert {p for p in PHONES if VISEME_OF[p] == VISEME_OF["B"]} == {"B", "P", "M"}
    assert VISEME_OF["F"] == VISEME_OF["V"] != VISEME_OF["P"]
    assert VISEME_OF["UW"] != VISEME_OF["IY"]


def test_unknown_label_is_named():
    assert phone_index("ZH") == 39
    with pytest.raises(ValueError, match="'AH0'"):
        phone_index("AH0")


def test_no_torch():
    code = "import sys, vast_core.phones; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
