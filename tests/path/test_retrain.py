"""A product is trained when its policy says so: once for one reason, again where the run broke, never while it is frozen."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.audit.lineage import lines
from ml_assets.cli.shared.references import resolve
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.audit.questions import Audit
from ml_assets.services.automation.outbox import record, recorded
from ml_assets.services.automation.policy import Trigger, due_training, last_tick, record_trigger, trains_with_data
from ml_assets.services.automation.product_notices import causes
from ml_assets.services.automation.satisfied_triggers import record_satisfied
from ml_assets.spec.product import Product, ProductError, load
from resources.ledger import triggers
from tests.support import trains
from tests.support.records import manifest

NOW = datetime.now(UTC)
MONDAYS = "retrain: {on: [schedule], cron: '0 6 * * 1', timezone: Europe/Berlin}"


def declared(folder: Path, retrain: str) -> Product:
    folder_ = trains.product_in(folder).folder
    (folder_ / "product.yaml").write_text(f"{trains.SPEC}{retrain}\n")
    return load(folder_)


def with_features(space: Workspace, *partitions: str) -> None:
    for partition in partitions:
        space.ledger.publish(manifest(partition, stage="features", partition=partition), run="r")


def trained(space: Workspace, partition: str) -> None:
    space.ledger.publish(manifest(partition, stage="model", partition=partition), run="r")


def wanted_training(
    space: Workspace, product: Product, instance: dg.DagsterInstance | None = None, now: datetime = NOW
) -> Trigger | str:
    return due_training(space.ledger, instance or dg.DagsterInstance.ephemeral(), product, now)


def launched(instance: dg.DagsterInstance, trigger: Trigger, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    tags = {**trigger.tags, "product": "trains", "dagster/partition": trigger.partition}
    return instance.add_run(dg.DagsterRun("trains_path", tags=tags, status=status))


def test_the_newest_partition_is_trained_once(product: Product, workspace: Workspace) -> None:
    assert "fewer than window.minimum" in str(wanted_training(workspace, product))
    with_features(workspace, "2013-01", "2013-02")
    trigger = wanted_training(workspace, product)
    assert isinstance(trigger, Trigger)
    assert (trigger.partition, trigger.kind, trigger.why) == ("2013-02", "new_partition", "2013-02 is new")
    instance = dg.DagsterInstance.ephemeral()
    launched(instance, trigger, dg.DagsterRunStatus.STARTED)
    assert "trains because 2013-02 is new" in str(wanted_training(workspace, product, instance))
    trained(workspace, "2013-02")
    assert wanted_training(workspace, product) == "retrain: asks for nothing new"


def test_a_training_whose_run_broke_is_tried_again_with_longer_waits_and_then_given_up(
    tmp_path: Path, workspace: Workspace
) -> None:
    product = declared(tmp_path, "retries: {most: 2, wait: 60}")
    with_features(workspace, "2013-01", "2013-02")
    instance, now = dg.DagsterInstance.ephemeral(), NOW
    for tries, wait in ((1, 60), (2, 120)):
        trigger = wanted_training(workspace, product, instance, now)
        assert isinstance(trigger, Trigger)
        assert trigger.tries == tries
        instance.report_run_failed(launched(instance, trigger, dg.DagsterRunStatus.STARTED))
        assert "is tried again at" in str(wanted_training(workspace, product, instance, datetime.now(UTC)))
        now = datetime.now(UTC) + timedelta(seconds=wait + 1)
    trigger = wanted_training(workspace, product, instance, now)
    assert isinstance(trigger, Trigger)
    instance.report_run_failed(launched(instance, trigger, dg.DagsterRunStatus.STARTED))
    assert "its run broke 3 times and is not tried again: `ml-assets run trains`" in str(
        wanted_training(workspace, product, instance, now + timedelta(days=1))
    )


def test_a_schedule_is_served_once_a_tick_in_its_own_time_zone(tmp_path: Path, workspace: Workspace) -> None:
    product = declared(tmp_path, MONDAYS)
    with_features(workspace, "2013-01", "2013-02")
    monday = datetime(2030, 7, 1, 4, 0, 30, tzinfo=UTC)  # six o'clock in Berlin, in summer
    trigger = wanted_training(workspace, product, now=monday)
    assert isinstance(trigger, Trigger)
    assert (trigger.kind, trigger.key) == ("schedule", "2030-07-01T04:00:00+00:00")
    before = wanted_training(workspace, product, now=monday - timedelta(minutes=1))
    assert isinstance(before, Trigger)
    assert before.key == "2030-06-24T04:00:00+00:00", "a tick that was missed is served later"
    run = launched(dg.DagsterInstance.ephemeral(), trigger, dg.DagsterRunStatus.STARTED)
    record_trigger(workspace.ledger, product, run, "2013-02")
    record_trigger(workspace.ledger, product, run, "2013-02")
    (entry,) = triggers.triggers(workspace.ledger, "trains")
    assert (entry.body.kind, entry.body.run) == ("schedule", run.run_id)
    assert wanted_training(workspace, product, now=datetime.now(UTC)) == "retrain: asks for nothing new"


def test_what_a_person_ran_is_a_training_like_any_other(tmp_path: Path, workspace: Workspace) -> None:
    product = declared(tmp_path, MONDAYS)
    with_features(workspace, "2013-01", "2013-02")
    trained(workspace, "2013-02")
    record_trigger(workspace.ledger, product, dg.DagsterRun("trains_path"), "2013-02")
    assert not triggers.triggers(workspace.ledger, "trains")
    assert wanted_training(workspace, product, now=datetime.now(UTC)) == "retrain: asks for nothing new"


def test_lineage_says_what_asked_for_a_training(product: Product, workspace: Workspace) -> None:
    with_features(workspace, "2013-01", "2013-02")
    trigger = wanted_training(workspace, product)
    assert isinstance(trigger, Trigger)
    record_trigger(workspace.ledger, product, dg.DagsterRun("trains_train", run_id="r", tags=trigger.tags), "2013-02")
    trained(workspace, "2013-02")
    subject = resolve(workspace, "trains/model:2013-02")
    message = lines(Audit(workspace.ledger, workspace.settings.cache, subject).lineage())
    assert any(line.endswith("  trained because 2013-02 is new") for line in message)


def test_a_training_cools_down_and_is_counted(tmp_path: Path, workspace: Workspace) -> None:
    product = declared(tmp_path, "retrain: {cool_down: 24, at_most: 1}")
    assert not trains_with_data(product), "a delivery alone does not train"
    with_features(workspace, "2013-01", "2013-02")
    trigger = wanted_training(workspace, product)
    assert isinstance(trigger, Trigger)
    run = launched(dg.DagsterInstance.ephemeral(), trigger, dg.DagsterRunStatus.STARTED)
    record_trigger(workspace.ledger, product, run, "2013-02")
    trained(workspace, "2013-02")
    with_features(workspace, "2013-03")
    later = datetime.now(UTC) + timedelta(hours=23)
    assert "it cools down until" in str(wanted_training(workspace, product, now=later))
    assert "it was trained 1 times in 30 days" in str(wanted_training(workspace, product, now=later + timedelta(hours=2)))
    assert isinstance(wanted_training(workspace, product, now=later + timedelta(days=31)), Trigger)


def test_a_training_waits_that_would_go_beyond_the_declared_compute(tmp_path: Path, workspace: Workspace) -> None:
    product = declared(tmp_path, "retrain: {cpu_seconds: 100}")
    assert not trains_with_data(product)
    with_features(workspace, "2013-01", "2013-02", "2013-03")
    assert isinstance(wanted_training(workspace, product), Trigger), "nothing was spent yet"
    model = manifest("2013-02", stage="model", partition="2013-02")
    workspace.ledger.publish(model, run="r", seconds={"wall": 90.0, "cpu": 60.0})
    reason = "its models took 60 CPU seconds in 30 days and the next takes about 60: that is over retrain.cpu_seconds (100)"
    assert wanted_training(workspace, product) == reason
    assert isinstance(wanted_training(workspace, product, now=NOW + timedelta(days=31)), Trigger)


def test_nothing_is_trained_while_a_product_is_frozen(
    product: Product, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(workspace.settings.home))
    monkeypatch.setenv("ML_ASSETS_PRODUCTS", str(product.folder.parent))
    with_features(workspace, "2013-01", "2013-02")

    def freeze(*options: str) -> Any:
        return CliRunner().invoke(cli, ["freeze", "trains", *options])

    day = f"{NOW + timedelta(days=2):%Y-%m-%d}"
    assert freeze().output == "trains: not frozen\n"
    until = freeze("--until", day, "--by", "ann", "--reason", "holidays")
    assert until.output == f"trains: frozen until {day}T00:00 UTC by ann: holidays; `ml-assets freeze trains --lift` ends it\n"
    assert "frozen until" in str(wanted_training(workspace, product))
    assert isinstance(wanted_training(workspace, product, now=NOW + timedelta(days=3)), Trigger), "it ends by itself"
    time.sleep(1)  # the ledger notes seconds
    assert freeze("--lift").output == "trains: not frozen\n"
    assert isinstance(wanted_training(workspace, product, now=datetime.now(UTC)), Trigger)
    past = freeze("--until", "2013-01-01")
    assert past.exit_code == 2
    assert "is past; name a later moment, in UTC" in past.output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("retrain: {on: [moon]}", "'new_partition', 'schedule', 'code', 'drift', 'loss' or 'outcomes'"),
        ("retrain: {on: [schedule]}", "`on: [schedule]` and `cron` go together"),
        ("retrain: {cron: '0 6 * * 1'}", "`on: [schedule]` and `cron` go together"),
        ("retrain: {on: [schedule], cron: daily}", "retrain.cron"),
        ("retrain: {on: [schedule], cron: '0 25 * * 1'}", "'0 25 * * 1' is not a cron expression"),
        ("retrain: {on: [schedule], cron: '0 6 5-1 * *'}", "'0 6 5-1 * *' is not a cron expression"),
        ("retrain: {on: [schedule], cron: '0 6 31 2,4 *'}", "'0 6 31 2,4 *' is not a cron expression"),
        ("retrain: {on: [schedule], cron: '0 6 * * moon'}", "'0 6 * * moon' is not a cron expression"),
        ("retrain: {on: [schedule], cron: '0 6 * * fri-mon'}", "'0 6 * * fri-mon' is not a cron expression"),
        ("retrain: {on: [schedule], cron: '0 6 * mon *'}", "'0 6 * mon *' is not a cron expression"),
        ("retrain: {on: [schedule], cron: '@sometimes'}", "'@sometimes' is not a cron expression"),
        ("retrain: {on: [schedule], cron: '0 6 * * 1', timezone: Europe}", "'Europe' is not a time zone"),
        ("retrain: {on: [schedule], cron: '0 6 * * 1', timezone: Berlin}", "'Berlin' is not a time zone"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_on_load(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ProductError) as refused:
        declared(tmp_path, line)
    assert message in str(refused.value)
    assert "product.yaml:" in str(refused.value)


def monitored(space: Workspace, partition: str, claim: str, *, passed: bool, **values: Any) -> None:
    """A monitored partition with what its check showed."""
    known = space.ledger.current("trains", "monitoring", partition)
    monitoring = known or manifest(f"m{partition}", stage="monitoring", partition=partition)
    space.ledger.publish(monitoring, run="r")
    details = {"identity": "i", "description": f"{claim} of {partition}", "severity": "WARN", "values": values}
    space.ledger.add_evidence(subject=monitoring.id, claim=claim, passed=passed, details=details, run="r")


def test_an_alarm_of_drift_trains_once_on_the_rows_that_sounded_it_and_a_watch_does_not(
    tmp_path: Path, workspace: Workspace
) -> None:
    product = declared(tmp_path, "retrain: {on: [drift]}")
    with_features(workspace, "2013-01", "2013-02", "2013-03")
    monitored(workspace, "2013-02", "columns_stable", passed=False, state="watch")
    assert wanted_training(workspace, product) == "retrain: asks for nothing new"
    monitored(workspace, "2013-03", "score_stable", passed=False, state="alarm")
    assert wanted_training(workspace, product) == (
        "score_stable of 2013-03; training waits for the first partition whose candidate is trained on 2013-03"
    )
    with_features(workspace, "2013-04")
    monitored(workspace, "2013-04", "columns_stable", passed=False, state="alarm")
    trigger = wanted_training(workspace, product)
    assert isinstance(trigger, Trigger)
    assert (trigger.partition, trigger.kind, trigger.key) == ("2013-04", "drift", "2013-03")
    assert trigger.why == "score_stable of 2013-03"
    record_trigger(
        workspace.ledger, product, launched(dg.DagsterInstance.ephemeral(), trigger, dg.DagsterRunStatus.STARTED), "2013-04"
    )
    assert "training waits for the first partition whose candidate is trained on 2013-04" in str(
        wanted_training(workspace, product)
    )
    with_features(workspace, "2013-05", "2013-06")
    lasting = wanted_training(workspace, product)
    assert isinstance(lasting, Trigger)
    assert (lasting.partition, lasting.key) == ("2013-06", "2013-04")


def test_a_realised_metric_that_dropped_in_k_of_n_partitions_trains(tmp_path: Path, workspace: Workspace) -> None:
    product = declared(tmp_path, "retrain: {on: [loss], loss: {fails: 2, of: 3}}")
    with_features(workspace, "2013-01", "2013-02", "2013-05")
    monitored(workspace, "2013-01", "realised_metric_holds", passed=False, drop=0.2)
    monitored(workspace, "2013-02", "realised_metric_holds", passed=True, drop=0.0)
    monitored(workspace, "2013-03", "realised_metric_holds", passed=False)  # no outcomes yet: neither for nor against
    assert wanted_training(workspace, product) == "retrain: asks for nothing new"
    monitored(workspace, "2013-04", "realised_metric_holds", passed=False, drop=0.1)
    trigger = wanted_training(workspace, product)
    assert isinstance(trigger, Trigger)
    assert (trigger.kind, trigger.key) == ("loss", "2013-04")
    assert "dropped in 2 of the last 3 partitions: realised_metric_holds of 2013-04" in trigger.why
    monitored(workspace, "2013-05", "realised_metric_holds", passed=True, drop=0.0)
    assert wanted_training(workspace, product) == trigger, "it is lost with no partition that holds again before it was answered"
    record_trigger(
        workspace.ledger, product, launched(dg.DagsterInstance.ephemeral(), trigger, dg.DagsterRunStatus.STARTED), "2013-05"
    )
    assert wanted_training(workspace, product) == "retrain: asks for nothing new"


def test_a_reason_that_a_release_satisfies_is_recorded_and_counts_as_no_training(tmp_path: Path, workspace: Workspace) -> None:
    product = declared(tmp_path, "retrain: {on: [schedule], cron: '* * * * *', at_most: 1, cool_down: 1}")
    with_features(workspace, "2013-01", "2013-02")
    trigger = wanted_training(workspace, product)
    assert isinstance(trigger, Trigger)
    words = record_satisfied(workspace.lineage, product, trigger, "release 2013-02.0123abcd")
    assert words.endswith("; satisfied by release 2013-02.0123abcd, which a training now would make again")
    (entry,) = triggers.triggers(workspace.ledger, "trains")
    assert (entry.body.run, entry.body.satisfied_by, entry.body.key) == ("", "release 2013-02.0123abcd", trigger.key)
    assert wanted_training(workspace, product, now=datetime.fromisoformat(entry.at)) == "retrain: asks for nothing new"
    later = wanted_training(workspace, product, now=datetime.fromisoformat(entry.at) + timedelta(minutes=2))
    assert isinstance(later, Trigger), "it neither cools down nor counts"


def test_a_policy_that_can_never_fail_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="4 of 3 partitions can never fail"):
        declared(tmp_path, "retrain: {on: [loss], loss: {fails: 4, of: 3}}")


def test_an_alarm_of_drift_is_told_once_while_it_lasts_and_then_that_it_is_over(product: Product, workspace: Workspace) -> None:
    def recorded_ends() -> list[tuple[str, str, bool]]:
        notices = causes(workspace.lineage, workspace.landing, workspace.settings, product)
        return [(notice.event, notice.partition, notice.is_over) for notice in record(workspace.ledger, product.name, notices)]

    monitored(workspace, "2013-02", "columns_stable", passed=False, state="watch")
    assert recorded_ends() == []
    monitored(workspace, "2013-03", "columns_stable", passed=False, state="alarm", lasting=["fare"])
    assert recorded_ends() == [("drift", "2013-03", False)]
    [notice] = [notice for notice in recorded(workspace.ledger) if notice.event == "drift"]
    assert notice.command == "ml-assets accept trains 2013-03 --reason …"
    assert "columns_stable of 2013-03; accept it if this is how it is from now on" in notice.why
    monitored(workspace, "2013-04", "columns_stable", passed=False, state="alarm", lasting=["fare"])
    assert recorded_ends() == []
    monitored(workspace, "2013-05", "columns_stable", passed=True, state="stable")
    assert recorded_ends() == [("drift", "2013-03", True)]


@pytest.mark.parametrize(
    ("cron", "tick"),
    [
        ("0 6 * * mon", "2030-07-01T04:00"),
        ("0 6 * * MON-FRI", "2030-07-03T04:00"),
        ("0 6 * * fri-sun", "2030-06-30T04:00"),
        ("0 6 * * 7", "2030-06-30T04:00"),
        ("0 6 * * mon#1", "2030-07-01T04:00"),
        ("0 6 1 jan *", "2030-01-01T05:00"),
        ("0 6 L * *", "2030-06-30T04:00"),
        ("*/15 8-18/2 * * 1,3,fri", "2030-07-03T12:45"),
        ("@weekly", "2030-06-29T22:00"),
        ("@daily", "2030-07-02T22:00"),
    ],
)
def test_a_schedule_may_have_names_and_short_forms(tmp_path: Path, cron: str, tick: str) -> None:
    product = declared(tmp_path, f"retrain: {{on: [schedule], cron: '{cron}', timezone: Europe/Berlin}}")
    assert f"{last_tick(product, datetime(2030, 7, 3, 13, 0, tzinfo=UTC)):%Y-%m-%dT%H:%M}" == tick


@pytest.mark.parametrize("change", [datetime(2030, 3, 31, tzinfo=UTC), datetime(2030, 10, 27, tzinfo=UTC)])
def test_a_schedule_in_the_hour_that_clocks_skip_or_repeat_comes_once_a_day(tmp_path: Path, change: datetime) -> None:
    product = declared(tmp_path, "retrain: {on: [schedule], cron: '30 2 * * *', timezone: Europe/Berlin}")
    moments = [change + timedelta(minutes=10 * number) for number in range(-2 * 144, 3 * 144)]
    ticks = [last_tick(product, moment) for moment in moments]
    assert ticks == sorted(ticks)
    assert len(set(ticks)) == 6, "one before the first moment, and one for each of the five days"
