"""An evaluation as Markdown for a reviewer: the verdict first, then why, then the numbers.

Belongs here: what a person needs to agree or disagree with the verdict. Does not: files, plots and where it is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_assets.core.gates.results import result_in_words
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import ClaimFacts
from ml_assets.core.markdown import code, in_full, prose, table, text
from ml_assets.core.metrics.registry import METRICS

MOST_SLICES = 30
_SIGNS = {"ACCEPT": "✅", "REJECT": "❌", "INCONCLUSIVE": "❔"}
_DIRECTIONS = {
    "greatest": "higher is better",
    "least": "lower is better",
    "nearest_zero": "nearer to 0 is better",
    "neither": "no direction",
}
Measured = Mapping[str, Any]
"""The content of metrics.json of an evaluation."""


@dataclass(frozen=True)
class Context:
    """The context of an evaluation, in lines: earlier looks at its rows, what is new since the champion, what came of the
    candidate that is kept, and what the product's own history says of its gates. `unasked`: why the partition's newest candidate
    has no verdict; the evaluation is then one of an earlier candidate."""

    earlier_looks: Sequence[str] = ()
    changes: Sequence[str] = ()
    kept: Sequence[str] = ()
    standards: Sequence[str] = ()
    unasked: str = ""


def review(evaluation: Manifest, measured: Measured, plots: Sequence[str], context: Context = Context()) -> str:
    """The report; `plots` are the names of picture files next to it."""
    facts = EvaluationFacts.of(evaluation)
    verdict = facts.verdict
    sign = _SIGNS[verdict.decision]
    parts = [
        *_title(evaluation, f"{sign} {verdict.decision}", context.unasked),
        _who(facts, measured),
        "\n".join(f"- {prose(reason)}" for reason in verdict.reasons),
        _claims(verdict.claims),
        prose(verdict.guarantee),
        _listed("The candidate that is kept", context.kept),
        _listed("What the history says of these gates", context.standards),
        _listed("Earlier looks at these rows", context.earlier_looks),
        _listed("New since the champion", context.changes),
        f"### Metrics\n\n{_metrics(measured)}",
        _slices(measured),
        _plots(plots),
        _reproduce(evaluation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(evaluation: Manifest, decision: str, unasked: str) -> list[str]:
    sign, _, words = decision.partition(" ")
    subject = f"{text(evaluation.recipe.product)} {text(evaluation.partition)}"
    if not unasked:
        return [f"## {sign} {subject}: {words}"]
    earlier = "What follows was measured of an earlier candidate, and says nothing about this one."
    return [f"## ⏸ {subject}: withheld, no verdict", in_full(unasked), earlier, f"### The earlier candidate: {words}"]


def _listed(title: str, lines: Sequence[str]) -> str:
    return f"### {title}\n\n" + "\n".join(f"- {in_full(line)}" for line in lines) if lines else ""


def _who(facts: EvaluationFacts, measured: Measured) -> str:
    champion = f"the champion {code(facts.champion.release)}" if facts.champion else "no champion: a first release"
    positives = "" if measured["positives"] is None else f", {measured['positives']:,} of them positive"
    seen = "" if not facts.seen_keys else f" Left out are {facts.seen_keys:,} rows whose key was trained on."
    return (
        f"Candidate {code(facts.candidate[:12])} against {champion}, on {measured['rows']:,} rows{positives}, "
        f"of {', '.join(map(code, facts.tested))} that neither was trained on. Intervals are of {measured['level']:.0%} "
        f"confidence, over {measured['units']:,} independent units.{seen}"
    )


def _result(claim: ClaimFacts) -> str:
    words = result_in_words(claim)
    return words if claim.outcome == "PASS" else f"**{words}**"


def _claims(claims: Sequence[ClaimFacts]) -> str:
    if not claims:
        return "### Claims\n\nNone was judged, for the reason above."
    rows = [[code(c.name), f"{c.kind} {code(c.text)}", _result(c), in_full(c.message)] for c in claims]
    return "### Claims\n\n" + table(["claim", "what it says", "result", "what was found"], rows)


def _metrics(measured: Measured) -> str:
    names = _roles(measured["overall"][0])
    rows = [[f"{code(m['metric'])} {_direction(m)}", *_estimates(m, names)] for m in measured["overall"]]
    return table(["metric", *names], rows)


def _slices(measured: Measured) -> str:
    """The first metric by slice; a slice where the candidate is clearly worse is never among those left out."""
    slices = measured["slices"]
    if not slices:
        return ""
    first, names = measured["overall"][0], _roles(measured["overall"][0])
    worse = [s for s in slices if _change(s["comparisons"][0]) == "worse"]
    selected = [s for s in slices if s in worse or slices.index(s) < MOST_SLICES]
    rows = [[code(s["column"]), code(s["level"]), f"{s['rows']:,}", *_estimates(s["comparisons"][0], names)] for s in selected]
    more = f"\n\n{len(slices) - len(selected)} more slices are in the evaluation." if len(selected) < len(slices) else ""
    title = f"### Slices: {code(first['metric'])}\n\n"
    return title + table(["column", "level", "rows", *names], rows) + more


def _plots(plots: Sequence[str]) -> str:
    if not plots:
        return ""
    pictures = [f"![{name.rsplit('.', 1)[0].replace('_', ' ')}](./{name})" for name in plots]
    return "### Plots\n\n" + "\n".join(pictures)


def _reproduce(evaluation: Manifest) -> str:
    recipe, libraries = evaluation.recipe, evaluation.recipe.details["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(libraries.items()))
    commands = [
        (f"ml-assets lineage {evaluation.id[:12]}", "what it was made from, down to the delivered bytes"),
        (f"ml-assets run {recipe.product} --partition {evaluation.partition}", "the path again; computes what is not there"),
        (f"ml-assets check {recipe.product} --partition {evaluation.partition}", "every check again"),
        (f"ml-assets report {recipe.product} --partition {evaluation.partition}", "this report, with Evidently's page"),
    ]
    digests = f"Code {code(recipe.code[:12])}, configuration {code(recipe.config[:12])}; {text(versions)}."
    return "### Reproduce\n\n" + "\n".join(f"- {code(command)}: {about}" for command, about in commands) + f"\n\n{digests}"


def _roles(comparison: Mapping[str, Any]) -> list[str]:
    return [role for role in ("candidate", "baseline", "champion", "difference") if role in comparison]


def _direction(comparison: Mapping[str, Any]) -> str:
    return f"({_DIRECTIONS[METRICS[comparison['metric']].best]})"


def _estimates(comparison: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    cells = [_estimate(comparison.get(name), signed=name == "difference") for name in names]
    change = _change(comparison)
    return [*cells[:-1], f"{cells[-1]} **{change}**"] if change else cells


def _estimate(estimate: Mapping[str, Any] | None, *, signed: bool) -> str:
    if estimate is None or estimate["value"] is None:
        return f"undefined ({text(estimate['note'])})" if estimate and estimate["note"] else "undefined"
    sign = "+" if signed else ""
    low, high = estimate["low"], estimate["high"]
    number = f"{estimate['value']:{sign}.4f}"
    return number if low is None or high is None else f"{number} [{low:{sign}.4f}, {high:{sign}.4f}]"


def _change(comparison: Mapping[str, Any]) -> str:
    """Whether the whole interval of the difference lies on one side of 0."""
    difference, best = comparison.get("difference"), METRICS[comparison["metric"]].best
    if not difference or None in (difference["low"], difference["high"]) or best in ("nearest_zero", "neither"):
        return ""
    if difference["low"] > 0:
        return "better" if best == "greatest" else "worse"
    return ("worse" if best == "greatest" else "better") if difference["high"] < 0 else ""
