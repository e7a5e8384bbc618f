"""The product `shop` with a label of three classes, whose rows have weights and whose decisions have a worth."""

from pathlib import Path

from tests.support.homes.path_homes import Home
from tests.support.homes.shop import Edit, Row, csv_bytes, rows, shop

CLASSES = ("0", "1", "2")
MATRIX = [[1, -1, -2], [0, 1, -1], [-9, -1, 1]]
EDITS = (
    ("task: binary", "task: multiclass"),
    ("label: came_back", "label: came_back, classes: [0, 1, 2], weight: weight"),
    (r"decision: \{threshold: 0.5\}", "labels: {matures: 0d}"),
    ("positives: 2, negatives: 2", "per_class: 2"),
    (r"roc_auc\(candidate\) > 0.05", "log_loss(candidate) < 3"),
    ("metric: roc_auc, max_drop: 1", f"metric: log_loss, max_drop: 3, value: {{matrix: {MATRIX}}}"),
    (r"(?m)\Z", "\ntune: {trials: 2, windows: 1, space: {iterations: {low: 3, high: 9}}}\nci: {windows: 1}\n"),
)
CONTRACT = (
    (r"isin=\[0, 1\]", "isin=[0, 1, 2]"),
    (r"(    came_back: int[^\n]*\n)", '\\1    weight: float = pa.Field(ge=0, metadata={"known": "after"})\n'),
)


def class_of(_: int, row: Row) -> int:
    """The class of an order, by its amount."""
    return min(int(row["amount"] // 34), 2)


def classes_home(folder: Path, *edits: Edit) -> Home:
    """A new home with the shop of several classes, and these edits of its product.yaml."""
    labels = "select id, came_back, weight from {{ source('dataset', 'orders') }}\n"
    return shop(folder, *EDITS, *edits, contract=CONTRACT, dbt={"shop_labels.sql": labels})


def deliver_classes(home: Home, *days: str) -> None:
    """The orders of these days, whose weights are 1 to 3."""
    for day in days:
        table = rows(day, came_back=class_of, weight=lambda number, row: 1.0 + number % 3)
        home.deliver(day, {"orders": csv_bytes(table)})
