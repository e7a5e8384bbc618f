"""A comparison of models as Markdown: claims, metrics of head and base with intervals, slices, features, checks."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ml_assets.core.changes.comparison import ProductComparison
from ml_assets.core.changes.walk_protocol import HeadVerdict, SliceShown
from ml_assets.core.lineage.facts import EstimateFacts
from ml_assets.core.lineage.verdict_facts import ClaimFacts
from ml_assets.core.markdown import code, prose, table, text

MOST_LEVELS = 12
MOST_NAME = 24
AXIS = 108
"""Characters that fit below the chart, of all its names together."""
STYLE = (
    '%%{init: {"xyChart": {"width": 900}, "themeVariables": {"xyChart": '
    '{"plotColorPalette": "#8c959f, #218bff, #8c959f, #d29922"}}}}%%'
)
"""Readable on white and on black: grey ends of the intervals, blue estimates, yellow for no difference."""
MARKS = {"PASS": "✅", "FAIL": "❌", "UNDECIDED": "❔"}
SHOWN = 20


def parts(comparison: ProductComparison, *, has_pictures: bool) -> Iterator[str]:
    """The blocks of one product. Empty for one of which nothing was compared."""
    judged = comparison.judged
    if judged is None:
        return
    yield f"### {text(comparison.product)}: head against base"
    yield _about(comparison, judged)
    yield table(["", "claim of base", "found"], [_claim_row(claim) for claim in judged.verdict.claims])
    if comparison.by_head is not None and _differs(comparison):
        yield f"By head's own gates it is {comparison.by_head.decision}:"
        yield table(["", "claim of head", "found"], [_claim_row(claim) for claim in comparison.by_head.claims])
    yield table(["metric", "head", "base", "difference"], [_row([code(m)], e) for m, e in judged.metrics.items()])
    if judged.slices:
        rows = [_row([f"{text(s.column)} = {code(s.level)}", f"{s.rows:,}"], s.estimates) for s in judged.slices[:SHOWN]]
        yield from _chart(judged)
        yield table([f"{code(judged.metric)} by slice", "rows", "head", "base", "difference"], rows)
    yield from _production(comparison)
    if has_pictures and comparison.pictures:
        yield "\n".join(f"![{name}]({name})" for name in comparison.pictures)
        yield "In the pictures the candidate is head and the champion is base."
    yield from _data(comparison)
    yield "; ".join(
        f"{text(name)}: {effort.built} snapshots made, {effort.reused} reused, {effort.seconds:.0f} CPU s"
        for name, effort in comparison.effort.items()
    )


def _chart(judged: HeadVerdict) -> Iterator[str]:
    """The first metric by slice as a chart that forges draw themselves, from nothing but numbers and plain names."""
    differences = [(level, level.estimates.get("difference")) for level in judged.slices[:MOST_LEVELS]]
    known = [(level, (d.low, d.value, d.high)) for level, d in differences if d is not None]
    drawn = [(level, values) for level, values in known if None not in values]
    if len(drawn) > 1 and (names := _names([level for level, _ in drawn])):
        axis = ", ".join(f'"{name}"' for name in names)
        lines = [*zip(*(values for _, values in drawn), strict=True), (0.0,) * len(drawn)]
        shown = "".join(f"  line [{', '.join(f'{value:.4f}' for value in line)}]\n" for line in lines)
        columns = dict.fromkeys(_plain(level.column) for level, _ in drawn)
        title = f"{_plain(judged.metric)} by {' and '.join(columns)}: head less base"
        yield "Of each slice, head less base: the estimate is blue, the ends of its interval grey, no difference yellow."
        yield f'```mermaid\n{STYLE}\nxychart-beta\n  title "{title}"\n  x-axis [{axis}]\n{shown}```'


def _names(slices: Sequence[SliceShown]) -> list[str]:
    """A name for each slice, short enough for the axis where that tells them apart; none where no name does: the chart would take
    two for one."""
    short = [_plain(level.level, AXIS // len(slices)) for level in slices]
    whole = [_plain(f"{level.column} {level.level}") for level in slices]
    return next((names for names in (short, whole) if len(set(names)) == len(slices)), [])


def _plain(name: str, longest: int = MOST_NAME) -> str:
    """Letters of any script, digits and spaces alone: a chart's text has no way to escape others."""
    return re.sub(r"[^\w .-]", " ", name)[: min(longest, MOST_NAME)].strip() or "unnamed"


def _production(comparison: ProductComparison) -> Iterator[str]:
    production = comparison.production
    if production is None:
        return
    if production.judged is None:
        named = f"Production, release {code(production.release)}" if production.release else "Production"
        yield f"{named}: not compared, {text(production.note)}."
        return
    windows = ", ".join(code(window) for window in production.windows)
    yield (
        f"#### Head against production, release {code(production.release)}\n\n"
        f"On {windows}, which it was not trained on. It was let through on windows like these, so they flatter it."
    )
    yield table(
        ["metric", "head", "production", "difference"], [_row([code(m)], e) for m, e in production.judged.metrics.items()]
    )


def _about(comparison: ProductComparison, judged: HeadVerdict) -> str:
    counts = judged.counts
    one_sided = [f"{n:,} rows only {side} has" for side, n in (("base", counts.base_only), ("head", counts.head_only)) if n]
    windows = ", ".join(code(window) for window in comparison.windows)
    rows = ", ".join([f"{counts.both:,} rows that both score", *one_sided])
    return (
        f"Walk-forward over the retired windows {windows}: {rows}; {judged.verdict.units:,} {text(judged.verdict.unit)} units. "
        f"Development evidence: it charges no budget and promotes nothing."
    )


def _claim_row(claim: ClaimFacts) -> list[str]:
    return [MARKS.get(claim.outcome, "❔"), f"{code(claim.name)}: {text(claim.kind)} {code(claim.text)}", prose(claim.message)]


def _differs(comparison: ProductComparison) -> bool:
    claims = [
        {(claim.name, claim.kind, claim.text) for claim in verdict.claims}
        for verdict in (comparison.judged.verdict if comparison.judged else None, comparison.by_head)
        if verdict is not None
    ]
    return claims[0] != claims[-1]


def _row(first: list[str], estimates: Mapping[str, EstimateFacts]) -> list[str]:
    return [*first, *(_estimate(estimates.get(role), role) for role in ("candidate", "champion", "difference"))]


def _estimate(estimate: EstimateFacts | None, role: str) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    sign = "+" if role == "difference" else ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{sign}.4f}"
    return f"{estimate.value:{sign}.4f} [{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"


def _data(comparison: ProductComparison) -> Iterator[str]:
    if comparison.moved:
        rows = [
            [
                code(moved.feature),
                text(moved.effect),
                "" if moved.share is None else f"{moved.share:.1%} of the rows",
                *("" if mean is None else f"{mean:.4g}" for mean in (moved.base_mean, moved.head_mean)),
            ]
            for moved in comparison.moved[:SHOWN]
        ]
        yield table(["feature", "effect", "differs on", "mean in base", "mean in head"], rows)
    refused = {name: sides for name, sides in comparison.refused.items() if sides[0] != sides[1]}
    if refused:
        rows = [[code(name), f"{base:,}", f"{head:,}"] for name, (base, head) in refused.items()]
        yield table(["rows refused by the contract", "base", "head"], rows)
    for title, checks in (("fails in head", comparison.failed), ("fails in both", comparison.failed_before)):
        if checks:
            rows = [[code(c.stage), code(c.partition), text(c.claim or "contract"), text(c.description)] for c in checks[:SHOWN]]
            yield table(["stage", "partition", f"check that {title}", "why"], rows)
