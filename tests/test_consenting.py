"""A run and an avatar are held to the consent of the people in the footage."""

from __future__ import annotations

import datetime

import pytest

from vast_core.errors import InputError
from vast_core.interfaces import Consent
from vast_core.speak.consenting import consent_of, plain_consent, require_consent, without_consent

TODAY = datetime.date.today()
DAY = datetime.timedelta(days=1)


def consent(**more):
    return Consent(who="Ann Lee", purpose="our web page", **more)


@pytest.mark.parametrize("given", [{}, {"until": TODAY}, {"until": TODAY + DAY}, {"withdrawn": TODAY + DAY}])
def test_consent_that_holds_lets_a_run_go_on(given):
    require_consent({"ann": consent(**given), "bob": None})


@pytest.mark.parametrize(
    ("given", "why"), [({"until": TODAY - DAY}, "ended on"), ({"withdrawn": TODAY}, "was withdrawn on")]
)
def test_consent_that_has_ended_stops_a_run_and_an_avatar(given, why):
    own = consent(**given)
    with pytest.raises(InputError, match=f"that of ann {why}.*vast forget ann"):
        require_consent({"bob": consent(), "ann": own})
    with pytest.raises(InputError, match=f"that of ann {why}"):
        consent_of("ann", {"consent": plain_consent("ann", {"ann": own})})


def test_the_header_of_an_avatar_says_what_is_on_record():
    own = consent(until=TODAY + DAY)
    assert (
        consent_of("ann", {"consent": plain_consent("ann", {"ann": own})})
        == f"given for our web page until {TODAY + DAY}"
    )
    assert consent_of("ann", {"consent": plain_consent("ann", {"ann": None})}) == "none on record"
    assert consent_of("alma", {"consent": plain_consent("alma", {})}) == "not needed: no person is shown"
    assert consent_of("old", {}).startswith("unknown")


def test_people_without_a_record_are_named_once():
    assert without_consent({"ann": consent()}) is None
    assert without_consent({}) is None
    assert "No consent is on record for bob, eve:" in without_consent({"ann": consent(), "bob": None, "eve": None})
