"""Results as people read them: on the scale of the metric, and in the same words wherever they are shown."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from ml_assets.builders.tracking import _tags
from ml_assets.core.gates.panel import panel
from ml_assets.core.gates.results import result_in_words
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.plots.gates import claims_table, drawn
from ml_assets.core.release.card import card
from ml_assets.spec.product import Product
from tests.core.test_card import VERDICT, about
from tests.support.gated import arguments, judged
from tests.support.records import manifest

CLAIMS = [
    {**VERDICT["claims"][0], "name": name, "kind": kind, "outcome": outcome}
    for name, kind, outcome in (
        ("proven", "prove", "PASS"),
        ("spared", "veto", "PASS"),
        ("broken", "veto", "FAIL"),
        ("open", "prove", "UNDECIDED"),
    )
]
WORDS = {"proven": "proven", "spared": "not disproven", "broken": "disproven", "open": "undecided"}


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("roc_auc(candidate) > 0.6", 0, 1),
        ("roc_auc(candidate) - roc_auc(champion) > -0.9", -1, 1),
        ("tpr(candidate) > 0.01", 0, 1),
        ("ratio(accuracy, by: line) > 0.01", 0, np.inf),
    ],
)
def test_no_bound_is_beyond_what_a_metric_can_be(text: str, least: float, most: float) -> None:
    """Four days, and a candidate that knows nearly everything: the interval alone would reach beyond 1."""
    given = arguments(rows=80, units=4)
    scores = np.clip(given["y"] * 0.9 + 0.05 + np.random.default_rng(2).normal(0, 0.2, 80), 0, 1)
    claim = judged(text, panel(**given | {"scores": {**given["scores"], "candidate": scores}}))
    assert least <= claim.low <= claim.estimate <= claim.high <= most
    assert not any(f"at most {number}" in claim.message for number in ("1.0001", "1.1", "1.2"))
    facts = msgspec.convert({"decision": "ACCEPT", "claims": [claim.to_dict()]}, VerdictFacts)
    for picture in drawn(facts):
        assert picture.bad <= picture.distance <= picture.good


def test_what_was_shown_is_apart_from_what_was_not_disproven_in_the_same_words_everywhere(product: Product) -> None:
    verdict = {**VERDICT, "claims": CLAIMS}
    recorded = {"verdict": verdict, "candidate": "c" * 64, "tested": ["2013-03"]}
    evaluation = manifest("evaluation", stage="evaluation", facts=recorded)
    facts = EvaluationFacts.of(evaluation)
    assert {claim.name: result_in_words(claim) for claim in facts.verdict.claims} == WORDS
    dagster, mlflow = claims_table(facts.verdict), _tags(facts)
    page = card(product, replace(about(), manifests={**about().manifests, "evaluation": evaluation}))
    for name, words in WORDS.items():
        assert f"|{name}|" in dagster
        assert f" {words}|" in next(line for line in dagster.splitlines() if f"|{name}|" in line)
        assert f"| {words} |" in next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert mlflow[f"claim/{name}"] == words
