"""A new version comes to two machines part by part, as docs/deploy.md says, while a run is under way and requests come in; and
tables of a later version."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.checkout import checkout
from tests.support.cluster import Cluster, cluster
from tests.support.command_line import delivery
from tests.support.load import Load
from tests.support.machine_pair import until
from tests.support.machines import Machine, golden

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
RUN_SECONDS = 900
NEWER_MODEL = {
    "ml_assets/builders/model.py": {"= _fitted(rows, product, progress)": "= _fitted(rows, progress=progress, product=product)"}
}
"""Another digest of the stage `model`, with the same outcome."""
LATER_TABLES = {"resources/ledger/database.py": {"SCHEMA = 1\n": "SCHEMA = 2\n"}}


@pytest.fixture
def machines(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory, tmp_path) as running:
        running.a.serve()
        running.b.serve()
        yield running


def code_of(machines: Cluster, day: str) -> str:
    """The digest of the code that made the current model of a day."""
    space = machines.a.space
    manifest = space.ledger.current("flights", "model", day)
    space.ledger.close()
    assert manifest is not None, day
    return manifest.recipe.code


def replace_server(machine: Machine, load: Load, name: str) -> None:
    """End the machine's server, and start it with the machine's code; `name` is how the load calls its address."""
    machine.open.close()
    machine.serve()
    setattr(load, name, machine.url)


def test_parts_are_replaced_one_by_one_while_a_run_ends_under_its_own_code_and_no_request_fails(
    machines: Cluster, tmp_path: Path
) -> None:
    a, b = machines.a, machines.b
    new = checkout(tmp_path / "new", NEWER_MODEL)
    a.up("daemon")
    b.up("worker")
    serving = a.release()
    known = golden(a, serving)
    machines.deliver(delivery("2013-01-04"), "2013-01-04")
    until(lambda: machines.made("raw", "2013-01-04"), RUN_SECONDS, "a run under way")

    load = Load(a.url, known["requests"], b.url)
    threads = load.run(threads=2)
    a.code = b.code = new
    replace_server(a, load, "base_url")
    replace_server(b, load, "other_url")
    a.up("worker")  # of the new code, next to the old one on B
    b.end_part("worker")  # it lets its run end
    until(lambda: machines.end("2013-01-04") == "current", RUN_SECONDS, "the end of the run, as the daemon sees it")
    b.up("worker")
    a.end_part("daemon")
    a.up("daemon")
    machines.deliver(delivery("2013-01-05"), "2013-01-05")
    until(lambda: machines.end("2013-01-05") == "current", RUN_SECONDS, "a run of the new code")
    machines.serve_what_is_recorded()
    load.stop.set()
    for thread in threads:
        thread.join()

    assert code_of(machines, "2013-01-04") == code_of(machines, "2013-01-03"), "under way before, it ended as it began"
    assert code_of(machines, "2013-01-05") != code_of(machines, "2013-01-04")
    assert not load.failures
    scores: dict[tuple[str, int], set[float]] = defaultdict(set)
    for row, release, score in load.answers:
        scores[release, row].add(score)
    assert {len(seen) for seen in scores.values()} == {1}, "each answer is of one release"
    assert all(seen == {known["scores"][row]} for (release, row), seen in scores.items() if release == serving)
    releases = {release for release, _ in scores}
    sys.stderr.write(f"{len(load.answers)} answers by {len(releases)} releases; asked of the other server: {dict(load.moved)}\n")
    for machine in (a, b):
        machine.done("verify")


def test_tables_of_a_later_version_are_refused_by_old_code_which_serves_on_and_earlier_ones_are_not(
    machines: Cluster, tmp_path: Path
) -> None:
    a, b = machines.a, machines.b
    serving = a.release()
    b.code = checkout(tmp_path / "later", LATER_TABLES)
    assert serving in b.done("status", "flights"), "later code reads and writes the tables of now"
    b.done("rollback", "flights", "--by", "ann", "--reason", "late rates look wrong")
    before = machines.serve_what_is_recorded()
    assert before != serving

    _set_version(machines, "2")
    b.done("rollback", "flights", "--to", serving, "--by", "ann", "--reason", "they were right")
    words = ("--by", "ann", "--reason", "no")
    for command in (("status", "flights"), ("up", "--only", "worker", "--health-port", "3999"), ("rollback", "flights", *words)):
        refused = a.ml_assets(*command)
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
        assert "has tables of version 2; this ml-assets writes version 1: update it" in refused.stderr
    assert a.release() in (before, serving), "a server that runs serves on"
    a.open.close()
    a.serve()
    assert a.release() in (before, serving), "and one that starts serves what the home has"
    a.code = b.code
    a.open.close()
    a.serve()
    until(lambda: {a.release(), b.release()} <= {before, serving}, 30)
    _set_version(machines, "1")
    machines.serve_what_is_recorded()
    assert machines.are_clean()


def _set_version(machines: Cluster, version: str) -> None:
    with psycopg.connect(f"host={machines.database.folder} user=postgres dbname=ledger", autocommit=True) as connection:
        connection.execute("UPDATE ledger_facts SET value = %s WHERE name = 'schema'", [version])
