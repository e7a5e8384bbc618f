"""The draft on disk: written aside, loaded, tried on its own history by the code that will run it, then renamed into place."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ml_assets.core.contract.engine import audit, polars_schema, read_delivery
from ml_assets.core.draft.contract_text import contract_text
from ml_assets.core.draft.dbt_text import dbt_files, plain
from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.drafting import drafted, planned
from ml_assets.core.draft.first_release import decided_plan
from ml_assets.core.draft.gates import Plan
from ml_assets.core.draft.product_text import product_text
from ml_assets.core.draft.profile_page import page
from ml_assets.core.draft.request import DraftRefused, DraftRequest
from ml_assets.core.duckdb_session import connect
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.model.features import numeric_label
from ml_assets.core.model.split import parts
from ml_assets.services.new_product.origin import with_origin
from ml_assets.services.new_product.sources import DraftSource
from ml_assets.services.new_product.stored_history import StoredHistory, deliveries, request_of
from ml_assets.services.runnable_products import problems
from ml_assets.spec.product import Product, ProductError, load
from ml_assets.spec.product_files import CONTRACT_FILE, SPEC_FILE
from resources.store.blobs import write_atomically

FIRST_PORT = 8810
Say = Callable[[str], None]


@dataclass(frozen=True)
class WrittenProduct:
    """A product that was drafted and written."""

    draft: Draft
    plan: Plan
    folder: Path
    history: StoredHistory
    files: tuple[str, ...]
    product: Product


def new_product(
    source: DraftSource,
    request: DraftRequest,
    *,
    root: Path,
    home: Path,
    taken_ports: Iterable[int],
    time_format: str | None,
    say: Say,
) -> WrittenProduct:
    """Draft, try and write a product into `root/<name>`, all or nothing; its history goes below `home`. Raises DraftRefused."""
    folder, history = root / request.name, StoredHistory.of(home, request.name)
    refuse_existing(folder, history)
    draft = drafted(source.frame, source.spec, request, table=source.table, time_format=time_format)
    size = f"{draft.frame.height:,} rows, {len(draft.columns)} columns"
    by = "of the whole table" if draft.history.is_static else f"by {draft.history.every}"
    say(f"{size}; {len(draft.history.keys)} deliveries {by}")
    port = free_port(taken_ports)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as scratch:
        staged = Path(scratch) / request.name
        product = _loaded(write_product(staged, draft, planned(draft), port=port))
        draft = replace(draft, quarantined=_most_refused(draft, product))
        draft = with_origin(draft, source.query)
        requests, _ = _features(draft, product)
        plan = decided_plan(
            draft,
            loaded=lambda plan: _loaded(write_product(staged, draft, plan, port=port)),
            features=lambda product: _features(draft, product)[1],
            say=say,
        )
        _refuse_unless_whole(_loaded(write_product(staged, draft, plan, port=port)))
        files = tuple(sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()))
        try:
            history.write(draft)
            write_atomically(history.request, request_of(requests))
            write_atomically(history.profile, page(draft, plan).encode())
            _publish(staged, folder)
        except BaseException:
            shutil.rmtree(history.folder, ignore_errors=True)  # it was not there before; else the next try would be refused
            raise
    return WrittenProduct(draft, plan, folder, history, files, load(folder))


def refuse_existing(folder: Path, history: StoredHistory) -> None:
    """Refuse a product whose folder or history is there: nothing is ever written over."""
    for place in (folder, history.folder):
        if place.exists():
            raise DraftRefused(f"{place} is there already, and nothing is written over; choose another name, or move it away")


def free_port(taken: Iterable[int]) -> int:
    """A port that no product declares and nobody listens on now."""
    used = set(taken)
    for port in range(FIRST_PORT, 65536):
        if port not in used and not _is_bound(port):
            return port
    raise DraftRefused(f"no port from {FIRST_PORT} on is free")


def _is_bound(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def write_product(folder: Path, draft: Draft, plan: Plan, *, port: int) -> Path:
    """Write the files of the product into its folder."""
    texts = {SPEC_FILE: product_text(draft, plan, port=port), CONTRACT_FILE: contract_text(draft)}
    texts |= {f"dbt/{name}": text for name, text in dbt_files(draft).items()}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _loaded(folder: Path) -> Product:
    try:
        return load(folder)
    except ProductError as error:
        raise DraftRefused(f"the draft cannot be loaded, which is a fault of `ml-assets new`: {error}") from error


def _refuse_unless_whole(product: Product) -> None:
    if wrong := problems(product):
        raise DraftRefused(f"the draft cannot run, which is a fault of `ml-assets new`: {wrong[0]}")


def _most_refused(draft: Draft, product: Product) -> float:
    """The largest share of rows that the drafted contract refuses of a delivery, by the code that will judge deliveries."""
    calendar, most = partitions_of(product), 0.0
    for key, content in deliveries(draft):
        raw = read_delivery(content, table=draft.spec, name=f"{draft.table} {key}")
        audited = audit({draft.table: raw}, product=product, partition_window=calendar.window(key))
        if (table := audited.tables.get(draft.table)) is None:
            wrong = "; ".join(str(breach) for breach in audited.breaches)
            raise DraftRefused(f"the draft refuses its own history, which is a fault of `ml-assets new`: {key}: {wrong}")
        most = max(most, table.refused.height / raw.height)
    return most


def _features(draft: Draft, product: Product) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The requests, and the features with label and `partition`, of the whole history, by the drafted SQL on DuckDB."""
    texts = dbt_files(draft)
    with connect() as connection:
        connection.register(draft.table, _typed(draft, product).to_arrow())
        frames: dict[str, pl.DataFrame] = {}
        for part in ("requests", "labels", "features"):
            frames[part] = connection.sql(plain(texts[f"{draft.relation(part)}.sql"])).pl()
            connection.register(draft.relation(part), frames[part].to_arrow())
    key, time, label = draft.roles.key.field, draft.roles.time, draft.roles.label.field
    labels = numeric_label(frames["labels"].select(key, label), product)
    joined = frames["features"].join(labels, on=key, how="left", maintain_order="left")
    if time is None:
        fold = parts(joined, product).map_elements(lambda number: f"{number:04d}", return_dtype=pl.String)
        return frames["requests"].sort(key), joined.with_columns(fold.alias("partition")).sort(key)
    codes = dict(zip(time.values.to_list(), draft.history.codes.to_list(), strict=True))
    partition = pl.col(time.field).replace_strict(codes, return_dtype=pl.String).alias("partition")
    return frames["requests"].sort(time.field, key), joined.with_columns(partition).sort(key)


def _typed(draft: Draft, product: Product) -> pl.DataFrame:
    """The rows of the history that the contract would publish, near enough for a trial: those with a time and a key."""
    schema: Mapping[str, pl.DataType] = polars_schema(product.contract.TABLES[draft.table])
    frame = pl.DataFrame([column.values.alias(name) for name, column in draft.columns.items()]).cast(dict(schema))  # type: ignore[arg-type]
    return frame.filter(draft.history.codes.is_not_null())


def _publish(staged: Path, folder: Path) -> None:
    """Rename the finished folder into place; who was first keeps it."""
    if folder.exists():
        raise DraftRefused(f"{folder} appeared while this draft was made; choose another name")
    staged.rename(folder)
