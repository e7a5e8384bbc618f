"""Who serves in a past that is played: which candidates are asked again, on which windows, and when no look is left."""

from collections.abc import Mapping

from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.outcomes.played_gates import GateQuestion, PlayedGates, PlayedRoles, Release, ask, begun

Decisions = Mapping[tuple[int, int], VerdictFacts]
"""By candidate and the partition that is in; all others are undecided."""
UNDECIDED, ACCEPTED, REJECTED = (VerdictFacts(decision=decision) for decision in ("INCONCLUSIVE", "ACCEPT", "REJECT"))


def played(decisions: Decisions, *candidates: int, **gates: int) -> PlayedRoles:
    """What comes of these candidates, asked one after the other, after a first model as of partition 0 that gates accepted."""
    known = {(0, 0): ACCEPTED, **decisions}
    rules = PlayedGates(lambda looks: known.get((looks.candidate, looks.at), UNDECIDED), **{"windows": 3, **gates})
    roles = begun(rules, 0)
    for candidate in candidates:
        ask(rules, roles, candidate)
    return roles


def looks(roles: PlayedRoles) -> list[tuple[int, int]]:
    return [(answer.question.candidate, answer.question.at) for answer in roles.verdicts[1:]]


def test_an_undecided_candidate_is_asked_again_with_the_next_and_serves_with_what_that_ships() -> None:
    roles = played({(1, 2): ACCEPTED}, 1, 2)
    assert looks(roles) == [(1, 1), (2, 2), (1, 2)]
    assert (roles.serving, roles.promoted) == (Release(model=1, at=2), 1)
    again = roles.verdicts[-1]
    assert (again.tested, again.paid, again.question.is_kept) == (range(1, 3), (2,), True)


def test_nothing_is_asked_again_where_the_new_candidate_is_let_through_or_no_windows_are_pooled() -> None:
    assert looks(played({(2, 2): ACCEPTED}, 1, 2)) == [(1, 1), (2, 2)]
    assert looks(played({(1, 2): ACCEPTED}, 1, 2, windows=1)) == [(1, 1), (2, 2)]


def test_a_candidate_is_kept_until_it_is_decided_another_serves_or_its_windows_are_over() -> None:
    assert looks(played({}, 1, 2, 3)) == [(1, 1), (2, 2), (1, 2), (3, 3), (1, 3)]
    assert looks(played({}, 1, 2, 3, 4))[-2:] == [(4, 4), (3, 4)], "the second was asked on two windows of which the third paid"
    assert looks(played({(1, 2): REJECTED}, 1, 2, 3))[-1] == (2, 3)
    assert looks(played({(2, 2): ACCEPTED}, 1, 2, 3)) == [(1, 1), (2, 2), (3, 3)], "it was undecided beside another champion"
    assert looks(played({}, 1, 4)) == [(1, 1), (4, 4)], "nothing was trained until its windows were over"


def test_a_verdict_learns_from_windows_that_ended_before_its_own_began_and_never_from_pooled_ones() -> None:
    long = played({}, 2, 3, 4, test=2, looks=4)
    by_place = {(answer.question.candidate, answer.question.at): answer.question.before for answer in long.verdicts}
    assert [len(by_place[place]) for place in ((2, 2), (3, 3), (2, 3), (4, 4))] == [1, 1, 1, 2]


def test_a_promotion_retires_the_windows_that_share_a_partition_with_it_where_windows_are_pooled() -> None:
    roles = played({}, 1, 2, test=2, looks=3)
    assert looks(roles) == [(2, 2)], "the first model was let through by the window that ends with 0, which 1 shares"
    alone = played({}, 1, 2, test=2, windows=1)
    assert looks(alone) == [(1, 1), (2, 2)], "windows of one length keep budgets of their own"


def test_a_partition_pays_for_as_many_looks_as_are_declared() -> None:
    assert looks(played({}, 1, 2, looks=1)) == [(1, 1), (2, 2)]


def test_what_is_held_for_a_person_does_not_serve_and_asks_no_kept_one() -> None:
    held = VerdictFacts(decision="ACCEPT", too_good="too good to be true")
    roles = played({(2, 2): held}, 1, 2)
    assert (looks(roles), roles.serving) == ([(1, 1), (2, 2)], Release(0, 0))


def test_only_what_was_proven_better_becomes_the_anchor() -> None:
    better = VerdictFacts(decision="ACCEPT", is_better=True)
    assert played({(1, 1): ACCEPTED}, 1).anchor == Release(0, 0)
    assert played({(1, 1): better}, 1).anchor == Release(1, 1)


def test_the_first_model_is_asked_beside_no_one() -> None:
    roles = begun(PlayedGates(lambda _: UNDECIDED), 3)
    assert [answer.question for answer in roles.verdicts] == [GateQuestion(3, 3, None, None)]
    assert roles.serving == Release(3, 3), "whatever the gates say of it"
