"""Who may answer next, and where a rollback goes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.release.promotion import Move, back, decide, stack

BUNDLES = st.sampled_from([letter * 64 for letter in "abcdef"])
KEYS = st.sampled_from(["2013-01", "2013-02", "2013-03", "2013-04"])


def move(letter: str, as_of: str = "2013-01", kind: Any = "promotion") -> Move:
    return Move(letter * 64, f"{as_of}.{letter}", as_of, kind)


def moves(text: str) -> list[Move]:
    """`ab<a` is: a, b, and a rollback to a."""
    return [move(letter, kind="rollback" if before == "<" else "promotion")
            for before, letter in zip(f" {text}", text, strict=False) if letter != "<"]  # fmt: skip


HISTORIES = st.lists(st.builds(Move, BUNDLES, st.text("abc", max_size=8), KEYS, st.sampled_from(["promotion", "rollback"])))
REASONS = st.lists(st.sampled_from(["never checked", "failed"]), max_size=2)
ASKED = {"bundle": BUNDLES, "as_of": KEYS, "champion": st.none() | BUNDLES, "moves": HISTORIES, "unproven": REASONS}


@given(st.fixed_dictionaries(ASKED))
def test_only_a_proven_newer_release_that_was_compared_with_who_answers_is_promoted(question: dict[str, Any]) -> None:
    history: list[Move] = question["moves"]
    may = (
        not question["unproven"]
        and question["champion"] == (history[-1].bundle if history else None)
        and question["bundle"] not in {known.bundle for known in history}
        and (not history or history[-1].as_of <= question["as_of"])
    )
    decision = decide(**question)
    assert (decision.action == "promote") is may
    assert bool(decision.reasons) is not may


def test_a_release_packed_again_under_the_verdict_of_what_answers_stays_out_and_fails_nothing() -> None:
    question: dict[str, Any] = {"bundle": "b" * 64, "as_of": "2013-01", "champion": None, "moves": moves("a"), "unproven": ()}
    assert decide(**question).action == "refuse"
    assert decide(**question, is_verdict_used=True).action == "keep"


@given(st.fixed_dictionaries(ASKED))
def test_what_the_product_withholds_is_kept_out_where_it_would_be_promoted_and_fails_nothing(question: dict[str, Any]) -> None:
    decision, withheld = decide(**question), decide(**question, withheld=["its commit is dirty"])
    if decision.action == "promote":
        assert (withheld.action, withheld.reasons) == ("keep", ("its commit is dirty",))
    else:
        assert withheld == decision


@given(st.fixed_dictionaries(ASKED | {"recalled": st.sets(BUNDLES)}))
def test_what_was_recalled_is_neither_promoted_nor_gone_back_to_and_lowers_nothing(question: dict[str, Any]) -> None:
    if decide(**question).action == "promote":
        assert question["bundle"] not in question["recalled"]
        assert decide(**{**question, "recalled": set()}).action == "promote"
    target = back(question["moves"], recalled=question["recalled"])
    assert target is None or target.bundle not in question["recalled"]


@given(st.fixed_dictionaries(ASKED))
def test_a_refusal_lists_every_reason(question: dict[str, Any]) -> None:
    decision = decide(**question)
    answering = question["moves"][-1].bundle if question["moves"] else None
    if decision.action == "refuse":
        assert list(decision.reasons[: len(question["unproven"])]) == question["unproven"]
        compared = decision.reasons[len(question["unproven"]) :]
        assert len(compared) == (question["champion"] != answering)


@given(st.lists(st.tuples(BUNDLES, KEYS, st.none() | BUNDLES, REASONS)))
def test_what_answers_is_never_replaced_by_older_data_or_by_what_was_there_before(question: list[Any]) -> None:
    history: list[Move] = []
    for bundle, as_of, champion, unproven in question:
        if decide(bundle=bundle, as_of=as_of, champion=champion, moves=history, unproven=unproven).action == "promote":
            history.append(Move(bundle, "r", as_of, "promotion"))
    assert [known.as_of for known in history] == sorted(known.as_of for known in history)
    assert len({known.bundle for known in history}) == len(history)


@pytest.mark.parametrize(
    ("history", "question", "action", "reason"),
    [
        ("a", {"bundle": "a" * 64}, "keep", "already serves"),
        ("ab", {"bundle": "a" * 64, "champion": "b" * 64}, "keep", "only a rollback brings it back"),
        ("ab<a", {"bundle": "b" * 64, "champion": "a" * 64}, "keep", "only a rollback brings it back"),
        ("a", {"bundle": "b" * 64, "as_of": "2012-12", "champion": "a" * 64}, "keep", "later partition"),
        ("a", {"bundle": "b" * 64, "champion": None}, "refuse", "no champion, but release aaaaaaaaaaaa serves now"),
        ("", {"bundle": "b" * 64, "champion": "a" * 64}, "refuse", "release aaaaaaaaaaaa, but no champion serves now"),
    ],
)
def test_it_says_why_not(history: str, question: dict[str, Any], action: str, reason: str) -> None:
    given = {"as_of": "2013-01", "champion": "a" * 64, "unproven": []} | question
    decision = decide(moves=moves(history), **given)
    assert (decision.action, len(decision.reasons)) == (action, 1)
    assert reason in decision.reasons[0]


@pytest.mark.parametrize(
    ("history", "left"),
    [("", ""), ("a", "a"), ("abc", "abc"), ("abc<b", "ab"), ("abc<b<a", "a"), ("abc<b<ad", "ad"), ("abc<ad<ab", "ab"),
     ("ab<a<b", "ab"), ("<a", "a"), ("ab<b", "ab")],
)  # fmt: skip
def test_a_rollback_takes_off_what_it_undid(history: str, left: str) -> None:
    assert "".join(known.bundle[0] for known in stack(moves(history))) == left


@given(st.lists(st.sampled_from(["promote", "back", "named"]), max_size=20), st.data())
def test_the_stack_is_what_a_person_would_keep_on_paper(acts: list[str], data: Any) -> None:
    history: list[Move] = []
    paper: list[str] = []
    for number, act in enumerate(acts):
        if act == "promote":
            paper.append(f"{number:064}")
            history.append(Move(paper[-1], str(number), "2013-01", "promotion"))
        elif len(paper) > 1:
            to = data.draw(st.sampled_from(paper[:-1])) if act == "named" else None
            target = back(history, to=to)
            del paper[(paper.index(to) if to else -2) + 1 or None :]
            assert target is not None
            assert target.bundle == paper[-1]
            history.append(Move(target.bundle, target.release, target.as_of, "rollback"))
        else:
            assert back(history) is None
        assert [known.bundle for known in stack(history)] == paper


@given(HISTORIES.filter(bool))
def test_the_last_of_the_stack_is_who_answers(history: list[Move]) -> None:
    assert stack(history)[-1].bundle == history[-1].bundle


@given(HISTORIES, st.none() | st.text("ab", max_size=8) | BUNDLES)
def test_a_rollback_goes_to_another_release_that_answered(history: list[Move], to: str | None) -> None:
    target = back(history, to=to)
    if target is not None:
        assert target in history
        assert target.bundle != history[-1].bundle


@pytest.mark.parametrize(
    ("history", "to", "target_now"),
    [
        ("abc", "2013-01.a", "a"),
        ("abc", "b" * 6, "b"),
        ("abc", "b" * 64, "b"),
        ("abc", "b" * 5, None),
        ("abc", "2013-01", None),
        ("abc", "", None),
        ("abc", "2013-01.c", None),
        ("abc", "2013-01.d", None),
        ("abc<a", "2013-01.c", "c"),
        ("", "2013-01.a", None),
    ],
)
def test_a_rollback_goes_to_any_release_by_name(history: str, to: str, target_now: str | None) -> None:
    target = back(moves(history), to=to)
    assert (target.bundle[0] if target else None) == target_now
