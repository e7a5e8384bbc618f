"""The policy of automatic training: what `retrain:` asks for, compared with what the ledger and Dagster recorded.

Asked again and again; a reason that was missed is still there at the next tick, and one that was served is not asked for again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import labelled_together
from ml_assets.core.lineage.records import EvidenceRecord
from ml_assets.core.lineage.stages import train_keys
from ml_assets.core.lineage.triggers import TriggerKind, TriggerRecord
from ml_assets.core.outcomes.maturity import immature, is_matured
from ml_assets.services.folds import no_fold
from ml_assets.services.outcomes.promises import HOLDS
from ml_assets.services.planning.untrained_candidates import is_as_refused, outcomes_awaited, tested_features, untrained
from ml_assets.spec.product import Product
from resources.ledger import attempts as recorded
from resources.ledger import tables as schema
from resources.ledger import triggers
from resources.ledger.ledger import Ledger
from resources.ledger.partition_reads import partitions_with

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

KIND_TAG, KEY_TAG, WHY_TAG = "ml-assets/trigger", "ml-assets/trigger-key", "ml-assets/trigger-why"
WATCHED: tuple[tuple[tuple[str, ...], TriggerKind], ...] = (
    (("columns_stable", "score_stable"), "drift"),
    (("realised_metric_holds",), "loss"),
)
"""Claims of monitoring that may ask for a training, by the word of `retrain.on`; of a product with `labels` the loss is that of
what served (`HOLDS`)."""
COUNTED_DAYS = 30
"""`retrain.at_most` and `.cpu_seconds` count the trainings of the last days, this many."""
EXPECTED_BUILDS = 5
"""Newest builds whose CPU seconds say what the next one takes."""
MOST_ALARMS = 100
"""Newest partitions with a failed claim that are looked at for one that no training has answered."""


@dataclass(frozen=True)
class Trigger:
    """A reason to train the candidate as of a partition; `tries` counts its runs, this one included."""

    partition: str
    kind: TriggerKind
    key: str
    why: str
    tries: int = 1

    @property
    def tags(self) -> dict[str, str]:
        """As a run bears it."""
        return {KIND_TAG: self.kind, KEY_TAG: self.key, WHY_TAG: self.why}


def new_partition(partition: str) -> Trigger:
    """The newest partition has no candidate yet."""
    return Trigger(partition, "new_partition", partition, f"{partition} is new")


def trains_with_data(product: Product) -> bool:
    """Whether each new delivery is trained on at once, in the run that reads it."""
    spec = product.retrain
    return "new_partition" in spec.on and not spec.cool_down and spec.at_most is None and spec.cpu_seconds is None


def due_training(ledger: Ledger, instance: "DagsterInstance", product: Product, now: datetime) -> Trigger | str:
    """The training that is due at a moment (UTC), or why there is none."""
    if why := triggers.frozen(ledger, product.name, now):
        return why
    there, calendar = ledger.partitions(product.name, "features"), partitions_of(product)
    if there and not (known := _with_outcomes(ledger, product, there, now)):
        label = product.features.label
        if waits := immature(product, there[0], now):
            return f"training waits: {waits}"
        return f"no {label} is known yet: training waits for a delivery of {there[-1]} or before that brings them"
    partition = known if there else ""
    if partition and (why := no_fold(ledger, product, partition)):
        return why
    if not partition or calendar.as_of(partition, product.window) is None:
        return f"there are fewer than window.minimum ({product.window.minimum}) partitions to train on before a test window"
    if on_its_way := recorded.newest(ledger, product.name, is_open=True):
        return f"{', '.join(sorted(on_its_way))}: the data are on their way"
    newest = recorded.newest(ledger, product.name, [partition]).get(partition)
    if newest and newest.record.end != "current":
        return f"{partition}: the data are not current: {newest.record.end} ({newest.record.reason})"
    waits = "retrain: asks for nothing new"
    for trigger in _asked_for(ledger, product, partition, now):
        if isinstance(trigger, Trigger):
            return _held_back(ledger, product, now) or tried(instance, product, trigger, now)
        waits = trigger
    return waits


def record_trigger(ledger: Ledger, product: Product, run: "DagsterRun", partition: str) -> None:
    """Record what asked for the training that a run begins, once; nothing where a person ran it."""
    if KIND_TAG in run.tags and triggers.trigger_of(ledger, run.run_id) is None:
        about: Any = {"product": product.name, "partition": partition, "kind": run.tags[KIND_TAG], "run": run.run_id}
        ledger.append("trigger", TriggerRecord(**about, key=run.tags[KEY_TAG], why=run.tags[WHY_TAG]))


def _with_outcomes(ledger: Ledger, product: Product, there: Sequence[str], now: datetime) -> str:
    """The newest of these partitions whose outcomes are complete, with known ones in its test window; "" where there is none."""
    complete = (key for key in reversed(there) if is_matured(product, key, now))
    return next((key for key in complete if _is_known(ledger, product, key)), "")


def _is_known(ledger: Ledger, product: Product, partition: str) -> bool:
    """Whether outcomes of the partition's test window are known: read from their own table, where they have one."""
    tested = tested_features(ledger, product, partition)
    return not outcomes_awaited(product, tested) and (bool(tested) or labelled_together(product))


