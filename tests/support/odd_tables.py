"""Tables with columns that are ordinary somewhere and odd elsewhere, beside a time and a label; and their drafts."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
from click.testing import CliRunner, Result

from ml_assets.cli import cli

LABELS = [0, 1, 1, 0, 0] * 60


LANGUAGES = {
    "Straße": "Bäckergäßchen {}", "płeć": "Łódź-{}", "πόλη": "Αθήνα_{}",
    "цена": "Москва, {}", "शहर": "दिल्ली {}", "مدينة": "القاهرة {}",
    "価格": "東京都{}", "도시": "서울 {}", "naïve?": "n°{} (é)", "🙂": "🙂 {}",
}  # fmt: skip
ODD: dict[str, Mapping[str, object]] = {
    "languages": {name: [value.format(number) for number in range(300)] for name, value in LANGUAGES.items()},
    "words of SQL": {"order": range(300), "group": ["a", "b", "c"] * 100, "select": [0.5, 1.5] * 150, "hour": [3, 4, 5] * 100},
    "names of Python": {"class": [1, 2] * 150, "validate": [1, 2, 3] * 100, "rows": [1, 2] * 150, "_a": [3, 4] * 150},
    "signs": {"a'b": [1, 2] * 150, "x, y": ["p", "q, r"] * 150, "100 %": [1.5, 2.5] * 150, "日本": ["{x}", "# y", 'z "w"'] * 100},
    "huge and tiny": {"huge": [10.0**300, -1.0] * 150, "tiny": [1e-300, 0.0] * 150, "ids": [2**62 + n for n in range(300)]},
    "many digits": {
        "stations": [2**60 + 7919 * (n % 40) for n in range(300)],
        "ends": [2**63 - 1 - n % 40 for n in range(300)],
        "constant": [0.12345678901234567] * 300,
        "negative": [-(2**63) + n % 7 for n in range(300)],
    },
    "beyond 64 bits": {"hash": pl.Series([2**64 - 1 - 977 * (n % 7) for n in range(300)], dtype=pl.UInt64)},
    "nothing": {"none": [None] * 300, "same": ["k"] * 300, "number": [5] * 300, "some": [1, 2, 3, 4, 5, None] * 50},
}  # fmt: skip
TYPED: dict[str, Mapping[str, object]] = {
    "types": {
        "day": [date(2020, 1, 1) + timedelta(days=n) for n in range(300)],
        "zoned": [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(300)],
        "amount": [Decimal("1.25") * (n % 9) for n in range(300)], "flag": [True, False, None] * 100,
        "kind": pl.Series(["a", "b", None] * 100, dtype=pl.Categorical),
        "narrow": pl.Series([0.1 * (n % 7) for n in range(300)], dtype=pl.Float32),
        "nothing": [float("nan"), 1.0, 2.0] * 100, "endless": [float("inf"), *[1.0] * 299], "zero": [-0.0, 0.0, 1.0] * 100,
    },
    "texts": {
        "blank": ["", " ", "a"] * 100, "missing": ["NA", "null", "x"] * 100, "long": ["x" * 5000, "y", "z"] * 100,
        "unseen": ["a\u200bb", "a", "b"] * 100, "lines": ["a\nb", "c\td", "e"] * 100, "digits": ["007", "42", "1e5"] * 100,
    },
    "names of ours": {
        "score": [1.0, 2.0] * 150, "label": [1, 2] * 150, "fold": [1, 2, 3] * 100, "key": ["a", "b"] * 150,
        "partition": [1, 2] * 150, "reason": ["p", "q"] * 150, "weight": [1.0, 2.0, 3.0] * 100, "probability": [0.1, 0.2] * 150,
        "id": [n % 11 for n in range(300)],
    },
    "money": {
        "euros": ["1.234,50 €", "12,00 €", "-3,10 €"] * 100, "dollars": ["$1,234.50", "($12.00)", "$3"] * 100,
        "share": ["12 %", "3.5 %", "100 %"] * 100, "weight": ["12 kg", "3.5 kg", "100 kg"] * 100,
    },
}  # fmt: skip


def ml_assets(folder: Path, *arguments: str) -> Result:
    """One command on a home and a folder of products of its own."""
    environ = {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "products"), "DAGSTER_HOME": ""}
    return CliRunner().invoke(cli, arguments, env=environ, catch_exceptions=False)


def drafted_odd(folder: Path, kind: str, columns: Mapping[str, object], *options: str) -> Result:
    """`ml-assets new` of a table with these columns beside a time and a label."""
    start = datetime(2024, 1, 1)
    when = {"asked at": [(start + timedelta(hours=3 * n)).isoformat() for n in range(300)]}
    frame = pl.DataFrame({**when, **columns, "what came": LABELS}, strict=False)
    write = frame.write_csv if kind == "csv" else frame.write_parquet
    write(folder / f"odd.{kind}")
    return ml_assets(folder, "new", "odd", str(folder / f"odd.{kind}"), "--label", "what came", *options)


def hint() -> list[float]:
    """A column that tells the label a little."""
    noise = np.random.default_rng(0).normal(0, 0.6, len(LABELS))
    return [label + float(more) for label, more in zip(LABELS, noise, strict=True)]
