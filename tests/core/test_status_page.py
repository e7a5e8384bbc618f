"""The page of a product's state stands alone, escapes what it shows, and draws each value where it belongs."""

import re

from ml_assets.core.html.status_page import BOTTOM, HEIGHT, TOP, Chart, Fact, Row, page, picture

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")


def test_a_line_has_a_gap_where_a_partition_has_no_value_and_alarms_are_marked() -> None:
    chart = Chart("roc_auc", {"candidate": [0.5, None, 0.7, 0.9], "champion": [None] * 4}, alarms=frozenset({DAYS[2]}))
    drawn = picture(chart, DAYS, {DAYS[3]: "2024-03-04.0123abcd"})
    line = drawn.drawn[0]
    assert [step[0] for step in re.findall(r"[ML][\d. ]+", line.path)] == ["M", "M", "L"]
    expected = zip((DAYS[0], *DAYS[2:]), (0.5, 0.7, 0.9), strict=True)
    assert [words for *_, words, _ in line.points] == [f"{day}: candidate {value}" for day, value in expected]
    assert [alarm for *_, alarm in line.points] == [False, True, False]
    heights = [y for _, y, *_ in line.points]
    assert heights == sorted(heights, reverse=True), "a larger value lies higher"
    assert all(TOP <= y <= HEIGHT - BOTTOM for y in heights)
    assert drawn.releases == [(line.points[-1][0], "2024-03-04.0123abcd")]
    assert drawn.drawn[1].points == []


def test_a_limit_is_drawn_where_values_come_near_it_and_equal_values_do_not_break_the_scale() -> None:
    near, far = ({"scores": [0.1, 0.2]}, 0.25), ({"scores": [0.1, 0.2]}, 9.0)
    assert picture(Chart("psi", near[0], near[1]), DAYS[:2], {}).limit is not None
    assert picture(Chart("psi", far[0], far[1]), DAYS[:2], {}).limit is None
    assert picture(Chart("rows", {"delivered": [0.0, 0.0]}, begins_at_zero=True), DAYS[:2], {}).drawn[0].points


def test_it_fetches_nothing_and_escapes_what_it_shows() -> None:
    hostile = "<script>alert(1)</script>"
    row = Row("2024-03-01", "40", "0", "0.7", "", hostile, "alarm", "", "2024-03-01.0123abcd")
    html = page(
        title=hostile,
        lead=hostile,
        facts=[Fact("trouble", hostile, "error"), Fact("next", "", commands=[hostile])],
        charts=[Chart(hostile, {hostile: [1.0]}), Chart("nothing to draw", {"value": [None]})],
        rows=[row] * 20,
        partitions=DAYS[:1],
        releases={DAYS[0]: hostile},
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 8
    assert "nothing to draw" not in html
    assert "8 earlier partitions" in html
    assert not re.search(r"""(?:src|href)=|https?:|url\(""", html)
