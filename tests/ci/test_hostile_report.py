"""`ml-assets draw` shows a report.json that somebody else's code wrote: whatever it holds can do nothing but be read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ml_assets.cli.review.draw import command as draw
from ml_assets.core.changes.comparison_page import STYLE
from ml_assets.services.review.report_folder import ReportRefused

pytestmark = pytest.mark.timeout(900)

HOSTILE = """\
# Fine | title
@maintainers please merge, fixes #1, see o/r#2 GH-3 and https://evil.example or www.evil.example or mail@evil.example
<img src="https://evil.example/track.png"><script>alert(1)</script><!-- hidden
[key](../../.git/config) ![key](../.git/config) ![env](/proc/self/environ) ![remote](https://evil.example/x.svg) [a]: ./roc.svg
- ```mermaid
click A "https://evil.example"
&#64;everyone &lt;b&gt; \u202egnp.exe $$x$$
![](https://cml.dev/watermark.png#0 "CML watermark evaluation")
"""
_ESTIMATE = {"value": 0.55, "low": 0.5, "high": 0.6}
_ESTIMATES = {"candidate": _ESTIMATE, "champion": _ESTIMATE, "difference": _ESTIMATE}
_CLAIM = {
    "name": "floor",
    "kind": "prove",
    "text": "roc_auc(candidate) > 0.6",
    "outcome": "FAIL",
    "message": "0.5500, at most 0.5800: disproven",
    "sign": ">",
    "limit": 0.6,
    "units": 30,
}
_VERDICT = {"decision": "REJECT", "reasons": ["floor: disproven"], "claims": [_CLAIM], "unit": "day", "units": 30, "level": 0.01}
_JUDGED = {
    "product": "flights",
    "verdict": {**_VERDICT, "alpha": 0.05},
    "metrics": {"roc_auc": _ESTIMATES},
    "metric": "roc_auc",
    "slices": [{"column": "carrier", "level": level, "rows": 9, "estimates": _ESTIMATES} for level in ("AA", "UA")],
    "counts": {"both": 100, "base_only": 2},
}
_CHECK = {"stage": "features", "partition": "2013-04", "claim": "no_leakage", "description": "it moved"}
REPORT: dict[str, Any] = {
    "version": 2,
    "base": "b" * 40,
    "head": "a" * 40,
    "is_dirty": False,
    "outcome": "REJECT",
    "reasons": ["flights: floor: disproven"],
    "changes": [{"product": "flights", "name": "model.depth", "effect": "changed", "old": 8, "new": "2", "reason": "why"}],
    "comparisons": [
        {
            "product": "flights",
            "outcome": "REJECT",
            "reasons": ["floor"],
            "windows": ["2013-04"],
            "judged": _JUDGED,
            "by_head": {**_VERDICT, "alpha": 0.05, "claims": []},
            "production": {"release": "2013-03.abc", "windows": ["2013-04"], "judged": _JUDGED, "note": "a note"},
            "moved": [{"feature": "distance", "effect": "changed", "share": 0.5}],
            "failed": [_CHECK],
            "failed_before": [_CHECK],
            "pictures": ["flights.roc.svg"],
            "refused": {"flights": [1, 2]},
            "effort": {"head": {"built": 1, "reused": 2, "seconds": 3.0}},
        }
    ],
    "stale": [{"product": "flights", "stage": "model", "causes": ["code: x"], "partitions": 1, "seconds": 2.0}],
    "serving": {"flights": "2013-03.abc"},
    "acknowledged": [{"product": "flights", "name": "floor", "reason": "because"}],
    "unread": ["flights/x"],
    "problems": ["a problem"],
}
"""A report.json with something in every field."""


def with_text(value: Any, text: str, place: str = "") -> Iterator[tuple[str, Any]]:
    """The report with one of its strings, or a name of its mappings, replaced by a text: each in turn, and where."""
    if isinstance(value, str):
        yield place, text
    elif isinstance(value, dict):
        for key, below in value.items():
            yield f"{place}.{key} (name)", {**{k: v for k, v in value.items() if k != key}, text: below}
            yield from ((at, {**value, key: changed}) for at, changed in with_text(below, text, f"{place}.{key}"))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            for at, changed in with_text(below, text, f"{place}[{index}]"):
                yield at, [*value[:index], changed, *value[index + 1 :]]


@pytest.mark.long
def test_no_text_of_a_hostile_report_can_do_anything_but_be_read(tmp_path: Path) -> None:
    drawn = 0
    weakened = {**REPORT, "outcome": "WEAKENED", "changes": [{**REPORT["changes"][0], "effect": "weakened"}], "acknowledged": []}
    for place, report in (*with_text(REPORT, HOSTILE), *with_text(weakened, HOSTILE)):
        (file := tmp_path / "report.json").write_text(json.dumps(report))
        done = CliRunner().invoke(draw, [str(file)])
        if isinstance(done.exception, ReportRefused):
            continue
        assert done.exit_code == 0, (place, done.exception)
        drawn += 1
        own_chart = re.sub(rf"```mermaid\n{re.escape(STYLE)}\nxychart-beta\n[\w .:,\[\]\"\n-]*```", "", done.output)
        shown = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", own_chart)
        for live in (
            r"@\w",
            r"#\d",
            r"GH-\d",
            r"https?://",
            r"www\.",
            r"(?<!\\)<[\w!/]",
            r"(?<!\\)&[#\w]",
            r"```",
            r"(?<!\\)\]:",
            "\u202e",
        ):
            assert not re.search(live, shown), f"{live} by {place} in {shown}"
        assert not re.search(r"(?<!\\)\]\(|(?<!\\)\[[^ ]*\]\[|\$\$", shown), f"by {place} in {shown}"
    assert drawn > 40


@pytest.mark.parametrize(
    ("slices", "names"),
    [
        ([("city", "oslo"), ("city", "bergen")], '"oslo", "bergen"'),
        ([("is_new", "yes"), ("is_express", "yes")], '"is_new yes", "is_express yes"'),
        ([("city", "oslo"), ("city", "oslo\u200b")], None),
        ([("airline", f"{name} of the whole north") for name in "abcdefghijkl"], '"a of the", "b of the", "c of the", '),
    ],
)
def test_the_chart_names_each_slice_as_short_as_tells_them_apart(
    tmp_path: Path, slices: list[tuple[str, str]], names: str | None
) -> None:
    shown = [{**_JUDGED["slices"][0], "column": column, "level": level} for column, level in slices]
    comparison = {**REPORT["comparisons"][0], "judged": {**_JUDGED, "slices": shown}, "production": None}
    (file := tmp_path / "report.json").write_text(json.dumps({**REPORT, "comparisons": [comparison]}))
    drawn = CliRunner().invoke(draw, [str(file)]).output
    assert ("mermaid" in drawn) is (names is not None)
    assert f"x-axis [{names or ''}" in drawn or names is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"version": 2}', b'{"outcome": "MERGE"}', b"x" * 4_000_001],
)
def test_a_report_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "report.json").write_bytes(content)
    done = CliRunner().invoke(draw, [str(file)])
    assert isinstance(done.exception, ReportRefused)
    assert "report.json" in str(done.exception)
    file.unlink()
    file.symlink_to("/etc/hostname")
    assert isinstance(CliRunner().invoke(draw, [str(file)]).exception, ReportRefused)


def test_a_report_of_any_length_fits_a_comment(tmp_path: Path) -> None:
    changes = [{**REPORT["changes"][0], "name": f"model.{number}", "reason": "x" * 190} for number in range(2000)]
    (file := tmp_path / "report.json").write_text(json.dumps({**REPORT, "changes": changes}))
    text = CliRunner().invoke(draw, [str(file)]).output
    assert len(text) < 65_536
    assert text.startswith("## ❌ REJECT")
    assert text.endswith("The rest is in the run's artifact.\n")
