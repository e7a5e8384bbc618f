"""The model card says what a person has to know, whatever names and reasons others chose."""

from dataclasses import replace
from typing import Any

from ml_assets.core.lineage.manifests import Input, Manifest
from ml_assets.core.release.approvals import Override
from ml_assets.core.release.card import MOST_ROWS, About, Used, card
from ml_assets.core.release.card_changes import changes
from ml_assets.spec.product import Product
from tests.support.records import manifest

NASTY = "<script>alert(1)</script> | @everyone `x`"
CLAIM: dict[str, Any] = {
    "name": "not_worse",
    "kind": "prove",
    "text": "roc_auc(candidate) - roc_auc(champion) > -0.02",
    "outcome": "UNDECIDED",
    "message": f"0.01, at least -0.03: not proven; {NASTY}",
    "further_units": 1200,
    "left_out": ["carrier = OO: 3 units, 20 needed"],
    "missing": ["origin = LGA"],
}
VERDICT: dict[str, Any] = {
    "decision": "INCONCLUSIVE",
    "reasons": ["not_worse: not proven"],
    "claims": [CLAIM],
    "not_asked": [],
    "unit": "day",
    "units": 28,
    "rows": 2000,
    "guarantee": "If it were worse, it would have been let through with probability at most 1 %.",
}


def model(*partitions: str, depth: int, polars: str = "2.1.0", **changes: Any) -> Manifest:
    inputs = [Input("trains/features", key, f"{key}{changes.pop('content', '')}") for key in partitions]
    details = {"config": {"model": {"depth": depth, "params": {"subsample": 0.5}}}, "environment": {"polars": polars}}
    model_manifest = manifest("model", stage="model", inputs=inputs, facts={"rows": 5000, "train": list(partitions), "loss": 0.5})
    return replace(model_manifest, recipe=replace(model_manifest.recipe, details=details, **changes))


def about(**changes: Any) -> About:
    same = {
        s: manifest(s, stage=s, facts={"verdict": VERDICT, "candidate": "c" * 64, "tested": ["2013-03"]})
        for s in ("evaluation", "features")
    }
    given: dict[str, Any] = {
        "release": "2013-03.aaaaaaaa",
        "manifests": {**same, "model": model("2013-02", "2013-03", depth=6, polars="2.2.0", environment="a" * 64)},
        "champion": {**same, "model": model("2013-01", "2013-02", depth=4)},
        "used": [Used(partition=f"2013-{n:02}", use=u, rows=10, labelled=9, delivered={"trips": f"{n:064}"})
                 for n, u in ((2, "trained"), (3, "tested"))],
        "measured": "| metric | candidate |",
    }  # fmt: skip
    return About(**(given | changes))


def test_it_says_what_changed_since_the_champion(product: Product) -> None:
    written = card(product, about())
    for line in (
        "- trained on as well: 2013-03",
        "- trained on no more: 2013-01",
        "- model: product.yaml: model.depth 4 -\\> 6",
        "- model: polars 2.1.0 -\\> 2.2.0",
    ):
        assert line in written.splitlines()
    assert "| `subsample` | `0.5` |" in written


def test_changed_claims_are_named_and_readable_in_full(product: Product) -> None:
    long = "roc_auc(candidate) - roc_auc(champion) > -0.0" + "3" * 300
    claims = [
        {"name": "not_worse", "prove": long, "veto": None, "for_each": []},
        {"name": "floor", "prove": "roc_auc(candidate) > 0.6"},
    ]
    sides = []
    for block in (claims[:1], [{**claims[0], "prove": "roc_auc(candidate) - roc_auc(champion) > -0.01"}, claims[1]]):
        facts = {"verdict": VERDICT, "candidate": "c" * 64, "tested": ["2013-03"]}
        evaluation = manifest("evaluation", stage="evaluation", facts=facts)
        details = {"config": {"gates": {"claims": block}}}
        sides.append(replace(evaluation, recipe=replace(evaluation.recipe, details=details)))
    then, now = ({**about().manifests, "evaluation": evaluation} for evaluation in sides)
    (line,) = [line for line in changes(now, then) if line.startswith("evaluation: product.yaml")]
    assert line == (
        "evaluation: product.yaml: gates.claims.floor nothing -> name floor, prove roc_auc(candidate) > 0.6; "
        f"gates.claims.not_worse.prove {long} -> roc_auc(candidate) - roc_auc(champion) > -0.01"
    )
    assert "3" * 100 in card(product, about(manifests=now, champion=then)).replace(" ", "")


def test_it_says_when_nothing_changed_and_when_there_is_no_champion(product: Product) -> None:
    model_manifest = about().manifests
    assert "- Nothing that is declared" in card(product, about(champion=model_manifest))
    assert "- There is no champion" in card(product, about(champion=None))


def test_it_says_what_it_cannot_say(product: Product) -> None:
    written = card(product, about())
    for part in (
        "`not_worse` is undecided: about 1,200 more units would decide",
        "`not_worse` leaves out: carrier = OO: 3 units, 20 needed",
        "`not_worse` misses in the window: origin = LGA",
        "few units: 28 days",
        "2 of 20 rows had no known outcome",
        "It promises nothing about another season",
    ):
        assert part in written
    assert "What it promises" not in written, "only an ACCEPT promises something"


def test_an_override_and_what_others_wrote_have_no_power_over_the_page(product: Product) -> None:
    override = Override(reasons=("the verdict is REJECT",), by=NASTY, reason=NASTY)
    written = card(product, about(override=override))
    assert "**Overridden by " in written
    assert "<script" not in written.replace("\\<", ""), "escaped, as Markdown does it"
    assert "@everyone" not in written
    assert all(row.count(" | ") == 4 for row in written.splitlines() if row.startswith("| `not_worse`"))


def test_a_long_history_is_cut_in_the_middle(product: Product) -> None:
    used = [Used(partition=f"day-{n:03}", use="trained", rows=1, labelled=1, delivered={"trips": "0" * 64}) for n in range(365)]
    written = card(product, about(used=[*used, *about().used[-1:]]))
    assert sum(row.startswith("| day-") for row in written.splitlines()) == MOST_ROWS - 1
    assert "326 partitions between them are not listed" in written
    assert "Trained on day-000 to day-364, 365 partitions; tested on 2013-03." in written


def test_it_is_the_same_for_the_same_release(product: Product) -> None:
    assert card(product, about()) == card(product, about())
