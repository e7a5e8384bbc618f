"""The compiled features.sql gives DuckDB's values to the last bit, or leaves the row to DuckDB."""

import datetime as dt
import io
import json
import math
import random
import re
from collections.abc import Sequence
from typing import Any

import duckdb
import msgspec
import polars as pl
import pytest

from ml_assets.core.release.bundle import request_fields
from ml_assets.products.flights.contract import Features as FeatureTable
from ml_assets.products.flights.contract import Request
from ml_assets.serving.features.compiler import column_functions as sql_columns
from ml_assets.serving.features.compiler.code import CompiledFeatures, Unsupported
from ml_assets.serving.features.compiler.compile import compile_features
from ml_assets.serving.features.compute import Features, features, probes
from ml_assets.serving.features.duckdb_sql import FeatureSql, UncomputableRow
from ml_assets.serving.features.values import FeatureValues, Row
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
    for each in FIELDS:
        if each.nullable and rng.random() < 0.15:
            values.append(None)
        elif each.isin is not None:
            values.append(rng.choice([*each.isin, "UA", "JFK"]) if each.name == "carrier" else rng.choice(each.isin))
        elif each.type == "timestamp":
            values.append(start + dt.timedelta(microseconds=rng.randrange(370 * 86_400_000_000)))
        elif each.type == "string":
            values.append(rng.choice([f"N{rng.randrange(60)}", "MIA", "BOS", "é", "", "x\x00y"]))
        else:
            low, high = each.ge or 0, each.le or 0
            values.append(rng.randint(int(low), int(high)) if each.type == "integer" else rng.uniform(low, high))
    values[0] = f"{number}"
    return tuple(values)


def made(
    sql: str, fields: Sequence[Field], kinds: Sequence[dict[str, str]], lookups: dict[str, bytes], golden: list[Row]
) -> Features:
    relation = "flights_requests" if fields is FIELDS else "asked"
    return features(
        sql=sql, relation=relation, fields=fields, key=[fields[0].name], features=kinds, lookups=lookups, golden=golden
    )


def test_the_flights_features_are_compiled_and_equal_duckdb_bit_for_bit() -> None:
    rng = random.Random(20130101)
    rows = [flights_request(rng, number) for number in range(4000)]
    found = made(FLIGHTS, FIELDS, KINDS, flights_lookups(), rows[:20])
    assert (found.engine, found.why_not) == ("compiled", None)
    computed = found.compute(rows)
    assert computed.differing(by_duckdb(found.sql, rows)) == []
    assert len(set(computed.numbers[-1].tolist())) > 100
    plane_years = computed.rows(KINDS)
    assert sum(row[10] == row[10] for row in plane_years) > 300
    assert found.given_up < 200


def by_duckdb(sql: FeatureSql, rows: Sequence[Row]) -> FeatureValues:
    return FeatureValues.of_rows(sql.compute(rows), sql.features)


def test_a_row_has_the_same_features_alone_and_among_others() -> None:
    rows = [flights_request(random.Random(number), number) for number in range(200)]
    found = made(FLIGHTS, FIELDS, KINDS, flights_lookups(), rows[:20])
    together = found.compute(rows).rows(KINDS)
    alone = [found.compute([row]).rows(KINDS)[0] for row in rows]
    assert repr(together) == repr(alone)
    assert found.compute([]).rows(KINDS) == []


def test_probes_share_no_key_so_that_one_query_computes_them_and_hold_each_edge() -> None:
    golden = [flights_request(random.Random(number), number) for number in range(20)]
    found = list(probes(FIELDS, golden, ["flight_id", "scheduled_at"]))
    assert found[:20] == golden
    assert len({row[:2] for row in found}) == len(found)
    for plain, own in zip(probes(FIELDS, golden), found, strict=True):
        differing = [position for position, (one, other) in enumerate(zip(plain, own, strict=True)) if one != other]
        assert differing in ([], [0])


