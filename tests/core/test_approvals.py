"""What people said comes to one thing, whatever the order: refused for good, approved by enough, or waiting."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.release.approvals import NOT_ASKED, Approvals, PersonDecision, approvals, person, scripts
from ml_assets.core.release.promotion import decide
from resources.ledger.decisions import DecisionRefused, signed
from tests.core.test_promotion import ASKED

NAMES = st.sampled_from(["anna", "Anna ", "ben", " BEN", "cleo"])
DECISIONS = st.lists(
    st.builds(PersonDecision, decision=st.sampled_from(["approved", "refused"]), by=NAMES, reason=st.just("so")), max_size=5
)
STATES = st.sampled_from(["not asked", "waits", "approved", "refused"])


@given(DECISIONS, st.booleans(), st.just("") | NAMES, st.sampled_from(["", "approve is person"]))
def test_it_is_refused_by_one_or_approved_by_enough_different_people(
    decisions: list[PersonDecision], four_eyes: bool, overridden_by: str, approval_reason: str
) -> None:
    outcome = approvals(decisions, approval_reason=approval_reason, four_eyes=four_eyes, overridden_by=overridden_by)
    people = {person(decision.by) for decision in decisions} | ({person(overridden_by)} if overridden_by else set())
    if any(decision.decision == "refused" for decision in decisions):
        assert outcome.state == "refused"
    elif not approval_reason:
        assert outcome == NOT_ASKED
    else:
        assert outcome.state == ("approved" if len(people) >= (2 if four_eyes else 1) else "waits")
        assert len(outcome.by) == len(people)
    assert bool(outcome.message) is (outcome.state != "not asked" and bool(decisions or outcome.state == "waits"))


@given(DECISIONS, DECISIONS, st.booleans())
def test_nothing_said_later_undoes_a_refusal(before: list[PersonDecision], after: list[PersonDecision], four_eyes: bool) -> None:
    no = PersonDecision(decision="refused", by="anna", reason="no")
    assert approvals([*before, no, *after], approval_reason="because", four_eyes=four_eyes).state == "refused"


@given(st.fixed_dictionaries(ASKED), STATES)
def test_approvals_never_lets_through_what_the_record_does_not(statements: dict[str, Any], state: Any) -> None:
    without, decided = decide(**statements), decide(**statements, approvals=Approvals(state, "said so"))
    match state:
        case "not asked" | "approved":
            assert decided == without
        case "waits":
            assert decided.action == ("wait" if without.action == "promote" else without.action)
        case "refused":
            assert decided.action in ("keep", "refuse")
            assert without.action == "refuse" or decided.action == "keep"


UNSEEN = st.sampled_from("\u200b\u200d\u2060\ufeff\u00ad\u202e\u2066\ufe0f\U000e0101\u034f\u3164\u0000")


@given(st.sampled_from(["Zoë Ångström", "anna", "Иван", "李雷", "Straße"]), st.data())
def test_one_name_written_otherwise_is_no_second_person(name: str, data: st.DataObject) -> None:
    form: Any = data.draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    written = data.draw(st.sampled_from([str.upper, str.lower, str.title]))(unicodedata.normalize(form, name))
    places = data.draw(st.lists(st.integers(0, len(written)), max_size=3))
    for place in places:
        written = written[:place] + data.draw(UNSEEN) + written[place:]
    assert person(written) == person(f"  {name} ")


def test_what_cannot_be_seen_between_a_letter_and_its_accent_makes_no_second_person() -> None:
    assert person("Zoe\u200b\u0308") == person("Zoë")


@given(st.text(UNSEEN))
def test_a_name_that_shows_nothing_is_nobody(name: str) -> None:
    assert person(name) == ""


@pytest.mark.parametrize("name", ["аnna", "Αnna", "ann\u0430"])
def test_letters_of_another_script_that_look_alike_sign_nothing(name: str) -> None:
    assert len(scripts(name)) == 2
    with pytest.raises(DecisionRefused, match=r"by mixes letters of .* and LATIN, which look alike"):
        signed(name, "so", what="approval")


def test_names_in_one_script_sign() -> None:
    for name in ("Zoë Ångström", "Иван", "Ελένη", "李雷", "O'Neil-3"):
        assert signed(f" {name} ", "so", what="approval") == (name, "so")
