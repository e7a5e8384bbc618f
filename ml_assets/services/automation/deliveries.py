"""Which deliveries have to be run: what lies in the landing folder, compared with the attempts that the ledger holds.

It is asked again and again, and depends on nothing that was asked before: a tick that is missed, or a run that is killed at any
point, loses nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from ml_assets.core.lineage.attempts import Attempt, Delivery, NextAttempt, next_step
from ml_assets.services.automation.attempts import (
    NUMBER_TAG,
    Landed,
    code_digest,
    content_digest,
    lost,
    reference_digest,
    reference_read,
)
from ml_assets.services.automation.run_outcomes import outcome_of
from ml_assets.spec.product import Product
from resources.ledger import attempts as recorded
from resources.lineage import Lineage

if TYPE_CHECKING:
    import os

    from dagster import DagsterInstance, DagsterRun


MOST_NAMED = 1000
"""Partitions that a query names; of more it asks for all."""


@dataclass(frozen=True)
class Due:
    """Deliveries to be launched now, oldest partition first, and what is waited for, in words."""

    launched: list[tuple[Delivery, NextAttempt]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)


def due(lineage: Lineage, landed: Landed, instance: "DagsterInstance", *, most: int) -> Due:
    """At most `most` deliveries that are new, changed, or whose run broke, and that no run is about to read. Raises NotDelivered
    where a reference table is missing and none was ever read."""
    launches, product = Due(), landed.product
    busy = _busy(instance, product)
    for delivery, newest in _deliveries(lineage, landed, launches.waits):
        step = _step(lineage, instance, product, delivery, newest)
        if step.waits:
            launches.waits.append(step.waits)
        if not step.is_due or delivery.partition in busy:
            continue
        if newest and newest.record.end == "broken" and not delivery.is_of(newest.record):
            lineage.ledger.append("attempt", msgspec.structs.replace(newest.record, end="superseded"))
        launches.launched.append((delivery, step))
        if len(launches.launched) == most:
            break
    return launches


def _deliveries(lineage: Lineage, landed: Landed, waits: list[str]) -> Iterator[tuple[Delivery, Attempt | None]]:
    """Every delivered partition that is still and not known to be current, in order, with its newest attempt. One that was read
    before attempts were recorded is not among them."""
    product, changed = landed.product, dict[str, dict[str, str]]()
    tables, keys = landed.listing.tables.items(), landed.listing.complete
    if keys and not reference_read(lineage, product):
        landed.landing.reference_files(product)
    current, newest_key = recorded.current_contents(lineage.ledger, product.name), max(keys, default="")
    still_since = time.time() - product.landing.settle
    digest_of = landed.digests.of
    for key in keys:
        digests = {table: digest_of((entry := files[key]).path, entry.stat()) for table, files in tables}
        if current.get(key) == content_digest(digests) and key != newest_key:
            continue
        if moving := [files[key].path for _, files in tables if _changed(files[key].stat()) > still_since]:
            waits.append(
                f"{key} is left alone until {moving[0]} has been still for {product.landing.settle:g} s (landing.settle)"
            )
        else:
            changed[key] = digests
    named = [*changed] if len(changed) <= MOST_NAMED else []
    attempts = recorded.newest(lineage.ledger, product.name, named) if changed else {}
    unread = [key for key in changed if key not in attempts]
    few = unread if len(unread) <= MOST_NAMED else []
    read = recorded.read_deliveries(lineage.ledger, product.name, few) if unread else {}
    code, is_reference_new = code_digest(product), _is_reference_new(lineage, landed)
    for key, digests in changed.items():
        counts = key == newest_key and (key in attempts or is_reference_new)
        if key in attempts or read.get(key) != digests or counts:
            yield (
                Delivery(key, content_digest(digests), reference_digest(lineage, landed) if counts else "", code),
                attempts.get(key),
            )


def _changed(stat: "os.stat_result") -> float:
    """The time of the last change of a file; one in the future comes from a wrong clock, and not from a writer."""
    last = max(stat.st_mtime, stat.st_ctime)
    return last if last <= time.time() else 0.0


def _is_reference_new(lineage: Lineage, landed: Landed) -> bool:
    """Whether the reference tables are not those that were read last; false before any was."""
    read = reference_read(lineage, landed.product)
    return bool(read) and content_digest(read) != reference_digest(lineage, landed)


def _step(
    lineage: Lineage, instance: "DagsterInstance", product: Product, delivery: Delivery, newest: Attempt | None
) -> NextAttempt:
    retries, now = product.retries, datetime.now(UTC)
    step = next_step(newest, delivery, most=retries.most, wait=retries.wait, now=now)
    while step.is_due and (run := _ended_before_reading(instance, product, delivery, step)):
        end = lost(product, delivery, number=step.number, tries=step.tries, run=run.run_id, outcome=outcome_of(instance, run))
        entry = lineage.ledger.append("attempt", end)
        step = next_step(Attempt(entry.at, end), delivery, most=retries.most, wait=retries.wait, now=now)
    return step


def _busy(instance: "DagsterInstance", product: Product) -> set[str]:
    """Partitions of the product that a run is about to read, or reads."""
    from dagster import RunsFilter
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

    filters = RunsFilter(tags={"product": product.name}, statuses=NOT_FINISHED_STATUSES)
    return {run.tags.get("dagster/partition", "") for run in instance.get_runs(filters=filters)}


def _ended_before_reading(
    instance: "DagsterInstance", product: Product, delivery: Delivery, step: NextAttempt
) -> "DagsterRun | None":
    """The run that was launched for this very attempt and ended without recording one."""
    from dagster import RunsFilter

    tags = {"product": product.name, "dagster/partition": delivery.partition, NUMBER_TAG: str(step.number)}
    runs = instance.get_runs(filters=RunsFilter(tags=tags), limit=1)
    return runs[0] if runs and runs[0].is_finished else None
