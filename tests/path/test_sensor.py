"""A delivery launches the path for its partition: once per content, by the sensor alone and by the real daemon."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import msgspec
import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.digests import sha256
from ml_assets.core.lineage.attempts import AttemptRecord, End
from ml_assets.core.lineage.manifests import Input, Output
from ml_assets.core.lineage.source import Source
from ml_assets.first_party import CodeChanged
from ml_assets.services.automation.attempts import Landed, begin
from ml_assets.spec.product import Product, load
from resources.dagster_instance import open_instance
from resources.dagster_resources import resources_of
from resources.ledger import attempts
from sensors import new_data, stale
from tests.support import command_line, trains
from tests.support.command_line import Days
from tests.support.deployment import daemon
from tests.support.records import manifest
from tests.support.shared import link_parsed_projects

A, B = b"trip\n1\n", b"trip\n3\n"
DAY = "2013-01-01"
LAUNCHED = dg.DagsterRunStatus.STARTING


@dataclass
class Ticks:
    """The trains' sensor, tick after tick. What it requests is queued as the daemon does; `read` and `end` are a run's doing."""

    product: Product
    workspace: Workspace
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)
    keys: list[str] = field(default_factory=list)

    def deliver(self, partition: str, content: bytes) -> None:
        self.workspace.landing.put(self.product, "trips", partition, content)

    def refer(self, content: bytes) -> None:
        self.workspace.landing.put(self.product, "stops", "", content)

    def declare(self, folder: Path, old: str, new: str) -> None:
        """Go on with something else in the product's declaration."""
        folder_ = trains.product_in(folder).folder
        (folder_ / "product.yaml").write_text(trains.SPEC.replace(old, new))
        self.product = load(folder_)

    def tick(self) -> list[str]:
        """The partitions that this tick launches."""
        return [request.partition_key or "" for request in self._tick()[0]]

    def skipped(self) -> str:
        """Why this tick launches nothing."""
        requests, reason = self._tick()
        assert not requests
        return reason

    def read(self, partition: str) -> dg.DagsterRun:
        """The queued run of the partition begins to read."""
        run = self.queued(partition)
        landed = Landed(self.workspace.landing, self.product, self.workspace.settings.cache)
        begin(self.workspace.lineage, landed, partition, run=run.run_id, tags=run.tags)
        return run

    def end(self, partition: str, end: End) -> None:
        """The run of the partition ends so."""
        run = self.read(partition)
        attempt = attempts.newest(self.workspace.ledger, self.product.name, [partition])[partition]
        self.workspace.ledger.append("attempt", msgspec.structs.replace(attempt.record, end=end))
        self.instance.delete_run(run.run_id)

    def run(self) -> list[str]:
        """The partitions that one tick launches and whose runs succeed."""
        launched = self.tick()
        for partition in launched:
            self.end(partition, "current")
        return launched

    def queued(self, partition: str) -> dg.DagsterRun:
        (run,) = (run for run in self.instance.get_runs() if run.tags["dagster/partition"] == partition and not run.is_finished)
        return run

    def newest(self, partition: str) -> AttemptRecord:
        return attempts.newest(self.workspace.ledger, self.product.name, [partition])[partition].record

    def _tick(self) -> tuple[list[dg.RunRequest], str]:
        with dg.build_sensor_context(instance=self.instance, resources=resources_of(self.workspace.settings)) as context:
            result = new_data.build(self.product)(context)
        if isinstance(result, dg.SkipReason):
            return [], result.skip_message or ""
        assert isinstance(result, dg.SensorResult)
        requests = [request for request in result.run_requests or [] if isinstance(request, dg.RunRequest)]
        self.keys += [request.run_key or "" for request in requests]
        assert len(set(self.keys)) == len(self.keys), "Dagster drops a run key that it has seen before"
        for request in requests:
            tags = {**request.tags, "product": self.product.name, "dagster/partition": request.partition_key or ""}
            self.instance.add_run(dg.DagsterRun("trains_path", run_id=request.run_key, tags=tags, status=LAUNCHED))
        return requests, ""


