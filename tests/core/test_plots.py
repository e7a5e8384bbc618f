"""Pictures: small, deterministic, readable SVG."""

import base64
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from ml_assets.core.evaluation.comparison import evaluate
from ml_assets.core.metrics.drift import drift, profile
from ml_assets.core.plots.figures import drift_plot, feature_importance, learning_curve, plots
from ml_assets.core.plots.style import as_markdown, svg
from tests.support.scored import regression_rows, rows, without_champion

LIMIT_BYTES = 15_000
BINARY = {"roc", "precision_recall", "calibration", "confusion_matrix", "score_distribution", "slices"}
REGRESSION = {"predicted_vs_actual", "residuals", "residuals_by_unit", "score_distribution", "slices"}


@cache
def binary_plots() -> dict[str, bytes]:
    given = rows()
    given["slices"]["dest"] = [f"airport {i % 40} with a long $name$ & <more>" for i in range(3000)]
    return plots(evaluate(**given))


@cache
def regression_plots() -> dict[str, bytes]:
    return plots(evaluate(**regression_rows()))


@cache
def other_plots() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    frame = pl.DataFrame({"distance": random.normal(0, 1, 500), "carrier": random.choice(["UA", "$A$"], 500)})
    reference = profile(frame, random.random(500))
    report = drift(reference, frame.with_columns(pl.col("distance") + 1), random.random(500))
    return {
        "drift": drift_plot(report, limit=0.25),
        "importance": feature_importance([(f"feature {i}", 40.0 / (i + 1)) for i in range(24)]),
        "learning": learning_curve(
            {name: [(i, 0.7**i) for i in range(1000)] for name in ("learn", "validation")}, metric="Logloss"
        ),
    }


def every_picture() -> dict[str, bytes]:
    return {
        f"{kind} {name}": picture
        for kind, pictures in (("binary", binary_plots()), ("regression", regression_plots()), ("other", other_plots()))
        for name, picture in pictures.items()
    }


def texts(picture: bytes) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter() if element.tag.endswith("text")]


def test_each_task_has_its_pictures() -> None:
    assert set(binary_plots()) == BINARY
    assert set(regression_plots()) == REGRESSION


def test_every_picture_is_well_formed_small_and_of_one_size() -> None:
    for name, picture in every_picture().items():
        root = ElementTree.fromstring(picture)
        assert (root.get("width"), root.get("height")) == ("315pt", "240pt"), name
        assert len(picture) < LIMIT_BYTES, name


def test_the_text_of_a_picture_is_text_and_its_numbers_are_not_rounded() -> None:
    assert "ROC curve" in texts(binary_plots()["roc"])
    assert any(re.fullmatch(r"candidate 0\.\d{3}", text) for text in texts(binary_plots()["roc"]))
    assert "limit 0.25" in texts(other_plots()["drift"])


def test_candidate_and_champion_share_the_axes_and_the_legend() -> None:
    for name in ("roc", "precision_recall", "calibration", "score_distribution"):
        words = " ".join(texts(binary_plots()[name]))
        assert "candidate" in words, name
        assert "champion" in words, name


@pytest.mark.long
def test_the_same_evaluation_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import sys; from tests.core.test_plots import binary_plots; sys.stdout.buffer.write(b''.join(binary_plots().values()))"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert other == b"".join(binary_plots().values())


@pytest.mark.long
def test_a_first_release_is_drawn_without_a_champion() -> None:
    pictures = plots(evaluate(**without_champion(rows())))
    assert set(pictures) == BINARY
    assert not any("champion" in text for picture in pictures.values() for text in texts(picture))
    assert "roc_auc of the candidate, 95% interval" in texts(pictures["slices"])


def test_one_class_only_is_drawn_without_ranking_curves() -> None:
    pictures = plots(evaluate(**rows() | {"y": np.zeros(3000)}))
    assert set(pictures) == BINARY - {"roc", "precision_recall"}


def test_slices_that_do_not_fit_are_counted_in_the_title() -> None:
    assert any("largest 14, 31 not shown" in text for text in texts(binary_plots()["slices"]))


def test_markdown_carries_the_picture_itself() -> None:
    picture = binary_plots()["roc"]
    matched = re.fullmatch(r"!\[roc\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", as_markdown(picture, name="roc"))
    assert matched is not None
    assert base64.b64decode(matched[1]) == picture


@pytest.mark.long
def test_importing_the_evaluation_code_imports_nothing_heavy() -> None:
    names = ("plots.figures", "evaluation.comparison", "gates.verdict", "metrics.drift", "evaluation.evidently_report")
    code = f"import sys, {', '.join('ml_assets.core.' + name for name in names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "ml_assets.core.evaluation.evidently_report" in loaded
    assert not {"matplotlib", "scipy.stats", "evidently", "mlflow", "dagster", "pandas"} & set(loaded)


LONG = ["a class with a long name", "two", "three", "another with a long name"]


def _bars(axes: Any) -> None:
    axes.barh(range(15), range(15), label="limit")
    axes.set_yticks(range(15), [f"a feature with a name {number}" for number in range(15)])


def _classes(axes: Any) -> None:
    axes.set(xlim=(-0.5, 3.5), ylim=(3.5, -0.5))
    axes.set_xticks(range(4), LONG, rotation=30)
    axes.set_yticks(range(4), LONG)


def _huge(axes: Any) -> None:
    axes.plot([-123_456, 123_456], [-1e9, 1e9])


@pytest.mark.parametrize(("draw", "grid"), [(_bars, "x"), (_classes, "none"), (_huge, "both")])
def test_no_label_leaves_the_picture(draw: Callable[[Any], None], grid: str) -> None:
    from matplotlib.backends.backend_svg import RendererSVG

    drawn: list[Any] = []

    def kept(axes: Any) -> None:
        draw(axes)
        drawn.append(axes)

    svg(kept, title="A title", x="along", y="across", grid=grid)
    whole = drawn[0].figure.bbox
    renderer = RendererSVG(*whole.size, StringIO(), image_dpi=72)  # type: ignore[no-untyped-call]
    inner = drawn[0].get_tightbbox(renderer)
    assert 0 <= inner.x0 < inner.x1 <= whole.width
    assert 0 <= inner.y0 < inner.y1 <= whole.height


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_lacks_get_their_room_without_a_warning() -> None:
    wide, latin = (feature_importance([(name, 0.5), ("b", 0.3)]).decode() for name in ("価格の分類🙂", "WWWWWW"))
    assert wide.replace("価格の分類🙂", "WWWWWW") == latin
