"""outcomes: the features of a partition with the outcomes that have come for it, held to their contract."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ml_assets.core.contract.engine import TableAudit, audit, read_delivery
from ml_assets.core.contract.schema import polars_schema
from ml_assets.core.digests import digest_json, sha256
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.handles import File, Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.model.features import numeric_label
from ml_assets.core.model.split import FOLDS
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.product import Product

DELIVERED = "delivered/"
"""Members that are the delivered files, each under its own name."""
LABELS, KNOWN_AT = "labels.parquet", "known_at"
UNKNOWN_KEY = "unknown_key"
"""The reason by which an outcome is refused that belongs to no question of the partition."""


@dataclass(frozen=True)
class Arrived:
    """`features` of the partition, and the `files` of outcomes that were delivered for it, by name."""

    features: Handle
    files: Mapping[str, File]


@dataclass(frozen=True)
class Came:
    """The outcomes that are `known`, by key; the rows of the delivered `files` that were refused, with their reason."""

    known: pl.DataFrame
    refused: pl.DataFrame | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def build(inputs: Arrived, product: Product, partition: str) -> Output:
    """The features with their outcomes, the outcomes alone with when they were known, and what was refused of them, row by row.

    Raises DeliveryError and ContractBreached for deliveries that cannot be used. Nothing in it depends on the clock: where
    `labels.absent` is `negative`, questions without an outcome have a no, which counts once the partition has matured.
    """
    rows, requests = inputs.features.frame("features.parquet"), inputs.features.read("requests.parquet")
    labels = product.labels
    if labels is None or not labels.delivered:
        known = _known(rows, product)
        folds = {FOLDS: inputs.features.read(FOLDS)} if FOLDS in inputs.features.members else {}
        return _output(rows, Came(known, files=folds), requests, product)
    arrived, refused = _held_to_contract(inputs.files, rows, product, labels, partition)
    key, label = list(product.features.key), product.features.label
    labelled = rows.drop(label).join(arrived.select(*key, label), on=key, how="left", maintain_order="left")
    if labels.absent == "negative":
        labelled = labelled.with_columns(pl.col(label).fill_null(0))
    files = {f"{DELIVERED}{name}": file.content for name, file in inputs.files.items()}
    return _output(labelled.select(rows.columns), Came(arrived, refused, files), requests, product)


def _known(rows: pl.DataFrame, product: Product) -> pl.DataFrame:
    """Outcomes that came with the partition's own tables: nobody says when each of them did."""
    label = product.features.label
    known = rows.filter(pl.col(label).is_not_null()).select(*product.features.key, label)
    return known.with_columns(pl.lit(None, pl.Datetime("us")).alias(KNOWN_AT))