@pytest.fixture
def ticks(product: Product, workspace: Workspace) -> Ticks:
    trains = Ticks(product, workspace)
    trains.refer(b"stops")
    return trains


def test_new_content_launches_its_partition_once(ticks: Ticks) -> None:
    assert ticks.skipped() == "no delivered partition is new or changed"
    ticks.deliver("2013-02", A)
    ticks.deliver("2013-01", A)
    assert ticks.tick() == ["2013-01", "2013-02"]
    assert ticks.keys[0].startswith("2013-01:")
    assert ticks.skipped(), "their runs are queued"
    for partition in ("2013-01", "2013-02"):
        ticks.read(partition)
        assert ticks.skipped(), "it runs"
        ticks.end(partition, "current")
    assert ticks.skipped()


def test_the_same_bytes_again_launch_nothing(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    ticks.run()
    ticks.deliver("2013-01", A)
    assert ticks.skipped()


def test_content_that_comes_back_launches_again(ticks: Ticks) -> None:
    launched = []
    for content in (A, B, A):
        ticks.deliver("2013-01", content)
        launched += ticks.run()
    assert launched == ["2013-01"] * 3


def test_a_delivery_whose_run_is_killed_before_it_reads_is_launched_again(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    ticks.tick()
    ticks.instance.report_run_failed(ticks.queued("2013-01"), "the machine lost power")
    assert "2013-01 broke and is tried again at" in ticks.skipped()
    end = ticks.newest("2013-01")
    assert (end.end, end.outcome, end.reason) == ("broken", "broken", "the machine lost power")


def test_a_delivery_whose_run_is_killed_while_it_reads_is_launched_again_and_then_given_up(ticks: Ticks, tmp_path: Path) -> None:
    ticks.declare(tmp_path, "landing:", "retries: {most: 2, wait: 0}\nlanding:")
    ticks.deliver("2013-01", A)
    for tries in (1, 2, 3):
        assert ticks.tick() == ["2013-01"]
        ticks.instance.report_run_failed(ticks.read("2013-01"), "killed")
        assert ticks.newest("2013-01").tries == tries
    assert ticks.skipped() == "no delivered partition is new or changed"
    assert (ticks.newest("2013-01").end, ticks.newest("2013-01").reason) == ("gave up", "killed")
    ticks.deliver("2013-01", B)
    assert ticks.tick() == ["2013-01"], "other content reopens it"


def test_what_was_refused_is_launched_again_by_other_content_and_by_other_code_alone(ticks: Ticks, tmp_path: Path) -> None:
    ticks.deliver("2013-01", A)
    ticks.tick()
    ticks.end("2013-01", "refused")
    assert ticks.skipped()
    ticks.deliver("2013-01", B)
    assert ticks.tick() == ["2013-01"]
    ticks.end("2013-01", "refused")
    ticks.declare(tmp_path, '[NA, ""]', '["-"]')
    assert ticks.tick() == ["2013-01"]


def test_what_broke_ends_as_superseded_where_other_content_is_delivered(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    ticks.tick()
    ticks.end("2013-01", "broken")
    ticks.deliver("2013-01", B)
    assert ticks.tick() == ["2013-01"]
    assert ticks.newest("2013-01").end == "superseded"


def test_a_run_that_a_person_ended_is_not_launched_again(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    ticks.tick()
    ticks.instance.report_run_canceled(ticks.read("2013-01"))
    assert ticks.skipped() == "no delivered partition is new or changed"
    assert (ticks.newest("2013-01").end, ticks.newest("2013-01").outcome) == ("gave up", "canceled")


def test_an_attempt_whose_run_dagster_lost_is_launched_again(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    ticks.tick()
    ticks.instance.delete_run(ticks.read("2013-01").run_id)
    assert "is tried again" in ticks.skipped()
    assert "Dagster knows nothing of its run" in ticks.newest("2013-01").reason


def test_a_file_that_still_grows_is_left_alone(ticks: Ticks, tmp_path: Path) -> None:
    ticks.declare(tmp_path, "settle: 0", "settle: 30")
    ticks.deliver("2013-01", A)
    path = ticks.workspace.landing.file(ticks.product, "trips", "2013-01")
    assert ticks.skipped() == f"2013-01 is left alone until {path} has been still for 30 s (landing.settle)"


def test_a_changed_reference_table_launches_the_newest_partition(ticks: Ticks) -> None:
    for key in ("2013-01", "2013-02"):
        ticks.deliver(key, A)
    ticks.run()
    ticks.refer(b"other stops")
    assert ticks.run() == ["2013-02"]
    assert ticks.skipped()


def test_a_partition_whose_reference_is_missing_waits_for_it_and_says_so(product: Product, workspace: Workspace) -> None:
    trains = Ticks(product, workspace)
    trains.deliver("2013-01", A)
    assert "stops.parquet" in trains.skipped()
    trains.refer(b"stops")
    assert trains.tick() == ["2013-01"]


def test_a_machine_without_the_reference_tables_goes_on_with_those_that_were_read(ticks: Ticks) -> None:
    read = Input("landing/trains/stops", "", sha256(b"stops"))
    ticks.workspace.ledger.publish(manifest(stage="reference", partition="", inputs=[read]), run="r")
    ticks.deliver("2013-01", A)
    ticks.run()
    ticks.workspace.landing.file(ticks.product, "stops").unlink()
    assert ticks.skipped() == "no delivered partition is new or changed"
    ticks.deliver("2013-02", A)
    assert ticks.run() == ["2013-02"]
    assert ticks.newest("2013-02").reference == ticks.newest("2013-01").reference
    assert ticks.skipped()


def test_files_that_are_not_delivered_yet_are_left_alone(ticks: Ticks) -> None:
    path = ticks.workspace.landing.file(ticks.product, "trips", "2013-01")
    path.parent.mkdir(parents=True)
    (path.parent / ".2013-01.csv").write_bytes(A)
    (path.parent / "2013-01.csv.part").write_bytes(A)
    assert ticks.skipped() == "no delivered partition is new or changed"
    (path.parent / ".2013-01.csv").rename(path)
    assert ticks.tick() == ["2013-01"]


def test_a_partition_waits_until_every_table_is_there(tmp_path: Path) -> None:
    days = command_line.days_in(tmp_path)
    flights = Ticks(days.flights, days.open())
    for table, content in command_line.reference().items():
        flights.workspace.landing.put(flights.product, table, "", content)
    tables = command_line.delivery(DAY)
    flights.workspace.landing.put(flights.product, "flights", DAY, tables["flights"])
    assert flights.skipped()
    flights.workspace.landing.put(flights.product, "weather", DAY, tables["weather"])
    assert flights.tick() == [DAY]


def test_a_file_named_for_no_partition_is_told_about(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    for name in ("2013-1", "2012-12", "january"):
        (ticks.workspace.landing.file(ticks.product, "trips", "2013-01").parent / f"{name}.csv").write_bytes(A)
    assert ticks.tick() == ["2013-01"]
    message = ticks.skipped()
    assert "not read: trips/2012-12.csv (before partitions.start, 2013-01), trips/2013-1.csv (named for no month" in message
    assert message.endswith("trips/january.csv (named for no month: one is named like 2013-01)")


def test_a_quiet_tick_reads_no_file(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    path = ticks.workspace.landing.file(ticks.product, "trips", "2013-01")
    time.sleep(1.1)  # a file that changed a moment ago is read each time
    ticks.run()
    assert not ticks.tick()
    index = ticks.workspace.settings.cache / "landing-trains.json"
    assert str(path) in index.read_text()
    path.chmod(0)
    assert ticks.skipped(), "only the time of its inode changed"


def test_what_was_read_before_attempts_were_recorded_is_not_launched(ticks: Ticks) -> None:
    ticks.deliver("2013-01", A)
    lineage, product = ticks.workspace.lineage, ticks.product
    read = Input("landing/trains/trips", "2013-01", sha256(A))
    lineage.make(lineage.recipe(product, "raw", "2013-01", [read]), lambda: Output({"trips.parquet": b""}), run="by hand")
    assert ticks.skipped()
    ticks.deliver("2013-01", B)
    assert ticks.tick() == ["2013-01"]


def test_many_new_partitions_are_launched_in_order_over_several_ticks(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_data, "MOST_RUNS", 2)
    for month in (3, 1, 2):
        ticks.deliver(f"2013-{month:02}", A)
    assert ticks.tick() == ["2013-01", "2013-02"]
    assert ticks.tick() == ["2013-03"]


def stale_tick(product: Product, workspace: Workspace, commit: str = "a" * 40) -> dg.RunRequest | dg.SkipReason:
    """What the sensor of stale paths answers in a code location that was loaded from a commit."""
    return stale_ticks(product, workspace, "", commit)[0]


def stale_ticks(
    product: Product, workspace: Workspace, cursor: str, commit: str = "a" * 40, *, ran: Sequence[dg.DagsterRun] = ()
) -> tuple[dg.RunRequest | dg.SkipReason, str]:
    """The answer where these runs are known, and the cursor that the tick leaves after that of the tick before it."""
    source: Source = {"code": {"commit": commit, "is_dirty": False}}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(workspace.settings), cursor=cursor) as context,
    ):
        for run in ran:
            instance.add_run(run)
        answer = stale.build(product, source)(context)
        assert isinstance(answer, dg.RunRequest | dg.SkipReason)
        return answer, context.cursor or ""


def test_what_other_declarations_made_stale_launches_the_newest_partition_once_per_commit(ticks: Ticks, tmp_path: Path) -> None:
    product, space = trains.product_in(tmp_path), ticks.workspace
    assert "nothing is delivered" in str(stale_tick(product, space))
    for key in ("2013-01", "2013-02"):
        ticks.deliver(key, A)
        read = Input("landing/trains/trips", key, sha256(A))
        space.lineage.make(space.lineage.recipe(product, "raw", key, [read]), lambda: Output({"trips.parquet": b""}), run="r")
    assert "2013-02: nothing to do" in str(stale_tick(product, space))
    (product.folder / "product.yaml").write_text(trains.SPEC.replace('[NA, ""]', '["-"]'))
    with pytest.raises(CodeChanged, match="reload the code location"):
        stale_tick(product, space)
    first, again, other = (stale_tick(load(product.folder), space, commit * 40) for commit in "aab")
    assert isinstance(first, dg.RunRequest)
    assert isinstance(other, dg.RunRequest)
    assert first.partition_key == "2013-02"
    assert first == again, "Dagster drops a run key that it has seen before"
    assert first.run_key != other.run_key
    assert first.tags["ml-assets/source"] == "aaaaaaaaaa"
    assert "stale snapshots are rebuilt" in first.tags["ml-assets/stale"]
    assert first.tags["ml-assets/stale"].endswith('null_values ["NA", ""] -> ["-"]')


def test_what_was_not_stale_is_looked_at_again_only_when_declarations_change_or_are_taken_back(
    ticks: Ticks, tmp_path: Path
) -> None:
    product, space = trains.product_in(tmp_path), ticks.workspace
    ticks.deliver("2013-01", A)
    read = Input("landing/trains/trips", "2013-01", sha256(A))
    space.lineage.make(space.lineage.recipe(product, "raw", "2013-01", [read]), lambda: Output({"trips.parquet": b""}), run="r")
    calm, cursor = stale_ticks(product, space, "")
    assert "2013-01: nothing to do" in str(calm)
    assert len(cursor) == 64
    again, cursor = stale_ticks(product, space, cursor)
    assert "as when nothing was stale last" in str(again)
    other, cursor = stale_ticks(product, space, cursor, "b" * 40)
    assert "2013-01: nothing to do" in str(other), "another commit is looked at, although it changes nothing"
    (product.folder / "product.yaml").write_text(trains.SPEC.replace('[NA, ""]', '["-"]'))
    changed, cursor = stale_ticks(load(product.folder), space, cursor)
    assert isinstance(changed, dg.RunRequest)
    assert cursor == stale.STALE, "what runs under the change is looked at when it is taken back"

    tags = {**changed.tags, "product": product.name}
    going, broken = (
        dg.DagsterRun("trains_path", run_id=str(uuid.uuid4()), tags=tags, status=status)
        for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE)
    )
    waits, _ = stale_ticks(load(product.folder), space, cursor, ran=[going])
    assert "trains because" in str(waits)
    waits, _ = stale_ticks(load(product.folder), space, cursor, ran=[broken])
    assert "its run broke and is tried again at" in str(waits)
    declared = load(product.folder)
    at_once = declared.model_copy(update={"retries": declared.retries.model_copy(update={"wait": 0})})
    again, _ = stale_ticks(at_once, space, cursor, ran=[broken])
    assert isinstance(again, dg.RunRequest), again
    assert (again.tags, again.run_key != changed.run_key) == (changed.tags, True), "Dagster drops a run key that it has seen"


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    """Flights by day under the real daemon, which loads the project as `ml-assets dev` does."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    folder_days = command_line.days_in(tmp_path)
    link_parsed_projects(folder_days.home)
    with open_instance(folder_days.open().settings):
        environ = {**folder_days.environ, "DAGSTER_HOME": str(folder_days.home / "dagster")}
        with daemon(environ, tmp_path / "daemon.log"):
            yield folder_days


def _until(condition: Callable[[], bool], *, within: float, what: str, log: Path) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {within:g} s; {log.read_text()[-3000:]}"
        time.sleep(0.5)


def test_the_daemon_runs_the_path_of_a_delivery(days: Days, tmp_path: Path) -> None:
    assert_the_daemon_runs_the_path(days, tmp_path / "daemon.log")


@pytest.mark.long
def test_the_daemon_runs_no_delivery_twice_over_several_ticks(days: Days, tmp_path: Path) -> None:
    log, space = tmp_path / "daemon.log", days.open()
    assert_the_daemon_runs_the_path(days, log)
    with open_instance(space.settings) as instance:
        before = len(_ticks(instance))
        days.deliver(DAY)
        _until(lambda: len(_ticks(instance)) >= before + 2, within=60, what="two more ticks", log=log)
        assert len(instance.get_runs()) == 1
        events = instance.fetch_materializations(dg.AssetKey(["flights", "raw"]), limit=10).records
        assert len(events) == 1


def assert_the_daemon_runs_the_path(days: Days, log: Path) -> None:
    space = days.open()
    days.deliver(DAY)
    with open_instance(space.settings) as instance:
        _until(lambda: len(instance.get_runs()) == 1, within=90, what="the launch", log=log)
        _until(lambda: instance.get_runs()[0].is_finished, within=120, what="the end of the run", log=log)
        run = instance.get_runs()[0]
        assert (run.status, run.tags["dagster/partition"]) == (dg.DagsterRunStatus.SUCCESS, DAY)
        raw = space.ledger.current("flights", "raw", DAY)
        assert raw is not None
        assert raw.facts["rows"]["flights"] > 100
    space.ledger.close()


def _ticks(instance: dg.DagsterInstance) -> list[object]:
    states = [state for state in instance.all_instigator_state() if state.name == "flights_new_data"]
    return [t for s in states for t in instance.get_ticks(s.instigator_origin_id, s.selector_id)]
