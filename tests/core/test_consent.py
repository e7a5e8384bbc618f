"""What people said comes to one thing, whatever the order: refused for good, approved by enough, or waiting."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.release.approvals import NOBODY_ASKED, Consent, Said, consent, person
from ml_assets.core.release.promotion import decide
from tests.core.test_promotion import ASKED

NAMES = st.sampled_from(["anna", "Anna ", "ben", " BEN", "cleo"])
SAID = st.lists(st.builds(Said, decision=st.sampled_from(["approved", "refused"]), by=NAMES, reason=st.just("so")), max_size=5)
STATES = st.sampled_from(["not asked", "waits", "approved", "refused"])


@given(SAID, st.booleans(), st.just("") | NAMES, st.sampled_from(["", "approve is person"]))
def test_it_is_refused_by_one_or_approved_by_enough_different_people(
    said: list[Said], four_eyes: bool, overridden_by: str, asked: str
) -> None:
    found = consent(said, asked=asked, four_eyes=four_eyes, overridden_by=overridden_by)
    people = {person(each.by) for each in said} | ({person(overridden_by)} if overridden_by else set())
    if any(each.decision == "refused" for each in said):
        assert found.state == "refused"
    elif not asked:
        assert found == NOBODY_ASKED
    else:
        assert found.state == ("approved" if len(people) >= (2 if four_eyes else 1) else "waits")
        assert len(found.by) == len(people)
    assert bool(found.told) is (found.state != "not asked" and bool(said or found.state == "waits"))


@given(SAID, SAID, st.booleans())
def test_nothing_said_later_undoes_a_refusal(before: list[Said], after: list[Said], four_eyes: bool) -> None:
    no = Said(decision="refused", by="anna", reason="no")
    assert consent([*before, no, *after], asked="because", four_eyes=four_eyes).state == "refused"


@given(st.fixed_dictionaries(ASKED), STATES)
def test_consent_never_lets_through_what_the_record_does_not(asked: dict[str, Any], state: Any) -> None:
    without, decided = decide(**asked), decide(**asked, consent=Consent(state, "said so"))
    match state:
        case "not asked" | "approved":
            assert decided == without
        case "waits":
            assert decided.action == ("wait" if without.action == "promote" else without.action)
        case "refused":
            assert decided.action in ("keep", "refuse")
            assert without.action == "refuse" or decided.action == "keep"
