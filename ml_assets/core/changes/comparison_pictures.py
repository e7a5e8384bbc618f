"""The pictures of a comparison: its claims, curves and slices, head as candidate and base as champion."""

from ml_assets.core.changes.walk_protocol import HeadVerdict
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.plots.figures import plots
from ml_assets.core.plots.gates import claims_plot


def pictures(judged: HeadVerdict) -> dict[str, bytes]:
    """SVG by file name, claims first."""
    claims = claims_plot(judged.verdict)
    drawn = {"claims": claims} if claims else {}
    drawn |= plots(Evaluation.from_dict(judged.evaluation))
    return {f"{judged.product}.{name}.svg": picture for name, picture in drawn.items()}
