"""Facts of manifests are read as records: what older code left out proves nothing, and what is wrong is named."""

from dataclasses import replace

import pytest

from ml_assets.core.lineage.facts import CountedFacts, EvaluationFacts, FactsMalformed, ModelFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from tests.support.records import manifest, release

COMPARED = {"champion": {"release": "2013-02.aaaaaaaa", "bundle": "b" * 64}, "anchor": None}
FACTS = {"verdict": {"decision": "REJECT"}, "candidate": "c" * 64, "tested": ["2013-03"], **COMPARED}


def test_a_reader_takes_facts_by_name() -> None:
    facts = EvaluationFacts.of(manifest("e", stage="evaluation", facts=FACTS))
    assert (facts.verdict.decision, facts.tested, facts.compared) == ("REJECT", ("2013-03",), {"champion": "b" * 64})
    assert facts.champion
    assert facts.champion.release == "2013-02.aaaaaaaa"


def test_what_an_older_verdict_lacks_is_none_that_passes() -> None:
    """Claims had a metric and a limit before they were texts, and looks were not charged."""
    older = {"name": "floor", "metric": "roc_auc", "passed": True, "value": 0.7, "limit": 0.6, "message": "0.7"}
    facts = {**FACTS, "verdict": {"decision": "ACCEPT", "reasons": [], "claims": [older]}}
    facts_of_evaluation = EvaluationFacts.of(manifest("e", stage="evaluation", facts=facts))
    (claim,) = facts_of_evaluation.verdict.claims
    assert (claim.outcome, claim.missing, facts_of_evaluation.verdict.is_first, facts_of_evaluation.look.comparison) == (
        "",
        None,
        None,
        "",
    )


def test_a_field_of_the_wrong_kind_is_refused_with_entry_asset_field_and_next_command() -> None:
    evaluation = manifest("e", stage="evaluation", partition="2013-03", facts={**FACTS, "verdict": {"decision": "MAYBE"}})
    read = Manifest.from_dict(evaluation.to_dict(), entry=7)
    with pytest.raises(FactsMalformed) as refused:
        EvaluationFacts.of(read)
    assert str(refused.value) == (
        "ledger entry 7, trains/evaluation 2013-03: facts: Invalid enum value 'MAYBE' - at `$.verdict.decision`; "
        f"`ml-assets lineage {evaluation.id[:12]}` shows them"
    )


def test_a_manifest_keeps_what_was_recorded_whatever_is_read_of_it() -> None:
    own_release = release("2013-02.aaaaaaaa")
    more = replace(own_release, facts={**own_release.facts, "ticket": 7})
    assert ReleaseFacts.of(more) == ReleaseFacts(release="2013-02.aaaaaaaa")
    assert more.to_dict()["facts"] == {"release": "2013-02.aaaaaaaa", "ticket": 7}
    assert Manifest.from_dict(more.to_dict(), entry=3) == more
    assert (Manifest.from_dict(more.to_dict(), entry=3).id, more.entry) == (more.id, None)


def test_another_stage_has_no_such_facts() -> None:
    with pytest.raises(FactsMalformed, match=r"trains/dataset 2013-01: facts: Object missing required field `rows`"):
        ModelFacts.of(manifest())


@pytest.mark.parametrize(("facts", "count"), [({"rows": {"a": 2, "b": 3}}, 5), ({"rows": 4}, 4), ({}, None)])
def test_rows_are_counted_of_one_table_or_of_several(facts: dict[str, object], count: int | None) -> None:
    assert CountedFacts.of(manifest(facts=facts)).count == count
