"""The language of gates: what a text means, and where and why it is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.spec.claim_grammar import MODELS, ClaimForm, ClaimTextError, Measure, measures, parse

NAMES = st.from_regex(r"[a-z][a-z_0-9]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("ratio", "disagreement", "by", *MODELS)
)
LEVELS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,6}[A-Za-z0-9]", fullmatch=True)
MODEL = st.sampled_from(MODELS)
MEASURES = st.one_of(
    st.builds(lambda metric, model: Measure("metric", (model,), metric), NAMES, MODEL),
    st.builds(
        lambda metric, model, column, level: Measure("metric", (model,), metric, column, level), NAMES, MODEL, NAMES, LEVELS
    ),
    st.builds(lambda metric, model, column: Measure("ratio", (model,), metric, column), NAMES, MODEL, NAMES),
    st.builds(lambda one, other: Measure("disagreement", (one, other)), MODEL, MODEL),
)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: value + 0.0)


@given(terms=st.lists(st.tuples(NUMBERS, MEASURES), min_size=1, max_size=4), sign=st.sampled_from("<>"), constant=NUMBERS)
def test_what_is_written_of_a_form_says_the_same_form(terms: list[tuple[float, Measure]], sign: str, constant: float) -> None:
    written = " ".join(f"{'-' if weight < 0 else '+'} {abs(weight)!r} * {measure}" for weight, measure in terms)
    form = parse(f"{written.removeprefix('+ ')} {sign} {constant!r}")
    assert form.terms == tuple(terms)
    assert (form.sign, form.constant) == (sign, constant)


@pytest.mark.parametrize(
    ("text", "terms", "sign", "constant"),
    [
        ("roc_auc(candidate) > 0.6", [(1, "roc_auc(candidate)")], ">", 0.6),
        ("roc_auc(candidate)-roc_auc(champion)>-.005", [(1, "roc_auc(candidate)"), (-1, "roc_auc(champion)")], ">", -0.005),
        ("-brier(candidate) + 2*brier(anchor) < 1e-3", [(-1, "brier(candidate)"), (2, "brier(anchor)")], "<", 0.001),
        ("mae(candidate) - 3 < 2", [(1, "mae(candidate)")], "<", 5),
        ("mae(candidate) < 1.05 * mae(champion)", [(1, "mae(candidate)"), (-1.05, "mae(champion)")], "<", 0),
        ("0.5 - brier(anchor) > brier(candidate) + 1", [(-1, "brier(anchor)"), (-1, "brier(candidate)")], ">", 0.5),
        ("1 - mae(candidate) > 0", [(-1, "mae(candidate)")], ">", -1),
        ("tpr(candidate, line=A B) > 0.5", [(1, "tpr(candidate, line=A B)")], ">", 0.5),
        ('tpr(candidate, line="A, (B)") > 0.5', [(1, "tpr(candidate, line=A, (B))")], ">", 0.5),
        ("ratio(tpr, by: line) > 0.8", [(1, "ratio(tpr, candidate, by: line)")], ">", 0.8),
        ("ratio(tpr, champion, by: line) > 0.8", [(1, "ratio(tpr, champion, by: line)")], ">", 0.8),
        ("disagreement(candidate, champion) < 0.2", [(1, "disagreement(candidate, champion)")], "<", 0.2),
    ],
)
def test_a_text_has_one_meaning(text: str, terms: list[tuple[float, str]], sign: str, constant: float) -> None:
    form = parse(text)
    assert [(weight, str(measure)) for weight, measure in form.terms] == terms
    assert (form.sign, form.constant, form.text) == (sign, constant, text)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 1, "expected a metric"),
        ("roc_auc", 8, "expected '(' after roc_auc"),
        ("roc_auc(", 9, "candidate, champion, anchor"),
        ("roc_auc(challenger) > 0", 19, "'challenger' is not a model; allowed: candidate, champion, anchor"),
        ("roc_auc(candidate > 0", 18, "expected ')'"),
        ("roc_auc(candidate) >= 0", 21, "expected a metric"),
        ("roc_auc(candidate) = 0", 19, "expected a comparison: > or <"),
        ("roc_auc(candidate) > champion", 30, "expected '(' after champion"),
        ("roc_auc(candidate) > 0 and brier(candidate) < 1", 23, "one comparison is all that a claim can say"),
        ("roc_auc(candidate) > 0.1.2", 25, "one comparison"),
        ("0.5 > 0.4", 10, "measures nothing"),
        ("2 * > 1", 4, "expected a metric"),
        ("tpr(candidate, line) > 0", 20, "'=' after the slice's column line"),
        ("tpr(candidate, line=) > 0", 21, "the level of line"),
        ("tpr(candidate, 3) > 0", 15, "a column of a slice"),
        ("ratio(tpr) > 0.8", 10, "'by: column'"),
        ("ratio(tpr, line) > 0.8", 16, "found 'line'; a ratio is between the groups of a column"),
        ("ratio(tpr, candidate, line) > 0.8", 27, "'by: column'"),
        ("ratio(tpr, by line) > 0.8", 14, "':' after by"),
        ("disagreement(candidate) < 0.2", 23, "a second model"),
        ("roc_auc(candidate) > nan", 25, "expected '(' after nan"),
        ("max(roc_auc(candidate)) > 0", 12, "'roc_auc' is not a model"),
    ],
)
def test_what_is_not_in_the_language_is_refused_where_it_stops_being(text: str, position: int, words: str) -> None:
    with pytest.raises(ClaimTextError) as caught:
        parse(text)
    assert f"at position {position} of '{text}'" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["ratio(selection_rate", "disagreement(candidate", "tpr(candidate"])
def test_a_text_that_yaml_cut_at_a_comma_is_told_to_be_quoted(text: str) -> None:
    with pytest.raises(ClaimTextError, match="YAML cuts an unquoted text at a comma, so quote it"):
        parse(text)


@given(st.text(alphabet='roc_auc(candidate)champion,=<>+-*0.5 by:"é\n', max_size=60))
def test_any_text_is_a_form_or_an_error_of_its_own(text: str) -> None:
    try:
        form: ClaimForm | str = parse(text)
    except ClaimTextError as error:
        form = str(error)
    assert "at position" in form if isinstance(form, str) else form.terms


def test_measures_are_told_once() -> None:
    texts = ("roc_auc(candidate) > 0.6", "roc_auc(candidate) - roc_auc(champion) > 0")
    assert [str(measure) for measure in measures([parse(text) for text in texts])] == ["roc_auc(candidate)", "roc_auc(champion)"]
    assert parse(texts[1]).models == {"candidate", "champion"}
