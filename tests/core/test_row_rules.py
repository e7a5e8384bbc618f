"""Rules across columns: quarantine or refusal of a delivery by their scope, and the same verdict for a request as for a row."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest

from ml_assets.core.contract import breaches
from ml_assets.core.contract.engine import ContractError, request_fields
from ml_assets.core.contract.row_rules import field_rules, keeps, row_rules, without_field_rules
from ml_assets.core.declared.problems import declaration_problems
from ml_assets.serving.requests.field import RequestSpecRefused
from ml_assets.serving.requests.parser import RequestDecoder
from ml_assets.serving.requests.refusals import BadRequest
from ml_assets.serving.requests.row_rules import RowRules
from ml_assets.spec.product import Product
from tests.support.trains import audited, product_in, reasons, trips

c = pl.col
EXPRESSIONS: dict[str, Any] = {
    "a comparison": c("a") <= c("b"),
    "arithmetic": (c("a") + c("b") * 2.5).abs() / 3 >= 4,
    "either": ~c("yes") | (c("a") > 1),
    "both": c("yes") & (c("a") != c("b")),
    "missing or in a list": c("a").is_null() | c("word").is_in(["p", "q"]),
    "between": c("a").is_between(1, 3),
    "between, open": c("b").is_between(c("a"), 3, closed="right"),
    "a span of time": c("until") - c("since") < timedelta(hours=2),
    "a moment": c("since") >= datetime(2024, 1, 1, 12),
    "a condition": pl.when(c("word") == "p").then(c("a") > 1).otherwise(c("b").is_not_null()),
    "a filled value": c("a").fill_null(0) > -1,
    "all of several": pl.all_horizontal(c("a") < 3, c("b") < 3),
    "a negative": -c("a") < 0,
    "a name": (c("a") < c("b")).alias("named"),
}
NOON = datetime(2024, 1, 1, 12)
ROWS = pl.DataFrame(
    [
        (a, b, yes, word, NOON - timedelta(minutes=number % 3), None if a == 0 else NOON + timedelta(hours=number % 4))
        for number, (a, b, yes, word) in enumerate(
            (a, b, yes, word)
            for a in (None, -1, 0, 1, 3, 2**40)
            for b in (None, 0.0, 1.0, 2.5, 3.0)
            for yes in (None, True, False)
            for word in (None, "p", "x")
        )
    ],
    schema={
        "a": pl.Int64,
        "b": pl.Float64,
        "yes": pl.Boolean,
        "word": pl.String,
        "since": pl.Datetime("us"),
        "until": pl.Datetime("us"),
    },
    orient="row",
)


def model(**expressions: Any) -> Any:
    """A model of ROWS with these rules."""

    class Asked(pa.DataFrameModel):
        a: int = pa.Field(nullable=True)
        b: float = pa.Field(nullable=True)
        yes: bool = pa.Field(nullable=True)
        word: str = pa.Field(nullable=True)
        since: datetime = pa.Field(nullable=True)
        until: datetime = pa.Field(nullable=True)

    schema = Asked.to_schema()
    checks = [
        pa.Check(lambda data, *, e=expression, **_: data.lazyframe.select(e), name=name, scope="rows")
        for name, expression in expressions.items()
    ]
    return type("Asked", (Asked,), {"to_schema": classmethod(lambda _: pa.DataFrameSchema(schema.columns, checks=checks))})


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_request_keeps_a_rule_exactly_where_a_row_does(name: str) -> None:
    instance = model(**{"rule": EXPRESSIONS[name]})
    (rule,) = row_rules(instance)
    rules = RowRules(json.dumps([rule.entry]).encode(), {column: column for column in ROWS.columns})
    rows = [type("Row", (), row) for row in ROWS.iter_rows(named=True)]
    broken = {int(refusal.path[5:-1]) for refusal in rules.broken(rows)}
    expected = set((~keeps(instance, ROWS)).arg_true().to_list())
    assert broken == expected
    assert 0 < len(expected) < ROWS.height


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        (c("word").str.contains("p"), "it uses StringExpr"),
        (c("a") / c("b") > 1, "it divides by what may be 0"),
        (c("a") > c("a").mean(), "it uses Agg"),
        (c("c") > 1, "reads 'c', which is not a column of the model; allowed: a, b"),
    ],
)
def test_a_rule_that_the_endpoint_cannot_hold_a_request_to_is_refused_by_name(expression: Any, says: str) -> None:
    with pytest.raises(ContractError, match=r"Asked\.odd: ") as caught:
        row_rules(model(odd=expression))
    assert says in str(caught.value)


FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "sent", "type": "integer"},
    {"name": "opened", "type": "integer", "nullable": True},
]
RULES = [{"name": "opened_after_sent", "text": "opened <= sent", "test": ["<=", ["field", "opened"], ["field", "sent"]]}]


def refused(*rows: dict[str, Any]) -> BadRequest:
    decoder = RequestDecoder(json.dumps(FIELDS).encode(), key=["id"], rules=json.dumps(RULES).encode())
    with pytest.raises(BadRequest) as caught:
        decoder.decode(json.dumps({"rows": rows} if len(rows) > 1 else rows[0]).encode())
    return caught.value


def test_a_request_that_breaks_a_rule_is_told_the_rule_and_every_row() -> None:
    good = {"sent": 3, "opened": 1}
    error = refused(
        {"id": "a", **good},
        {"id": "b", "sent": 3, "opened": 4},
        {"id": "c", "sent": 3, "opened": None},
        {"id": "d", "sent": 0, "opened": 4},
    )
    assert (error.status, error.reason) == (422, "rule")
    assert [reason.path for reason in error.detail] == ["rows[1]", "rows[3]"]
    assert error.detail[0].message == "breaks the rule 'opened_after_sent' of the contract: opened <= sent"
    assert [reason.path for reason in refused({"id": "a", "sent": 3, "opened": 4}).detail] == [""]


def test_fields_that_are_wrong_are_named_before_any_rule() -> None:
    error = refused({"id": "a", "sent": "x", "opened": 4})
    assert [reason.path for reason in error.detail] == ["sent"]


@pytest.mark.parametrize("test", [["exec", "x"], ["<=", ["field", "nowhere"], ["value", 1]], "true", [], ["<=", ["value", 1]]])
def test_a_bundle_with_a_rule_of_another_kind_is_refused(test: Any) -> None:
    rules = json.dumps([{"name": "odd", "text": "", "test": test}]).encode()
    with pytest.raises(RequestSpecRefused, match=r"rules\.json"):
        RequestDecoder(json.dumps(FIELDS).encode(), rules=rules)


def test_limits_that_json_has_no_type_for_are_rules_about_their_field() -> None:
    class Asked(pa.DataFrameModel):
        id: str
        at: datetime = pa.Field(ge=datetime(2013, 1, 1))
        share: float = pa.Field(isin=[0.5, 1.0])
        count: int = pa.Field(ge=1)

    fields = request_fields(Asked)
    rules = field_rules(fields)
    assert [(rule.name, rule.text) for rule in rules] == [
        ("at.ge", "at >= 2013-01-01T00:00:00"),
        ("share.isin", "share is one of [0.5, 1.0]"),
    ]
    own = [{name: value for name, value in without_field_rules(field).items() if value is not None} for field in fields]
    decoder = RequestDecoder(json.dumps(own).encode(), rules=json.dumps([rule.entry for rule in rules]).encode())
    good = {"id": "a", "at": "2013-01-01T00:00:00Z", "share": 1.0, "count": 1}
    assert len(decoder.decode(json.dumps(good).encode())) == 1
    with pytest.raises(BadRequest) as caught:
        decoder.decode(json.dumps({"rows": [good, {**good, "id": "b", "at": "2012-12-31", "share": 0.75}]}).encode())
    assert [reason.path for reason in caught.value.detail] == ["rows[1].at", "rows[1].share"]


SELECTED = '        return data.lazyframe.select(~pl.col("is_express") | (pl.col("distance") > 10))\n'


def test_a_rule_about_rows_sends_those_that_break_it_to_quarantine(tmp_path: Path) -> None:
    assert reasons(product_in(tmp_path), {}, {"distance": "1"}, {}) == [(1, "express_is_far")]


def test_a_rule_about_the_partition_refuses_the_delivery(tmp_path: Path) -> None:
    product = product_in(tmp_path, old='scope="rows"', new='scope="partition"')
    audit = audited(product, trips({}, {"distance": "1"}, {}))
    (breach,) = audit.breaches
    assert breach.message == "trips: the table fails the check 'express_is_far' (e.g. rows 1)"
    assert audit.tables["trips"].refused.is_empty()


def test_a_rule_about_the_partition_takes_no_more_rows_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaches, "MOST_CHECKED", 2)
    product = product_in(tmp_path, old='scope="rows"', new='scope="partition"')
    (breach,) = audited(product, trips({}, {}, {})).breaches
    assert "3 rows, and a check of a whole partition (express_is_far) takes at most 2" in breach.message
    assert "deliver smaller partitions" in breach.message


def refusals(tmp_path: Path, old: str, new: str) -> list[str]:
    product: Product = product_in(tmp_path, old=old, new=new)
    line = next(
        n for n, text in enumerate((product.folder / "contract.py").read_text().splitlines(), 1) if "def express_is_far" in text
    )
    return [problem for problem in declaration_problems(product) if f"contract.py:{line}: " in problem]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('(scope="rows")', "", "the check across columns does not say what it judges; write @pa.dataframe_check(scope="),
        ('scope="rows"', 'scope="row"', "has the scope 'row'"),
        (SELECTED, SELECTED.replace("distance", "distant"), "cannot judge rows of the model: ColumnNotFoundError"),
        (SELECTED, '        return data.lazyframe.select(pl.col("distance").mean() > 10)\n', 'write scope="partition"'),
    ],
)
def test_a_rule_that_cannot_judge_is_refused_by_file_and_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    problems = refusals(tmp_path, old, new)
    assert any(says in problem for problem in problems), problems