def _held_to_contract(
    files: Mapping[str, File], rows: pl.DataFrame, product: Product, labels: LabelsSpec, partition: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The outcomes of all files together that keep the contract, and the refused rows with their reason."""
    name, key = labels.outcomes_table, list(product.features.key)
    spec, types = labels.delivered[name], polars_schema(product.contract.TABLES[name])
    columns = [*key, product.features.label]
    if not files:
        none = numeric_label(pl.DataFrame(schema={column: types[column] for column in columns}), product)
        return none.with_columns(pl.lit(None, pl.Datetime("us")).alias(KNOWN_AT)), pl.DataFrame()
    frames = [read_delivery(file.content, table=spec, name=file_name, may_be_empty=True) for file_name, file in files.items()]
    whole = _each_once(pl.concat(frames, how="diagonal_relaxed"), columns, spec.time)
    audit_result = audit({name: whole}, product=_as_reference(product, labels), partition_window=None)
    # a header without rows: nothing is known yet, or every answer is a no
    if not (whole.is_empty() and name in audit_result.tables):
        audit_result.raise_if_breached(product=product.name, partition=partition)
    table = audit_result.tables[name]
    known_at = pl.col(spec.time).cast(pl.Datetime("us")) if spec.time else pl.lit(None, pl.Datetime("us"))
    valid = numeric_label(table.valid, product).with_columns(known_at.alias(KNOWN_AT))
    questions = rows.select(key)
    strays = valid.join(questions, on=key, how="anti").select(columns).with_columns(pl.lit(UNKNOWN_KEY).alias("reason"))
    arrived = valid.join(questions, on=key, how="semi").select(*columns, KNOWN_AT).sort(key)
    broken = table.refused.drop("row").cast(dict.fromkeys(table.refused.drop("row").columns, pl.String))
    refused = pl.concat([broken, strays.cast(dict.fromkeys(strays.columns, pl.String))], how="diagonal")
    return arrived.filter(pl.col(product.features.label).is_not_null()), refused


def _each_once(rows: pl.DataFrame, columns: list[str], time: str) -> pl.DataFrame:
    """The rows without those that say of a question what another one says: of these the one that was known first counts, as far
    as the texts of times are in their order."""
    if not set(columns) <= set(rows.columns):  # the contract says what is missing
        return rows
    ordered = rows.sort(time, nulls_last=True, maintain_order=True) if time in rows.columns else rows
    return ordered.unique(columns, keep="first", maintain_order=True)


def audited(rows: pl.DataFrame, product: Product, labels: LabelsSpec) -> tuple[TableAudit | None, str]:
    """The rows of a table of outcomes that keep the contract and those that do not; or what is wrong with its columns."""
    audit_result = audit({labels.outcomes_table: rows}, product=_as_reference(product, labels), partition_window=None)
    table = audit_result.tables.get(labels.outcomes_table)
    return table, "" if table is not None else "; ".join(breach.message for breach in audit_result.breaches)


def _as_reference(product: Product, labels: LabelsSpec) -> Product:
    """The product with the table of outcomes among those that the contract's engine knows."""
    delivery = product.delivery
    reference = {**delivery.reference, **labels.delivered}
    bare = labels.model_copy(update={"delivered": {}})
    return product.model_copy(update={"delivery": delivery.model_copy(update={"reference": reference}), "labels": bare})


def _output(labelled: pl.DataFrame, arrived: Came, requests: bytes, product: Product) -> Output:
    """The output. Its data version is the canonical content: another file with the same outcomes makes no model stale."""
    content = parquet_bytes(labelled)
    members = {"features.parquet": content, "requests.parquet": requests, LABELS: parquet_bytes(arrived.known), **arrived.files}
    reasons: dict[str, int] = {}
    if arrived.refused is not None and arrived.refused.height:
        members["refused.parquet"] = parquet_bytes(arrived.refused)
        counts = arrived.refused.group_by("reason").len().sort("reason")
        reasons = dict(zip(counts["reason"].to_list(), counts["len"].to_list(), strict=True))
    facts = {
        "rows": labelled.height,
        "lookups": [],
        "labelled": int(labelled[product.features.label].is_not_null().sum()),
        "known": arrived.known.height,
        "refused": reasons,
        "delay_days": _delay(labelled, arrived.known, product),
    }
    members["outcomes.json"] = json.dumps(facts, indent=1, sort_keys=True).encode()
    return Output(members, facts, data_version=digest_json([sha256(content), sha256(requests)]))


def _delay(labelled: pl.DataFrame, arrived: pl.DataFrame, product: Product) -> float | None:
    """The median number of days from a question to its outcome; None where nobody says when outcomes were known."""
    time, key = product.features.time, list(product.features.key)
    if not time or arrived[KNOWN_AT].null_count() == arrived.height:
        return None
    both = arrived.join(labelled.select(product.features.identity), on=key, how="inner")
    days = (both[KNOWN_AT] - both[time].cast(pl.Datetime("us"))).dt.total_seconds() / 86_400
    median = days.median()
    return None if median is None else float(median)  # type: ignore[arg-type]