def _untrained(ledger: Ledger, product: Product, partition: str) -> Iterator[Trigger]:
    """The candidate as of the partition, where there is none; of one that could not be trained, once something has changed."""
    if ledger.current(product.name, "model", partition) is not None:
        return
    with ledger.engine.connect() as connection:
        refused = untrained(connection, product).get(partition)
    if refused is None:
        yield new_partition(partition)
    elif not is_as_refused(ledger, product, refused, partition):
        why = f"what kept {partition} from being trained on has changed ({refused.reason})"
        yield Trigger(partition, "new_partition", f"{partition} after entry {refused.entry}", why)


def _asked_for(ledger: Ledger, product: Product, partition: str, now: datetime) -> Iterator[Trigger | str]:
    """The trigger of the candidate as of the partition, most urgent first; of an alarm that has to wait, why it does."""
    if "new_partition" in product.retrain.on:
        yield from _untrained(ledger, product, partition)
    if "schedule" in product.retrain.on and (tick := last_tick(product, now)) > _last_answered(ledger, product):
        why = f"retrain.cron {product.retrain.cron!r} says so for {tick:%Y-%m-%d %H:%M} UTC"
        yield Trigger(partition, "schedule", tick.isoformat(), why)
    if "outcomes" in product.retrain.on and ledger.current(product.name, "model", partition) is None:
        yield Trigger(partition, "outcomes", partition, f"the outcomes of {partition} are complete")
    for claims, kind in WATCHED:
        if kind in product.retrain.on:
            yield from _alarmed(ledger, product, partition, kind, claims)


def _alarmed(
    ledger: Ledger, product: Product, partition: str, kind: TriggerKind, claims: Sequence[str]
) -> Iterator[Trigger | str]:
    """The newest alarm that no training has answered and that the candidate as of the partition can answer, as its training
    window holds the partition that sounded it; before there is one, what the newest alarm waits for."""
    trained, waits = train_keys(product, partition), ""
    stage, claims = ("realised", (HOLDS,)) if kind == "loss" and product.labels else ("monitoring", claims)
    for key in _failed(ledger, product, stage, claims, after=_last_trained_for(ledger, product, kind)):
        if not (why := _sounded(ledger, product, kind, stage=stage, claims=claims, key=key)):
            continue
        if key <= max(trained, default=""):
            yield Trigger(partition, kind, key, why)
            return
        waits = waits or f"{why}; training waits for the first partition whose candidate is trained on {key}"
    if waits:
        yield waits


def _failed(ledger: Ledger, product: Product, stage: str, claims: Sequence[str], *, after: str) -> Sequence[str]:
    """The partitions of a stage that watches, after one, with a failed look at one of the claims, newest first."""
    published, evidence = schema.publications.c, schema.evidence.c
    query = (
        select(published.partition)
        .join(schema.evidence, evidence.subject == published.manifest)
        .where(published.product == product.name, published.stage == stage, published.partition > after)
        .where(evidence.claim.in_(claims), evidence.passed == 0)
        .distinct()
        .order_by(published.partition.desc())
        .limit(MOST_ALARMS)
    )
    with ledger.engine.connect() as connection:
        return connection.scalars(query).all()


def _sounded(ledger: Ledger, product: Product, kind: TriggerKind, *, stage: str, claims: Sequence[str], key: str) -> str:
    """Why the watch over a partition asked for a training; empty where it did not."""
    if kind == "drift":
        return "; ".join(filter(None, (alarm(ledger, product, key, claim) for claim in claims)))
    spec, judged = product.retrain.loss, []
    for earlier in partitions_with(ledger, product.name, stage, claims[0]):
        evidence = evidence_of(ledger, product, earlier, claims[0], stage=stage) if earlier <= key else None
        if evidence is not None and "drop" in evidence.details.values and not evidence.details.values.get("is_provisional"):
            judged.append((earlier, evidence))
        if len(judged) == spec.of:
            break
    dropped = [evidence for _, evidence in judged if not evidence.passed]
    if not judged or judged[0][0] != key or judged[0][1].passed or len(dropped) < spec.fails:
        return ""
    return f"the realised metric dropped in {len(dropped)} of the last {len(judged)} partitions: {dropped[0].details.description}"


