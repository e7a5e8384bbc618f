"""Servers of two machines that share a ledger on PostgreSQL, and a folder or an object store: what is decided on one serves on
both, swaps fail no request, and a ledger that is away is survived."""

import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ml_assets.services.replicas.shared_logs import served_log
from ml_assets.serving.client import http_client as client
from ml_assets.serving.log.reader import read
from tests.support.command_line import delivery
from tests.support.homes.small_home import small_home
from tests.support.load import Load
from tests.support.machine_pair import SECONDS, Pair, busy, until
from tests.support.machines import Machine, golden, predicted, two_machines
from tests.support.object_store import object_store
from tests.support.postgres import Postgres, postgres_server
from tests.support.serving_store import post

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
SWAPS = 12
WHY = ("--by", "ann", "--reason", "late rates look wrong")


@pytest.fixture
def database() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def pair(
    request: pytest.FixtureRequest, database: Postgres, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    days = small_home(tmp_path_factory, tmp_path / "a")
    with ExitStack() as stack:
        store = stack.enter_context(object_store()) if getattr(request, "param", "folder") == "s3" else None
        a, b = stack.enter_context(two_machines(days, tmp_path, database, store))
        a.serve()
        b.serve()
        yield Pair(a, b)


def silent_or_wrong(machine: Machine) -> list[dict[str, Any]]:
    status = json.loads(machine.done("status", "flights", "--json"))
    return [row for row in status["replicas"] if row["is_silent"] or row["release"] != status["answers"]["production"]]


def test_what_is_decided_on_one_machine_serves_on_both_that_mount_a_folder(pair: Pair) -> None:
    a, b = pair.a, pair.b
    second = a.release()
    first = pair.both_serve("rollback on A", lambda: a.done("rollback", "flights", *WHY))
    pair.deliver(delivery("2013-01-04"), "2013-01-04")
    third = pair.both_serve("promotion by a run on B", lambda: b.done("run", "flights", "--partition", "2013-01-04"))
    assert third not in (first, second)
    recalled_to = pair.both_serve("recall on B", lambda: b.done("recall", "flights", third, *WHY, "--apply"))

    # predictions of both are seen from either
    for machine in (a, b):
        assert predicted(machine, golden(machine, recalled_to)) == recalled_to
    b.open.close()  # a server ships what it logged when it stops, and every half a minute
    a.open.close()
    for machine in (a, b):
        space = machine.space
        log = read(served_log(space.settings, space.lineage, "flights"))
        assert log.height == 2 * len(golden(a, recalled_to)["requests"])
        space.ledger.close()
    assert pair.are_clean()


@pytest.mark.parametrize("pair", ["s3"], indirect=True)
def test_swaps_under_load_on_both_machines_fail_no_request_and_mix_no_releases(pair: Pair) -> None:
    a, b = pair.a, pair.b
    space = a.space
    names = [move.body.release for move in space.ledger.moves("flights", "production")]
    scores = {name: golden(a, name) for name in names}
    rows = scores[names[0]]["requests"]
    for name in names:  # each release on the rows of the first one
        if a.release() != name:
            a.done("rollback", "flights", "--to", name, *WHY)
            pair.serve_what_is_recorded()
        scores[name] = [one["probability"] for one in client.predict(a.url, rows)["predictions"]]
    loads = [Load(machine.url, rows) for machine in (a, b)]
    with loads[0].asked(scores, threads=2), loads[1].asked(scores, threads=2):
        for name in itertools.islice(itertools.cycle(names), SWAPS):
            space.endpoints.rollback("flights", to=name, by="ann", reason="swapped under load")
            pair.serve_what_is_recorded()
            time.sleep(0.3)
    space.ledger.close()
    for load in loads:
        answered = Counter(release for _, release, _ in load.answers)
        sys.stderr.write(f"{answered.total()} answers in {SWAPS} swaps: {dict(answered)}\n")
        assert min(answered[name] for name in names) > 20
    assert pair.are_clean()


def test_a_killed_server_is_named_a_killed_ledger_is_survived_and_the_glass_can_be_broken(pair: Pair, database: Postgres) -> None:
    a, b = pair.a, pair.b
    second = a.release()
    space = a.space
    first = next(move.body.release for move in space.ledger.moves("flights", "production"))
    space.ledger.close()

    # the database is killed: both serve on and say so, and B goes back by hand
    database.kill()
    until(lambda: all(client.ready(machine.url).get("ledger", {}).get("away_since") for machine in (a, b)), 15)
    for machine in (a, b):
        assert machine.release() == second
        assert "ml_assets_ledger_away" in client.metrics(machine.url)
    with pytest.raises(client.EndpointRefused, match="break_glass"):
        client.rollback(a.url, reason="no")
    by_hand = json.dumps({"break_glass": True, "reason": "late rates look wrong"}).encode()
    status, went_back = post(b.url, by_hand, path="/rollback")
    assert (status, went_back["release"]) == (200, first)
    assert a.release() == second

    # it comes back: what was done by hand holds everywhere
    database.start()
    back = time.monotonic()
    until(lambda: {a.release(), b.release()} == {first}, 15)
    sys.stderr.write(f"{time.monotonic() - back:6.1f} s  from the ledger's return until both serve the break-glass release\n")
    move = pair.move()
    assert (move.kind, "break-glass" in move.body.reason) == ("rollback", True)
    until(lambda: len(json.loads(a.done("status", "flights", "--json"))["replicas"]) == 2, 20)
    assert silent_or_wrong(a) == []

    # a server is killed: it is named, and the other one serves what is decided
    b.kill_server()
    a.done("rollback", "flights", "--to", second, *WHY)
    until(lambda: a.release() == second, SECONDS * busy())
    until(lambda: [row["is_silent"] for row in silent_or_wrong(a)] == [True], 40)
    b.serve()
    assert b.release() == second
