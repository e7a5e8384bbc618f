"""SAFETY's promises with the ledger in PostgreSQL and snapshots in an object store: kills at every point, lost connections, fifty
promoters at once, and a store that is away."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from ml_assets.services.verify.home import verify
from resources.ledger.ledger import LedgerConflict
from resources.passing_faults import passing_fault
from tests.support.object_store import CUT, S3, object_store
from tests.support.postgres import new_database, postgres
from tests.support.records import broken, pointing, recipe, serves
from tests.support.remote_kills import BUCKET, points_survived, space_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
NUMBERS = count(1)
PROMOTERS = 50


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres(connections=2 * PROMOTERS) as folder:
        yield folder


@pytest.fixture(scope="module")
def served() -> Iterator[S3]:
    with object_store() as store:
        store.make_bucket(BUCKET)
        yield store


@pytest.fixture
def s3(served: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    from s3fs import S3FileSystem

    for name, value in served.environ.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    yield served
    served.fault = None
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def database(server: str) -> str:
    return new_database(server, f"safety{next(NUMBERS)}").replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def space(database: str, s3: S3, tmp_path: Path) -> Iterator[Workspace]:
    own_space = space_of(tmp_path / f"home{next(NUMBERS)}", database)
    yield own_space
    own_space.ledger.close()


def stored(space: Workspace, name: str) -> str:
    """A release in the store, which then serves."""
    release = space.lineage.make(
        recipe("release", code=name), lambda: Output({"model.cbm": name.encode()}, {"release": name}), run="r"
    ).manifest
    serves(space, release)
    return release.snapshot


@pytest.mark.parametrize("act", ["make", "promote", "roll_back"])
def test_a_kill_at_any_point_leaves_the_old_state_or_the_new_one(s3: S3, server: str, tmp_path: Path, act: str) -> None:
    assert points_survived(act, tmp_path / act.replace("_", "-"), server=server) > 5


def test_of_fifty_promoters_at_once_one_wins(space: Workspace) -> None:
    first = stored(space, "first")
    children = [_promoter(space, f"{number:02}", expected=first) for number in range(PROMOTERS)]
    codes = Counter(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes == {0: 1, 3: PROMOTERS - 1}
    moves = space.ledger.moves("trains", "production")
    assert len(moves) == 2
    assert broken(space.ledger) == []


def _promoter(space: Workspace, name: str, *, expected: str) -> int:
    """A process that moves the endpoint from what is expected to serve; it ends with 3 where another was faster."""
    child = os.fork()
    if child:
        return child
    code = 4
    try:
        own = space_of(space.settings.home, space.settings.ledger)
        own.ledger.move_pointer("promotion", pointing(name), expected=expected)
        code = 0
    except LedgerConflict:
        code = 3
    finally:
        os._exit(code)


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_connection_that_is_lost_around_a_commit_loses_no_acknowledged_entry(space: Workspace, is_committed: bool) -> None:
    """Lost before the commit, the entry is not there and a step is told that the fault passes; lost after it, the entry is."""
    stored(space, "first")
    before = len(space.ledger.entries())
    lost: list[int] = []

    def lose(connection: object) -> None:
        if lost:
            return
        raw = connection.connection.driver_connection  # type: ignore[attr-defined]
        lost.append(raw.info.backend_pid)
        if is_committed:
            raw.commit()
        other = space_of(space.settings.home, space.settings.ledger).ledger
        with other.engine.connect() as ending:
            ending.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": lost[0]})
        other.close()

    event.listen(Engine, "commit", lose)
    try:
        fault = _fault(lambda: space.ledger.append("refusal", {"reasons": ["once"]}))
    finally:
        event.remove(Engine, "commit", lose)
    assert bool(fault) is not is_committed
    assert _again(space) == before + is_committed
    assert broken(space.ledger) == []


def _again(space: Workspace) -> int:
    """The number of entries, by a connection that works: the first use of one that was lost says so."""
    _fault(space.ledger.entries)
    return len(space.ledger.entries())


def _fault(act: Callable[[], object]) -> str:
    """The fault that passes, by which a step is tried again; empty where there was none."""
    try:
        act()
    except DBAPIError as error:
        return passing_fault(error)
    return ""


def test_with_the_object_store_away_the_release_before_serves_again(space: Workspace, s3: S3) -> None:
    first = stored(space, "first")
    stored(space, "second")
    s3.fault = lambda method, path: CUT
    s3.requests.clear()
    space.endpoints.rollback("trains", to=None, by="ann", reason="late rates look wrong")
    serving = space.ledger.pointer("trains", "production")
    assert serving is not None
    assert serving.body.bundle == first
    assert space.snapshots.read(first, "model.cbm") == b"first", "this machine has a verified copy"
    assert s3.requests == []
    s3.fault = None
    assert [one for one in verify(space.settings).discrepancies if not one.is_note] == []
