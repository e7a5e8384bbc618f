"""What people have to be told is recorded, sent, and noted as sent: once for one cause, and its end when it is over."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.notices import Notice
from ml_assets.services.automation import outbox
from ml_assets.services.automation.product_notices import Causes
from ml_assets.spec.product import Product, load
from resources.notify.channels import channels
from tests.support import trains
from tests.support.records import ATTEMPT, release, serves
from tests.support.sinks import Hook, http_sink

BROKEN = "[error] trains 2013-01: the run broke 4 times and is not tried again"


@pytest.fixture
def hook() -> Hook:
    return Hook()


@pytest.fixture
def address(hook: Hook) -> Iterator[str]:
    with http_sink(hook) as address:
        yield address


def current_notices(space: Workspace, product: Product, now: datetime | None = None) -> list[Notice]:
    return Causes(space.lineage, space.landing, space.settings, product, now or datetime.now(UTC)).notices()


def moves(space: Workspace, product: Product, now: datetime | None = None) -> list[Notice]:
    return list(Causes(space.lineage, space.landing, space.settings, product, now or datetime.now(UTC)).moves())


def recorded_subjects(space: Workspace, product: Product) -> list[str]:
    """Record what is so now; the subjects of what is new."""
    return [notice.subject for notice in outbox.record(space.ledger, product.name, current_notices(space, product))]


def attempt(space: Workspace, **changes: Any) -> None:
    space.ledger.append("attempt", msgspec.structs.replace(ATTEMPT, **changes))


def declare(space: Workspace, *sections: dict[str, Any]) -> None:
    (space.settings.home / "notify.yaml").write_text(yaml.safe_dump({"channels": list(sections)}))


def sent(space: Workspace) -> list[str]:
    return outbox.send(space.ledger, channels(space.settings, os.environ))


def test_a_refused_delivery_is_told_once_and_its_end_when_it_is_current(product: Product, workspace: Workspace) -> None:
    attempt(workspace)
    (notice,) = outbox.record(workspace.ledger, "trains", current_notices(workspace, product))
    assert (notice.event, notice.severity, notice.partition) == ("data_refused", "error", "2013-01")
    assert notice.why == "raw: schema_matches: 'delay' is missing"
    assert "ml-assets run trains --partition 2013-01" in notice.command
    assert not recorded_subjects(workspace, product)
    attempt(workspace, number=2, end="current", outcome="no candidate", reason="")
    assert recorded_subjects(workspace, product) == [
        "[resolved] trains 2013-01: the delivery is refused, and nothing of it is used"
    ]
    assert not recorded_subjects(workspace, product)
    attempt(workspace, number=3)
    assert recorded_subjects(workspace, product) == ["[error] trains 2013-01: the delivery is refused, and nothing of it is used"]


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        (
            {"end": "gave up", "outcome": "broken", "tries": 4},
            "[error] trains 2013-01: the run broke 4 times and is not tried again",
        ),
        ({"end": "current", "outcome": "withheld"}, "[info] trains 2013-01: the candidate is withheld"),
        ({"end": "broken", "outcome": "broken"}, None),
        ({"end": None, "outcome": ""}, None),
        ({"end": "gave up", "outcome": "canceled"}, None),
    ],
)
def test_each_end_of_an_attempt_is_told_by_its_kind(
    product: Product, workspace: Workspace, changes: dict[str, Any], subject: str | None
) -> None:
    attempt(workspace, **changes)
    assert recorded_subjects(workspace, product) == ([subject] if subject else [])


def test_a_promotion_and_a_rollback_are_told_with_what_serves_now(product: Product, workspace: Workspace) -> None:
    first, second = release("2013-02.aaaaaaaa"), release("2013-03.bbbbbbbb", "2013-03")
    serves(workspace, first, second)
    assert [notice.subject for notice in moves(workspace, product)] == [
        "[info] trains 2013-02: release 2013-02.aaaaaaaa serves in production",
        "[info] trains 2013-03: release 2013-03.bbbbbbbb serves in production",
    ]
    workspace.endpoints.rollback("trains", to=None, by="ben", reason="late rates look wrong")
    back = moves(workspace, product)[-1]
    assert back.subject == "[warning] trains 2013-02: release 2013-02.aaaaaaaa serves in production again: rolled back"
    assert back.serves.startswith("release 2013-02.aaaaaaaa, since ")
    long_after = datetime.now(UTC) + timedelta(days=outbox.TOLD_DAYS + 1)
    assert not moves(workspace, product, long_after), "the history of an old home is not told"


def test_a_partition_that_is_late_by_the_calendar_is_told_until_it_comes(tmp_path: Path, workspace: Workspace) -> None:
    folder = trains.product_in(tmp_path).folder
    (folder / "product.yaml").write_text(trains.SPEC.replace("landing: {settle: 0}", "landing: {late: 48}"))
    product = load(folder)

    def late(day: int) -> list[str]:
        now = datetime(2013, 3, day, 12, tzinfo=UTC)
        return [notice.subject for notice in current_notices(workspace, product, now)]

    workspace.landing.put(product, "trips", "2013-01", b"trip\n")
    assert late(1) == late(2) == []
    assert late(4) == ["[warning] trains 2013-02: 2013-02 is not delivered"]
    (alone,) = current_notices(workspace, product, datetime(2013, 3, 4, 12, tzinfo=UTC))
    (later,) = current_notices(workspace, product, datetime(2013, 5, 4, 12, tzinfo=UTC))
    assert alone.id == later.id, "one cause, however long it lasts"
    workspace.landing.put(product, "trips", "2013-02", b"trip\n")
    assert late(4) == []


def test_each_channel_gets_a_notice_once_and_one_that_fails_gets_it_later(
    product: Product, workspace: Workspace, hook: Hook, address: str
) -> None:
    declare(workspace, {"kind": "webhook", "url": address}, {"kind": "log"})
    attempt(workspace)
    recorded_subjects(workspace, product)
    hook.status = 500
    (problem,) = sent(workspace)
    assert "500" in problem
    log = workspace.settings.logs / "notices.log"
    assert log.read_text().count("the delivery is refused") == 1, "one channel does not hold up another"
    hook.status = 200
    tried = len(hook.posted)
    assert not sent(workspace)
    assert not sent(workspace)
    assert len(hook.posted) == tried + 1
    assert log.read_text().count("the delivery is refused") == 1


def test_a_notice_that_was_sent_and_not_noted_goes_out_again_with_the_same_key(
    product: Product, workspace: Workspace, hook: Hook, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(workspace, {"kind": "webhook", "url": address})
    attempt(workspace)
    recorded_subjects(workspace, product)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(workspace.ledger), "append", killed)
        with pytest.raises(KeyboardInterrupt):
            sent(workspace)
    assert not sent(workspace)
    first, second = (headers["Idempotency-Key"] for _, headers, _ in hook.posted)
    assert first == second


def test_a_digest_goes_out_once_a_day(product: Product, workspace: Workspace, hook: Hook, address: str) -> None:
    declare(workspace, {"kind": "webhook", "url": address, "digest": "daily"})
    attempt(workspace)
    attempt(workspace, partition="2013-02")
    recorded_subjects(workspace, product)
    assert not sent(workspace)
    attempt(workspace, partition="2013-03")
    recorded_subjects(workspace, product)
    assert not sent(workspace)
    assert len(hook.posted) == 1


def test_a_new_channel_does_not_get_the_history(
    product: Product, workspace: Workspace, hook: Hook, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(workspace)
    recorded_subjects(workspace, product)
    declare(workspace, {"kind": "webhook", "url": address})
    monkeypatch.setattr(outbox, "TOLD_DAYS", 0)
    assert not sent(workspace)
    assert not hook.posted
