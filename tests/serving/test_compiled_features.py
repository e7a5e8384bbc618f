"""The compiled features.sql gives DuckDB's values to the last bit, or leaves the row to DuckDB."""

import datetime as dt
import io
import json
import math
import random
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import duckdb
import msgspec
import polars as pl
import pytest

from ml_assets.core.release.bundle import request_fields
from ml_assets.products.flights.contract import Features as FeatureTable
from ml_assets.products.flights.contract import Request
from ml_assets.serving.compiled.features import CompiledFeatures, compile_features, probes
from ml_assets.serving.compiled.sql import column_functions
from ml_assets.serving.compiled.sql.numpy_code import FeatureFunction
from ml_assets.serving.compiled.sql.query import compile_query
from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.duckdb_features import DuckDbFeatures, FeatureQuery, UncomputableRow
from ml_assets.serving.plain.feature_values import Row
from ml_assets.serving.requests.field import Field
from resources.settings import ROOT

FLIGHTS = re.sub(
    r"\{\{ ref\('(\w+)'\) \}\}",
    r'"features"."main"."\1"',
    (ROOT / "dbt_project/models/flights/flights_features.sql").read_text(),
)
FIELDS = msgspec.convert(request_fields(Request), list[Field])
KINDS = [
    {"name": name, "kind": "category" if column.dtype.type == pl.String else "number"}
    for name, column in FeatureTable.to_schema().columns.items()
    if name not in ("flight_id", "scheduled_at")
]