def alarm(ledger: Ledger, product: Product, partition: str, claim: str) -> str:
    """The message of an alarm of a monitored partition; empty if there is none."""
    evidence = evidence_of(ledger, product, partition, claim)
    return evidence.details.description if evidence is not None and evidence.details.values.get("state") == "alarm" else ""


def evidence_of(
    ledger: Ledger, product: Product, partition: str, claim: str, *, stage: str = "monitoring"
) -> EvidenceRecord | None:
    """The newest evidence for a claim about the partition's current monitoring, or about what served it."""
    current = ledger.current(product.name, stage, partition)
    entry = ledger.evidence(current.id).get(claim) if current else None
    return entry.body if entry else None


def _last_trained_for(ledger: Ledger, product: Product, kind: TriggerKind) -> str:
    """The newest partition whose alarm was answered by a training: one that lasts asks again only with the next partition."""
    return max((entry.body.key for entry in triggers.triggers(ledger, product.name) if entry.body.kind == kind), default="")


def last_tick(product: Product, now: datetime) -> datetime:
    """The last moment (UTC) up to `now` that `retrain.cron` names."""
    from dagster._utils.schedules import reverse_cron_string_iterator

    zone = product.retrain.timezone
    previous: datetime = next(reverse_cron_string_iterator(now.timestamp(), str(product.retrain.cron), zone))
    return previous.astimezone(UTC)


def _last_trained(ledger: Ledger, product: Product) -> datetime:
    """The start of the last training, whatever asked for it."""
    columns = schema.manifests.c
    newest = select(func.max(columns.seq)).where(columns.product == product.name, columns.stage == "model")
    times = [entry.at for entry in ledger.entries(schema.entries.c.seq == newest.scalar_subquery())]
    times += [entry.at for entry in triggers.triggers(ledger, product.name) if entry.body.run][-1:]
    return max(map(datetime.fromisoformat, times), default=datetime.min.replace(tzinfo=UTC))


def _last_answered(ledger: Ledger, product: Product) -> datetime:
    """When a reason to train was answered last: by a training, or by a release that was there already."""
    times = [datetime.fromisoformat(entry.at) for entry in triggers.triggers(ledger, product.name)[-1:]]
    return max([*times, _last_trained(ledger, product)])


def _held_back(ledger: Ledger, product: Product, now: datetime) -> str:
    spec = product.retrain
    if (until := _last_trained(ledger, product) + timedelta(hours=spec.cool_down)) > now and spec.cool_down:
        return f"it cools down until {until:%Y-%m-%d %H:%M} UTC (retrain.cool_down: {spec.cool_down:g} h)"
    since = (now - timedelta(days=COUNTED_DAYS)).isoformat()
    count = sum(entry.at >= since for entry in triggers.triggers(ledger, product.name) if entry.body.run)
    if spec.at_most is not None and count >= spec.at_most:
        return f"it was trained {count} times in {COUNTED_DAYS} days (retrain.at_most: {spec.at_most})"
    if spec.cpu_seconds is not None:
        spent = ledger.build_seconds(product.name, "model", since=since)
        expected = median(ledger.build_seconds(product.name, "model", newest=EXPECTED_BUILDS) or [0.0])
        if sum(spent) + expected > spec.cpu_seconds:
            return (
                f"its models took {sum(spent):.0f} CPU seconds in {COUNTED_DAYS} days and the next takes about {expected:.0f}: "
                f"that is over retrain.cpu_seconds ({spec.cpu_seconds:g})"
            )
    return ""


def tried(
    instance: "DagsterInstance", product: Product, trigger: Trigger, now: datetime, *, since: datetime | None = None
) -> Trigger | str:
    """The trigger, unless its run goes on, has succeeded, or is to be tried later; a run that broke is tried again as `retries`
    says. Runs before `since` do not count."""
    from dagster import RunsFilter

    tags = {"product": product.name, KIND_TAG: trigger.kind, KEY_TAG: trigger.key}
    runs = instance.get_run_records(RunsFilter(tags=tags, created_after=since))
    if not runs:
        return trigger
    newest = runs[0]
    if not newest.dagster_run.is_finished or newest.dagster_run.is_success:
        return f"run {newest.dagster_run.run_id[:8]} trains because {trigger.why}"
    tries = len(runs)
    if tries > product.retries.most:
        return f"{trigger.why}; its run broke {tries} times and is not tried again: `ml-assets run {product.name}`"
    due = (newest.end_time or newest.update_timestamp.timestamp()) + product.retries.wait * 2 ** (tries - 1)
    if now.timestamp() < due:
        return f"{trigger.why}; its run broke and is tried again at {datetime.fromtimestamp(due, UTC):%H:%M:%S} UTC"
    return Trigger(trigger.partition, trigger.kind, trigger.key, trigger.why, tries + 1)
