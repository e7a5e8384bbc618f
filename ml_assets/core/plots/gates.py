"""A verdict as a picture: how far each claim is on its good side, in its own standard errors, so that all share one axis.

Input is a recorded verdict; a claim without an error (a clock was read, nothing could be tested) is not drawn.
"""

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from ml_assets.core.gates.results import marked, result_in_words
from ml_assets.core.lineage.verdict_facts import ClaimFacts, VerdictFacts
from ml_assets.core.plots.style import INK, shorten, svg
from ml_assets.core.plots.thumbnails import INLINE, inline_svg, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULTS = {"proven": "#009E73", "not disproven": "#0072B2", "disproven": "#D55E00", "undecided": "#7A7A7A"}
MOST = 12.0
"""Standard errors beyond which a distance is drawn at the edge."""


@dataclass(frozen=True)
class DrawnClaim:
    """One claim, in standard errors: the distance of its estimate from its limit, and of its bounds on the bad and good side."""

    name: str
    result: str
    distance: float
    bad: float
    good: float


def drawn(verdict: VerdictFacts) -> list[DrawnClaim]:
    """The claims that can be drawn, in their order."""
    intervals = []
    for claim in verdict.claims:
        recorded = (claim.estimate, claim.low, claim.high, claim.limit)
        numbers = [number for number in recorded if number is not None]
        error = claim.standard_error
        is_ratio = "ratio(" in claim.text
        if len(numbers) < len(recorded) or not error or (is_ratio and min(numbers) <= 0):
            continue
        estimate, low, high, limit = map(log, numbers) if is_ratio else numbers
        towards = 1 / error if claim.sign == ">" else -1 / error
        sides = sorted(_edge((bound - limit) * towards) for bound in (low, high))
        intervals.append(DrawnClaim(claim.name, result_in_words(claim), _edge((estimate - limit) * towards), *sides))
    return intervals


def _edge(distance: float) -> float:
    return max(-MOST, min(MOST, distance))


def claims_plot(verdict: VerdictFacts) -> bytes | None:
    """The picture as SVG; None where no claim can be drawn."""
    rows = drawn(verdict)[::-1]
    if not rows:
        return None

    def draw(axes: "Axes") -> None:
        axes.axvline(0, color=INK, linewidth=1)
        for result, color in RESULTS.items():
            here = [(number, row) for number, row in enumerate(rows) if row.result == result]
            if here:
                axes.errorbar(
                    [row.distance for _, row in here],
                    [number for number, _ in here],
                    xerr=[[r.distance - r.bad for _, r in here], [r.good - r.distance for _, r in here]],
                    fmt="o",
                    color=color,
                    label=result,
                    capsize=3,
                )
        axes.set_yticks(range(len(rows)), [shorten(row.name) for row in rows])

    title = f"{verdict.decision}: claims and their limits"
    return svg(draw, title=title, x="standard errors from the limit (right: it holds)", y="", grid="x")


def claims_table(verdict: VerdictFacts) -> str:
    """The claims as a Markdown table that a metadata table shows inline."""
    rows = [[claim.name, marked(claim), _short(claim), f"{claim.sign} {claim.limit:g}"] for claim in verdict.claims]
    return table(["claim", "result", "found, bound", "limit"], rows)


def claims_thumbnail(verdict: VerdictFacts) -> str | None:
    """The picture so small that it is shown inline; None where it does not fit or nothing can be drawn."""
    rows = drawn(verdict)
    if not rows:
        return None
    edge = max(max(abs(row.bad), abs(row.good)) for row in rows)
    step = min(10, 70 // len(rows))

    def x(value: float) -> str:
        return f"{80 + 50 * value / edge:.0f}"

    paths = ""
    for result, color in RESULTS.items():
        lines = "".join(
            f"M{x(r.bad)},{step * n + 4}H{x(r.good)}M{x(r.distance)},{step * n + 2}v4"
            for n, r in enumerate(rows)
            if r.result == result
        )
        paths += f"<path d='{lines}' stroke='{color}'/>" if lines else ""
    names = "".join(f"<tspan x='0' dy='{step}'>{row.name[:16]}</tspan>" for row in rows)
    text = f"<text y='{6 - step}' style='font:6px Arial'>{names}</text>"
    limit = f"<path d='M80,0V72' stroke='#333'/>{paths}{text}"
    axis = f"<text y='80' style='font:6px Arial'>limit at the line, edge at {edge:.0f} standard errors</text>"
    pictures = (inline_svg(body, name="claims") for body in (f"{limit}{axis}", limit))
    return next((picture for picture in pictures if len(picture) < INLINE), None)


def _short(claim: ClaimFacts) -> str:
    if claim.estimate is None:
        return "-"
    is_low = (claim.sign == ">") == (claim.kind == "prove" and claim.outcome != "FAIL")
    bound = claim.low if is_low else claim.high
    return f"{claim.estimate:.3g}" + (f", {'≥' if is_low else '≤'} {bound:.3g}" if bound is not None else "")
