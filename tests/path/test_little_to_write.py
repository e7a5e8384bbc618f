"""One table, a contract of one class, and no SQL: requests, labels and features follow, down the path to a served release."""

import json
from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.declared.problems import declaration_problems
from ml_assets.core.lineage.stages import STAGES, stage_code, stage_code_parts
from ml_assets.spec.product import ProductError, load
from tests.support.homes.loans import deliver as loans_deliver
from tests.support.homes.loans import loans
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, *_ = DAYS
RATIO = """select id, placed_at, city, amount, items, hour(placed_at) as hour
from {{ ref('shop_requests') }}
"""


def least(folder: Path, *, without: tuple[str, ...] = ("class Request.*?(?=TABLES = )",)) -> Home:
    """The shop without a line of SQL, and without these parts of its contract."""
    home = shop(folder, contract=[(f"(?s){part}", "") for part in without])
    for file in (home.declared / "dbt").iterdir():
        file.unlink()
    return home


def problems(home: Home) -> str:
    return "\n".join(declaration_problems(load(home.declared)))


def test_a_product_of_one_table_needs_neither_sql_nor_a_request_nor_features(tmp_path: Path) -> None:
    home = least(tmp_path)
    assert not problems(home)
    contract = home.product.contract
    assert list(contract.Request.to_schema().columns) == ["id", "placed_at", "city", "amount", "items"]
    assert list(contract.Features.to_schema().columns) == ["id", "placed_at", "city", "amount", "items"]
    deliver(home, FIRST, SECOND)
    with blank_pages():
        runs = [home.run(day) for day in (FIRST, SECOND)]
    assert [run.errors for run in runs] == [{}, {}]
    assert all(run.success for run in runs)
    assert {"features_are_unique", "labels_are_unique", "requests_have_a_key", "no_leakage"} <= runs[1].checks.keys()
    assert home.serving() == home.get("release", SECOND).facts["release"]


def test_one_file_of_sql_is_enough_for_features_of_its_own(tmp_path: Path) -> None:
    home = least(tmp_path, without=("class Request.*?(?=class Features)",))
    (home.declared / "features.sql").write_text(RATIO)
    assert not problems(home)
    deliver(home, FIRST, SECOND)
    with blank_pages():
        assert all(home.run(day).success for day in (FIRST, SECOND))
    assert home.get("features", SECOND).facts["rows"] == 40
    assert home.serving() == home.get("release", SECOND).facts["release"]


def test_what_a_request_cannot_be_held_to_is_left_out_of_the_request_that_follows(tmp_path: Path) -> None:
    home = least(tmp_path)
    home.edit("contract.py", ("    city: str", '    city: str = pa.Field(str_matches="^[A-Z]", isin=["Bonn", "Ulm"])'))
    assert not problems(home)
    checks = [check.name for check in home.product.contract.Request.to_schema().columns["city"].checks]
    assert checks == ["isin"]


@pytest.mark.parametrize(
    ("file", "edit", "says"),
    [
        ("contract.py", ('"known": "after"', '"known": "request"'), "'came_back' of 'orders' would be known"),
        ("product.yaml", ("label: came_back", "label: came_bakc"), "it needs came_bakc, which 'orders' has not"),
        ("product.yaml", (r"key: \[id\]", "key: [order]"), "features.key[0]: 'order' is not a column of Request"),
    ],
)
def test_what_does_not_follow_is_refused_with_the_reason(tmp_path: Path, file: str, edit: tuple[str, str], says: str) -> None:
    home = least(tmp_path)
    home.edit(file, edit)
    assert says in problems(home)


def test_features_that_no_file_makes_are_refused_with_their_names(tmp_path: Path) -> None:
    home = least(tmp_path, without=("class Request.*?(?=class Features)",))
    assert "shop_features.sql: the dbt model is missing" in problems(home)
    assert "Features has hour, which Request has not" in problems(home)


def test_features_in_two_files_are_refused(tmp_path: Path) -> None:
    home = shop(tmp_path)
    (home.declared / "features.sql").write_text(RATIO)
    assert "makes the features too; delete one of them" in problems(home)


def test_a_request_is_declared_where_its_sql_is_written(tmp_path: Path) -> None:
    home = shop(tmp_path, contract=[("(?s)class Request.*?(?=class Features)", "")])
    with pytest.raises(ProductError, match="Request is missing"):
        _ = home.product.contract


def test_the_code_that_fills_in_counts_only_where_something_is_filled_in(tmp_path: Path) -> None:
    whole, filled = shop(tmp_path / "whole").product, least(tmp_path / "least").product
    assert "ml_assets.spec.derived_parts" in stage_code_parts(filled, STAGES["model"])
    assert "ml_assets.spec.derived_parts" not in stage_code_parts(whole, STAGES["model"])
    assert stage_code(whole, STAGES["raw"]) == stage_code(filled, STAGES["raw"])


ODD = ("key", "starts_at", 'a "b"', "select", "ünï côl", "{{ x }} {% y %}", "it's -- no /* comment")
"""Names of columns that SQL, Jinja or the relation of the partition give a meaning to."""


def test_a_column_may_have_any_name(tmp_path: Path) -> None:
    home = least(tmp_path)
    fields = "".join(f"    odd_{number}: int = pa.Field(alias={name!r})\n" for number, name in enumerate(ODD))
    home.edit("contract.py", ("    came_back", f"{fields}    came_back"))
    assert not problems(home)
    assert [column.name for column in home.space.dbt.columns(home.product)][5:] == list(ODD)


def test_a_boolean_is_a_category_where_the_features_make_text_of_it(tmp_path: Path) -> None:
    """Without that it is a number."""
    home = loans(tmp_path)
    assert home.product.contract.Features.to_schema().columns["is_owner"].dtype.type == pl.Boolean
    (home.declared / "features.sql").write_text(
        "select loan_id, city, income, amount, is_owner::varchar as is_owner\nfrom {{ ref('loans_requests') }}\n"
    )
    features = (
        "class Features(pa.DataFrameModel):\n    loan_id: int\n    city: str\n    income: float = pa.Field(nullable=True)\n"
    )
    home.edit("contract.py", (r"\nTABLES = ", f"\n{features}    amount: int\n    is_owner: str\n\n\nTABLES = "))
    assert not problems(home)
    loans_deliver(home, "0001")
    with blank_pages():
        run = home.run("0001")
    assert run.success, run.errors
    kinds = {feature["name"]: feature["kind"] for feature in json.loads(member(home, "bundle.json"))["features"]}
    assert kinds == {"city": "category", "income": "number", "amount": "number", "is_owner": "category"}
    assert json.loads(member(home, "golden.json"))["requests"][0]["is_owner"] in (True, False), "a client sends a boolean"
    assert "answers_equal_offline" in run.checks


def member(home: Home, name: str) -> bytes:
    return home.space.snapshots.read(home.get("release", "0001").snapshot, name)