def parquet(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


def flights_lookups() -> dict[str, bytes]:
    rng = random.Random(1)
    planes = [(f"N{n}", rng.choice([None, 1999, 2004]), rng.choice([None, "Rotorcraft"]), "BOEING", rng.choice([None, 140]))
              for n in range(50)]  # fmt: skip
    rates = [
        (carrier, origin, dest, dt.date(2013, 1, 1) + dt.timedelta(days=day), rng.random(), rng.choice([None, 0.0]), rng.random())
        for carrier in ("UA", "AA") for origin in ("JFK", "EWR") for dest in ("MIA", "BOS") for day in range(365)
    ]  # fmt: skip
    columns = ["carrier", "origin", "dest", "day", "carrier_late_rate", "origin_late_rate", "route_late_rate"]
    makers = ["tailnum", "plane_year", "plane_type", "manufacturer", "seats"]
    return {
        "flights_planes": parquet(pl.DataFrame(planes, schema=makers, orient="row")),
        "flights_late_rates": parquet(pl.DataFrame(rates, schema=columns, orient="row")),
    }


def flights_request(rng: random.Random, number: int) -> Row:
    start = dt.datetime(2012, 12, 31) if rng.random() < 0.9 else dt.datetime(rng.choice([1, 2, 1970, 9998]), 1, 1)
    values: list[Any] = []
    for field in FIELDS:
        if field.nullable and rng.random() < 0.15:
            values.append(None)
        elif field.isin is not None:
            values.append(rng.choice([*field.isin, "UA", "JFK"]) if field.name == "carrier" else rng.choice(field.isin))
        elif field.type == "timestamp":
            values.append(start + dt.timedelta(microseconds=rng.randrange(370 * 86_400_000_000)))
        elif field.type == "string":
            values.append(rng.choice([f"N{rng.randrange(60)}", "MIA", "BOS", "é", "", "x\x00y"]))
        else:
            low, high = field.ge or 0, field.le or 0
            values.append(rng.randint(int(low), int(high)) if field.type == "integer" else rng.uniform(low, high))
    values[0] = f"{number}"
    return tuple(values)


def query_of(sql: str, fields: Sequence[Field], kinds: Sequence[dict[str, str]], lookups: dict[str, bytes]) -> FeatureQuery:
    relation = "flights_requests" if fields is FIELDS else "requests"
    return FeatureQuery(sql, relation, fields, [fields[0].name], kinds, lookups)


def compiled(
    sql: str, fields: Sequence[Field], kinds: Sequence[dict[str, str]], lookups: dict[str, bytes], golden: list[Row]
) -> CompiledFeatures:
    query = query_of(sql, fields, kinds, lookups)
    return compile_features(query, DuckDbFeatures(query), golden)


def test_the_flights_features_are_compiled_and_equal_duckdb_bit_for_bit() -> None:
    rng = random.Random(20130101)
    rows = [flights_request(rng, number) for number in range(4000)]
    features = compiled(FLIGHTS, FIELDS, KINDS, flights_lookups(), rows[:20])
    computed = features.compute(rows)
    assert computed.differing(features.reference.compute(rows)) == []
    assert len(set(computed.numbers[-1].tolist())) > 100
    plane_years = computed.rows(KINDS)
    assert sum(row[10] == row[10] for row in plane_years) > 300
    assert features.left_to_duckdb < 200


def test_a_row_has_the_same_features_alone_and_among_others() -> None:
    rows = [flights_request(random.Random(number), number) for number in range(200)]
    features = compiled(FLIGHTS, FIELDS, KINDS, flights_lookups(), rows[:20])
    together = features.compute(rows).rows(KINDS)
    alone = [features.compute([row]).rows(KINDS)[0] for row in rows]
    assert repr(together) == repr(alone)
    assert features.compute([]).rows(KINDS) == []


def test_probes_share_no_key_so_that_one_query_computes_them_and_hold_each_edge() -> None:
    golden = [flights_request(random.Random(number), number) for number in range(20)]
    rows = list(probes(FIELDS, golden, ["flight_id", "scheduled_at"]))
    assert rows[:20] == golden
    assert len({row[:2] for row in rows}) == len(rows)
    for plain, own_key in zip(probes(FIELDS, golden), rows, strict=True):
        differing = [position for position, (one, other) in enumerate(zip(plain, own_key, strict=True)) if one != other]
        assert differing in ([], [0])


REQUEST = [
    Field("k", "string"),
    Field("a", "integer", nullable=True),
    Field("b", "integer"),
    Field("x", "number", nullable=True),
    Field("y", "number"),
    Field("s", "string", nullable=True),
    Field("t", "timestamp"),
    Field("f", "boolean", nullable=True),
    Field("m", "integer", ge=0, le=2359),
    Field("o", "integer", nullable=True, ge=-5000, le=5000),
]
EXPRESSIONS = [
    "a + b", "b - 7", "a * b", "-x", "x + y", "x * y", "x / y", "y / 7", "a / 3", "x - a", "a // 7", "b // 1440 % 60", "b % 97",
    "x * 0.1", "0.25 + y", "coalesce(a, b)", "coalesce(x, y)", "coalesce(s, 'none')", "nullif(a, b)", "nullif(a, 3)",
    "case when a > b then 1 when a = b then 2 else 3 end", "case when x > y then y end", "case when f then s else 'no' end",
    "f", "not f", "a is null", "a is not null and f", "f or a < 0", "a in (1, 2, 3)", "s in ('N1', 'é')", "b between -5 and 5",
    "s || s", "s || '-' || k", "substr(s, 1, 1)", "substring(s, 2, 3)", "cast(a as double)", "cast(a as varchar)", "b::bigint",
    "hour(t)", "minute(t)", "year(t)", "month(t)", "day(t)", "isodow(t)", "dayofyear(t - interval 5 hour)",
    "isodow(cast(t + interval 3 day as date))", "hour(t::date + interval 90 minute)", "month(t::date)", "s = k",
    "t::date = t::date", "x <= y", "a <> b", "(a + 1) * 2 - b % 5", "a * 2 // 3", "7 * b // 2 * 3", "a - b - 3", "- x - y",
    "z.v", "z.w", "z.i + b",
    "m // 100 * 60 + m % 100", "(m - o + 1800) % 1440 - 360", "o // 7", "o % 7", "o * m", "o * o * o * o * o * o", "o // 3 % 2",
    "coalesce(o, m) * 1000", "nullif(o, 0) / 2", "case when o > 0 then m else o end // 10", "o is null or m > 100", "z.i * o",
    "case when f then 'x' else 'y' end", "coalesce(s, k, 'none') || 'z'", "not (o > 0 and f)", "(o > 0 or f) and x > y",
    "hour(t) * o", "isodow(t) * 1000 - o", "case when o is null then 1 end", "coalesce(case when o > 5 then z.n end, 'no')",
    "s in ('N1') or o in (1, 2)",
    "coalesce(z.n, 'unknown')", "u.v", "z.v > x", "case when z.v is null then 0 else b end", "steps.v", "p.v",
]  # fmt: skip
EDGES = [0, 1, -1, 2, 3, 5, -5, 7, 97, 2**31, -(2**31), 2**53 + 1, 2**62, 2**63 - 1, -(2**63), 123456789]
REALS = [0.0, -0.0, 1.0, -1.5, 0.1, 1e-320, 1e308, -1e308, 3.0, 2.0**53, 1 / 3, 123456.789]
TABLE = pl.DataFrame(
    {
        "name": ["N1", "é", "N2", None, "ab", ""],
        "d": [dt.date(2013, 1, day) for day in range(1, 7)],
        "v": [0.5, float("nan"), None, 2.0, -0.0, 7.0],
        "w": [True, None, False, True, False, True],
        "i": [1, 2, None, 4, 2**62, 6],
        "n": ["one", None, "two", "three", "", "empty"],
    }
)
DAYS = pl.DataFrame({"day": [dt.date(2013, 1, day) for day in range(1, 29)], "v": [day / 7 for day in range(28)]})
STEPS = pl.DataFrame({"step": [0, 1, -1, 5000, None], "v": [0.5, 1.5, 2.5, 3.5, 4.5]})
PAIRS = pl.DataFrame(
    [(name, step, flag) for name in ("N1", "é", "") for step in (0, 1, -1, -5000) for flag in (True, False)],
    schema={"name": pl.String, "step": pl.Int64, "flag": pl.Boolean},
    orient="row",
).with_row_index("v")
LOOKUPS = {"things": TABLE, "days": DAYS, "steps": STEPS, "pairs": PAIRS.cast({"v": pl.Float64})}


def request(rng: random.Random, number: int) -> Row:
    def maybe(value: Any) -> Any:
        return None if rng.random() < 0.2 else value

    def whole() -> int:
        return rng.choice(EDGES) if rng.random() < 0.5 else rng.randint(-5000, 5000)

    def real() -> float:
        return rng.choice(REALS) if rng.random() < 0.5 else rng.gauss(0, 1e3)

    start = rng.choice([dt.datetime(2013, 1, 1), dt.datetime(1900, 2, 28), dt.datetime(1, 1, 1), dt.datetime(9999, 12, 1)])
    moment = start + dt.timedelta(microseconds=rng.randrange(28 * 86_400_000_000))
    text = maybe(rng.choice(["N1", "é", "N2", "", "ab", "e\u0301x", "👩‍🚀!", "x\x00y"]))
    numbers = maybe(whole()), whole(), maybe(real()), real()
    limited = rng.randint(0, 2359), maybe(rng.choice([-5000, -1, 0, 1, 5000, rng.randint(-5000, 5000)]))
    return (f"{number}", *numbers, text, moment, maybe(rng.random() < 0.5), *limited)


def query(expression: str) -> str:
    return f"""
        with recent as (select *, (t - interval 1 hour)::date as yesterday from features.main.requests)
        select r.k, {expression} as e
        from recent as r
        left join "features"."main"."things" as z on z.name = r.s
        left join features.main.days u on r.yesterday = u.day
        left join features.main.steps on steps.step = r.o
        left join features.main.pairs as p on p.name = r.s and p.step = r.o and p.flag = r.f"""


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_of_the_subset_equals_duckdb_on_thousands_of_rows(expression: str) -> None:
    rng = random.Random(expression)
    rows = [request(rng, number) for number in range(800)]
    lookups = {name: parquet(table) for name, table in LOOKUPS.items()}
    kinds = [{"name": "e", "kind": kind_of(expression)}]
    function = function_of(query(expression), kinds, lookups)
    values, unsure = function(list(zip(*rows, strict=True)), len(rows))
    sure = [row for row, is_unsure in zip(rows, unsure, strict=True) if not is_unsure]
    reference = DuckDbFeatures(query_of(query(expression), REQUEST, kinds, lookups))
    expected = reference.compute(sure)  # raises where a row is sure and DuckDB refuses it
    computed = values.only(~unsure)
    wrong = computed.differing(expected)
    assert [(sure[n], computed.rows(kinds)[n], expected.rows(kinds)[n]) for n in wrong[:3]] == []
    assert len(sure) > 150


def function_of(sql: str, kinds: Sequence[dict[str, str]], lookups: dict[str, bytes]) -> FeatureFunction:
    return compile_query(query_of(sql, REQUEST, kinds, lookups))


def kind_of(expression: str) -> str:
    return "category" if str(empty_requests().sql(query(expression)).types[1]) == "VARCHAR" else "number"


@cache
def empty_requests() -> duckdb.DuckDBPyConnection:
    """A database that gives each expression its type: the lookups, and requests without a row."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS features")
    kinds = "k varchar, a bigint, b bigint, x double, y double, s varchar, t timestamp, f boolean, m bigint, o bigint"
    connection.execute(f"create table features.main.requests ({kinds})")
    for name, table in LOOKUPS.items():
        connection.register("arriving", table.to_arrow())
        connection.execute(f"create table features.main.{name} as select * from arriving")
    return connection


@pytest.mark.parametrize(
    "sql",
    [
        "select k, sum(b) as e from features.main.requests group by k",
        "select k, b as e from features.main.requests where b > 0",
        "select k, b as e from features.main.requests order by b limit 1",
        "select distinct k, b as e from features.main.requests",
        "select k, row_number() over () as e from features.main.requests",
        "select k, upper(s) as e from features.main.requests",
        "select k, 1 + 1 as e from features.main.requests",
        "select k, b * 0.1 as e from features.main.requests",
        "select k, a::integer as e from features.main.requests",
        "select k, b // a as e from features.main.requests",
        "select k, t - interval 1 month as e from features.main.requests",
        "select k, z.v as e from features.main.requests as r join features.main.things as z on z.name = r.s",
        "select k, z.v as e from features.main.requests as r left join features.main.things as z on z.name = r.s and z.v > 0",
        "select k, z.v as e from features.main.requests as r left join features.main.things as z on z.w = r.f",
        "select k, z.v as e from features.main.requests as r left join features.main.things as z on z.v = r.x",
        "select k, z.v as e from features.main.requests as r left join features.main.things as z using (s)",
        "select k, y as e, y + 1 as E from features.main.requests",
        "select k, v as e from features.main.requests, features.main.things",
        "select k, b as e from features.main.requests union all select k, b from features.main.requests",
        "select k, (select max(v) from features.main.things) as e from features.main.requests",
        "select k, random() as e from features.main.requests",
        "select * exclude (b), b as e from features.main.requests",
        "selec",
    ],
)
def test_other_sql_is_not_compiled(sql: str) -> None:
    with pytest.raises(Unsupported):
        function_of(sql, E, {"things": parquet(TABLE)})


def golden(count: int) -> list[Row]:
    rng = random.Random(3)
    at = dt.datetime(2013, 1, 2)
    return [(f"{number}", rng.randint(0, 9), number, 1.5, 2.5, "N1", at, True, number, number) for number in range(count)]


E = [{"name": "e", "kind": "number"}]
S = {"name": "s", "kind": "category"}


def test_a_row_out_of_range_is_left_to_duckdb_alone() -> None:
    features = compiled("select k, a * b as e from features.main.requests", REQUEST, E, {}, golden(3))
    large = ("big", 2**40, 2**40, 1.0, 1.0, "N1", dt.datetime(2013, 1, 1), True, 0, None)
    with pytest.raises(UncomputableRow):
        features.compute([large])
    assert features.left_to_duckdb == 1
    assert features.compute(golden(2)).rows(E) == features.reference.compute_rows(golden(2))


def test_rows_that_are_left_to_duckdb_come_back_in_their_places() -> None:
    features = compiled("select k, x / (b - 1) as e, s from features.main.requests", REQUEST, [*E, S], {}, golden(5))
    rows = [*golden(5), ("again", 1, 1, -2.0, 2.5, "N2", dt.datetime(2013, 1, 2), True, 1, 1)]
    expected = [(-1.5, "N1"), (math.inf, "N1"), (1.5, "N1"), (0.75, "N1"), (0.5, "N1"), (-math.inf, "N2")]
    assert repr(features.compute(rows).rows([*E, S])) == repr(expected)
    assert features.left_to_duckdb == 2


def test_a_day_before_the_year_one_is_left_to_duckdb() -> None:
    features = compiled("select k, year(t - interval 5 hour) as e from features.main.requests", REQUEST, E, {}, golden(3))
    rows = [(*row[:6], dt.datetime(1, 1, 1, hour), *row[7:]) for row, hour in zip(golden(2), (1, 6), strict=True)]
    assert features.compute(rows).rows(E) == features.reference.compute_rows(rows)
    assert features.left_to_duckdb == 1


def test_a_compiled_function_that_differs_from_duckdb_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real = column_functions.microseconds
    monkeypatch.setattr(column_functions, "microseconds", lambda values: real(values) + 60_000_000)
    with pytest.raises(Unsupported, match="other values"):
        compiled("select k, minute(t) as e from features.main.requests", REQUEST, E, {}, golden(3))


def test_names_of_the_sql_never_become_code() -> None:
    name = "x = __import__('os')"
    sql = f'select k, "{name}" as e from (select 1)'
    with pytest.raises(Unsupported):
        function_of(sql, E, {})
    hostile = f"""with c as (select k, '{json.dumps(name)[1:-1].replace("'", "''")}' as "{name}" from features.main.requests)
        select k, "{name}" as e from c"""
    category = [{"name": "e", "kind": "category"}]
    assert compiled(hostile, REQUEST, category, {}, golden(1)).compute(golden(1)).rows(category) == [(name,)]
