"""The model card: what a person reads before letting a release answer. Pure, and the same for the same release.

It travels in the bundle, so what comes later, such as an approval, is not in it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_assets.core.gates.results import result_in_words
from ml_assets.core.lineage.facts import EvaluationFacts, ModelFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.markdown import code, in_full, prose, table, text
from ml_assets.core.release.approvals import Override
from ml_assets.core.release.card_changes import changes
from ml_assets.spec.product import Product

MOST_ROWS = 40
SHOWN_DIGITS = 16
FEW_UNITS = 30

DOES_NOT_PROMISE = (
    "An ACCEPT speaks of days, rows and slices like those tested, and of the metrics that the gates name. It promises nothing "
    "about another season, about inputs that drift, about groups that are not slices, or about what its scores are used for."
)


@dataclass(frozen=True, kw_only=True)
class Used:
    """One partition of data: what it was used for, its rows, and the digest of each delivered table."""

    partition: str
    use: str
    rows: int
    labelled: int
    delivered: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class About:
    """The parts of a card. `manifests` and `champion`: manifests of model, evaluation and features by stage; `measured` is the
    evaluation's Markdown."""

    release: str
    manifests: Mapping[str, Manifest]
    champion: Mapping[str, Manifest] | None
    used: Sequence[Used]
    measured: str
    override: Override | None = None


def card(product: Product, about: About) -> str:
    """The card as Markdown."""
    facts = EvaluationFacts.of(about.manifests["evaluation"])
    verdict = facts.verdict
    parts = [
        f"# {text(product.name)} {text(about.release)}",
        _purpose(product),
        "## Data",
        _data(about),
        "## Model",
        _parameters(about),
        "## Measured on the test window",
        about.measured.strip(),
        "## Verdict",
        *_verdict(facts, about.override),
        "## New since the champion",
        "\n".join(f"- {in_full(line)}" for line in changes(about.manifests, about.champion)),
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(verdict, about.used)),
    ]
    return "\n\n".join(parts) + "\n"


def _purpose(product: Product) -> str:
    decision = f"; it decides at a score of {product.decision.threshold:g}" if product.decision else ""
    classes = f", which is one of {', '.join(map(code, product.features.class_names))}" if product.features.classes else ""
    return f"{text(product.title)}\n\nA {product.task} model of {code(product.features.label)}{classes}{decision}."


def _data(about: About) -> str:
    tables = sorted({name for used in about.used for name in used.delivered})
    shown = list(about.used)
    cut = len(shown) - MOST_ROWS
    shown = shown[: MOST_ROWS // 2] + shown[-MOST_ROWS // 2 :] if cut > 0 else shown
    rows = [
        [used.partition, used.use, f"{used.rows:,}", *(code(used.delivered.get(name, "")[:SHOWN_DIGITS]) for name in tables)]
        for used in shown
    ]
    windows = [f"{use} on {_span([e.partition for e in about.used if e.use == use])}" for use in ("trained", "tested")]
    more = f"\n\n{cut} partitions between them are not listed: `ml-assets lineage {about.release}`." if cut > 0 else ""
    header = ["partition", "use", "rows", *(f"{name}, delivered SHA-256" for name in tables)]
    return f"{'; '.join(windows).capitalize()}.\n\n{table(header, rows)}{more}"


def _span(partitions: Sequence[str]) -> str:
    return f"{partitions[0]} to {partitions[-1]}, {len(partitions)} partitions" if len(partitions) > 1 else "".join(partitions)


def _parameters(about: About) -> str:
    model = about.manifests["model"]
    declared_now: Mapping[str, Any] = model.recipe.details.get("config", {}).get("model", {})
    flat = {name: value for name, value in declared_now.items() if name != "params"} | dict(declared_now.get("params", {}))
    rows = [[code(name), code(value if isinstance(value, str) else json.dumps(value))] for name, value in sorted(flat.items())]
    fingerprint = f"Fingerprint {code(model.data_version[:SHOWN_DIGITS])}, {ModelFacts.of(model).rows:,} training rows."
    return f"{fingerprint}\n\n{table(['parameter', 'value'], rows)}"


def _verdict(facts: EvaluationFacts, override: Override | None) -> Iterator[str]:
    verdict = facts.verdict
    yield f"**{verdict.decision}** on {verdict.units:,} units ({text(verdict.unit)}), {verdict.rows:,} rows."
    if facts.kept_since:
        since, windows = text(facts.kept_since), text(f"{facts.tested[0]} to {facts.tested[-1]}")
        yield f"This is the candidate of {since}, which was kept, and asked again on the windows {windows} pooled."
    if override is not None:
        reasons = "; ".join(text(reason) for reason in override.reasons)
        yield f"**Overridden by {text(override.by)}**: {text(override.reason)}. Passed over: {reasons}."
    if verdict.claims:
        rows = [[code(c.name), c.kind, code(c.text), result_in_words(c), in_full(c.message)] for c in verdict.claims]
        yield table(["claim", "kind", "says", "result", "found"], rows)
    else:
        yield "; ".join(text(reason) for reason in verdict.reasons)
    if verdict.decision == "ACCEPT":
        yield f"What it promises: {prose(verdict.guarantee)}"
    yield f"What it does not: {DOES_NOT_PROMISE}"


def _limits(verdict: VerdictFacts, used: Sequence[Used]) -> Iterator[str]:
    for claim in verdict.claims:
        name = code(claim.name)
        if claim.outcome == "UNDECIDED":
            more = claim.further_units
            yield f"{name} is undecided" + (f": about {more:,} more units would decide" if more else "")
        if claim.left_out:
            yield f"{name} leaves out: {text('; '.join(claim.left_out))}"
        if claim.missing:
            yield f"{name} misses in the window: {text('; '.join(claim.missing))}"
    if verdict.not_asked:
        yield f"not required of a first release: {', '.join(map(code, verdict.not_asked))}"
    if verdict.units < FEW_UNITS:
        yield f"few units: {verdict.units} {text(verdict.unit)}s are what every interval and bound rests on"
    unknown = sum(partition.rows - partition.labelled for partition in used)
    if unknown:
        rows = sum(partition.rows for partition in used)
        yield f"{unknown:,} of {rows:,} rows had no known outcome, and were neither trained nor tested on"
    yield "outcomes are known later than scores: how it does once it serves is only seen after that delay"
