"""The page of what drifts: every partition and column, ignored ones apart, and no text of others as markup."""

from html.parser import HTMLParser

from ml_assets.core.html.drift_page import SHOWN, PartitionRow, Point, page

EVIL = '<script>alert("x")</script>'


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def line(partition: str, words: str = "calm") -> PartitionRow:
    return PartitionRow(partition, "6,500", "alarm", words, "stable", words, "roc_auc 0.700")


def points(*moved: float) -> list[Point]:
    return [Point(f"p{n}", share, 0.01, 0.05, exceeds=share > 0.2) for n, share in enumerate(moved)]


def drawn(**changes: object) -> Elements:
    content: dict[str, object] = {
        "title": "Drift of flights",
        "lead": "so",
        "lines": [line(f"2013-{n:02}") for n in range(1, SHOWN + 3)],
        "columns": {"distance": points(0.02, 0.4), "day_of_year": points(0.9, 1.0), "empty": []},
        "ignored": ("day_of_year",),
    }
    elements = Elements()
    elements.feed(page(**{**content, **changes}))  # type: ignore[arg-type]
    return elements


def test_each_partition_and_column_is_shown_and_the_ignored_ones_apart() -> None:
    elements = drawn()
    assert elements.tags.count("figure") == 2
    assert elements.text.index("distance") < elements.text.index("Ignored columns") < elements.text.index("day_of_year")
    assert "2 earlier partitions" in elements.text
    assert elements.text.count("6,500") == SHOWN + 2
    assert "p1: 40.0% moved, in nine of ten past comparisons 1.0% to 5.0%" in elements.text
    assert elements.tags.count("circle") == 4


def test_a_partition_has_the_same_place_in_every_picture() -> None:
    late = points(0.02, 0.3, 0.1)[1:]
    html = page(title="Drift", lead="so", lines=[], columns={"distance": points(0.02, 0.4, 0.1), "score": late}, ignored=())
    assert html.count('cx="150.0"') == html.count('cx="296.0"') == 2, "p1 and p2"
    assert html.count('cx="4.0"') == 1, "p0 has no verdict on scores"
    assert "From left to right p0 to p2." in html


def test_a_product_without_a_verdict_says_so() -> None:
    elements = drawn(columns={}, ignored=())
    assert "No partition has a verdict yet." in elements.text
    assert "Ignored columns" not in elements.text


def test_no_text_becomes_an_element() -> None:
    elements = drawn(lines=[line(EVIL, EVIL)], columns={EVIL: points(0.1)}, title=EVIL, lead=EVIL)
    assert "script" not in elements.tags
    assert EVIL in elements.text