ASKED = [
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


def asked(rng: random.Random, number: int) -> Row:
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
        with recent as (select *, (t - interval 1 hour)::date as yesterday from features.main.asked)
        select r.k, {expression} as e
        from recent as r
        left join "features"."main"."things" as z on z.name = r.s
        left join features.main.days u on r.yesterday = u.day
        left join features.main.steps on steps.step = r.o
        left join features.main.pairs as p on p.name = r.s and p.step = r.o and p.flag = r.f"""


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_of_the_subset_equals_duckdb_on_thousands_of_rows(expression: str) -> None:
    rng = random.Random(expression)
    rows = [asked(rng, number) for number in range(800)]
    lookups = {name: parquet(table) for name, table in LOOKUPS.items()}
    kinds = [{"name": "e", "kind": kind_of(expression)}]
    function = compiled(query(expression), kinds, lookups)
    reference = FeatureSql(sql=query(expression), relation="asked", columns=COLUMNS, key=["k"], features=kinds, lookups=lookups)
    found, unsure = function(list(zip(*rows, strict=True)), len(rows))
    sure = [row for row, is_unsure in zip(rows, unsure, strict=True) if not is_unsure]
    expected = by_duckdb(reference, sure)  # raises where a row is sure and DuckDB refuses it
    wrong = found.only(~unsure).differing(expected)
    assert [(sure[n], found.only(~unsure).rows(kinds)[n], expected.rows(kinds)[n]) for n in wrong[:3]] == []
    assert len(sure) > 150


COLUMNS = {each.name: each.type for each in ASKED}


def compiled(sql: str, kinds: Sequence[dict[str, str]], lookups: dict[str, bytes]) -> CompiledFeatures:
    return compile_features(
        sql=sql,
        relation="asked",
        columns=COLUMNS,
        nullable=frozenset(each.name for each in ASKED if each.nullable),
        within={each.name: limits for each in ASKED if (limits := each.whole_limits)},
        features=kinds,
        lookups=lookups,
    )


def kind_of(expression: str) -> str:
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS features")
        kinds = "k varchar, a bigint, b bigint, x double, y double, s varchar, t timestamp, f boolean, m bigint, o bigint"
        connection.execute(f"create table features.main.asked ({kinds})")
        for name, table in LOOKUPS.items():
            connection.register("arriving", table.to_arrow())
            connection.execute(f"create table features.main.{name} as select * from arriving")
        return "category" if str(connection.sql(query(expression)).types[1]) == "VARCHAR" else "number"


@pytest.mark.parametrize(
    "sql",
    [
        "select k, sum(b) as e from features.main.asked group by k",
        "select k, b as e from features.main.asked where b > 0",
        "select k, b as e from features.main.asked order by b limit 1",
        "select distinct k, b as e from features.main.asked",
        "select k, row_number() over () as e from features.main.asked",
        "select k, upper(s) as e from features.main.asked",
        "select k, 1 + 1 as e from features.main.asked",
        "select k, b * 0.1 as e from features.main.asked",
        "select k, a::integer as e from features.main.asked",
        "select k, b // a as e from features.main.asked",
        "select k, t - interval 1 month as e from features.main.asked",
        "select k, z.v as e from features.main.asked as r join features.main.things as z on z.name = r.s",
        "select k, z.v as e from features.main.asked as r left join features.main.things as z on z.name = r.s and z.v > 0",
        "select k, z.v as e from features.main.asked as r left join features.main.things as z on z.w = r.f",
        "select k, z.v as e from features.main.asked as r left join features.main.things as z on z.v = r.x",
        "select k, z.v as e from features.main.asked as r left join features.main.things as z using (s)",
        "select k, y as e, y + 1 as E from features.main.asked",
        "select k, v as e from features.main.asked, features.main.things",
        "select k, b as e from features.main.asked union all select k, b from features.main.asked",
        "select k, (select max(v) from features.main.things) as e from features.main.asked",
        "select k, random() as e from features.main.asked",
        "select * exclude (b), b as e from features.main.asked",
        "selec",
    ],
)
def test_other_sql_is_not_compiled(sql: str) -> None:
    with pytest.raises(Unsupported):
        compiled(sql, E, {"things": parquet(TABLE)})


def golden(count: int) -> list[Row]:
    rng = random.Random(3)
    at = dt.datetime(2013, 1, 2)
    return [(f"{number}", rng.randint(0, 9), number, 1.5, 2.5, "N1", at, True, number, number) for number in range(count)]


E = [{"name": "e", "kind": "number"}]
S = {"name": "s", "kind": "category"}


def test_sql_outside_of_the_subset_is_left_to_duckdb_and_says_why() -> None:
    found = made("select k, upper(s) = 'N1' as e from features.main.asked", ASKED, E, {}, golden(3))
    assert (found.engine, found.compute(golden(2)).rows(E)) == ("duckdb", [(1.0,), (1.0,)])
    assert "upper" in (found.why_not or "")


def test_a_row_out_of_range_is_left_to_duckdb_alone() -> None:
    found = made("select k, a * b as e from features.main.asked", ASKED, E, {}, golden(3))
    large = ("big", 2**40, 2**40, 1.0, 1.0, "N1", dt.datetime(2013, 1, 1), True, 0, None)
    with pytest.raises(UncomputableRow):
        found.compute([large])
    assert (found.engine, found.given_up) == ("compiled", 1)
    assert found.compute(golden(2)).rows(E) == found.sql.compute(golden(2))


def test_rows_that_are_left_to_duckdb_come_back_in_their_places() -> None:
    found = made("select k, x / (b - 1) as e, s from features.main.asked", ASKED, [*E, S], {}, golden(5))
    rows = [*golden(5), ("again", 1, 1, -2.0, 2.5, "N2", dt.datetime(2013, 1, 2), True, 1, 1)]
    expected = [(-1.5, "N1"), (math.inf, "N1"), (1.5, "N1"), (0.75, "N1"), (0.5, "N1"), (-math.inf, "N2")]
    assert found.engine == "compiled"
    assert repr(found.compute(rows).rows([*E, S])) == repr(expected)
    assert found.given_up == 2


def test_a_day_before_the_year_one_is_left_to_duckdb() -> None:
    found = made("select k, year(t - interval 5 hour) as e from features.main.asked", ASKED, E, {}, golden(3))
    rows = [(*row[:6], dt.datetime(1, 1, 1, hour), *row[7:]) for row, hour in zip(golden(2), (1, 6), strict=True)]
    assert found.compute(rows).rows(E) == found.sql.compute(rows)
    assert (found.engine, found.given_up) == ("compiled", 1)


def test_a_compiled_function_that_differs_from_duckdb_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real = sql_columns.microseconds
    monkeypatch.setattr(sql_columns, "microseconds", lambda values: real(values) + 60_000_000)
    found = made("select k, minute(t) as e from features.main.asked", ASKED, E, {}, golden(3))
    assert found.engine == "duckdb"
    assert "other values" in (found.why_not or "")
    assert found.compute(golden(1)).rows(E) == [(0.0,)]


def test_names_of_the_sql_never_become_code() -> None:
    name = "x = __import__('os')"
    sql = f'select k, "{name}" as e from (select 1)'
    with pytest.raises(Unsupported):
        compiled(sql, E, {})
    hostile = f"""with c as (select k, '{json.dumps(name)[1:-1].replace("'", "''")}' as "{name}" from features.main.asked)
        select k, "{name}" as e from c"""
    category = [{"name": "e", "kind": "category"}]
    found = made(hostile, ASKED, category, {}, golden(1))
    assert (found.engine, found.compute(golden(1)).rows(category)) == ("compiled", [(name,)])
