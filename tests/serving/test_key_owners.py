"""An API key has an owner and a last day; where a product names people, only an owner who may moves an endpoint."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.serving.serve import configured_keys, permitted
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.release.identity import Identity
from ml_assets.services.people.permission import NotPermitted
from ml_assets.services.replicas.reconcile import reconcile_reported
from ml_assets.serving.http.admission import Admission, Client
from ml_assets.serving.http.api_keys import KeysRefused, new_key, parse_keys
from ml_assets.serving.http.body_io import AsgiRequest
from ml_assets.serving.requests.refusals import BadRequest
from ml_assets.spec.people import PeopleSpec
from ml_assets.spec.product import Product
from resources.endpoints import break_glass
from tests.serving.test_follower import REPLICA, broken_glass, cut_off, following, machine

__all__ = ["machine"]
TODAY = datetime.now(UTC).date()
PAST = TODAY - timedelta(days=1)


def asking(key: str) -> AsgiRequest:
    return AsgiRequest(
        {"type": "http", "headers": [(b"authorization", f"Bearer {key}".encode())], "client": ("10.0.0.7", 1)}, None
    )


@pytest.fixture
def named(product: Product) -> Product:
    return product.model_copy(update={"people": PeopleSpec(rollback=("ann",))})


def test_a_key_counts_on_its_last_day_and_is_refused_after_it() -> None:
    today, valid = new_key("admin", "ann", TODAY)
    past, expired = new_key("admin", "ann", PAST)
    admission = Admission(parse_keys(f"{valid}\n{expired}"))
    id = valid.split(":")[1][:8]
    assert admission.client(asking(today), "admin") == Client("ann", Identity("ann", f"API key {id}"))
    for scope in ("predict", "admin"):
        with pytest.raises(BadRequest) as refused:
            admission.client(asking(past), scope)  # type: ignore[arg-type]
        assert (refused.value.status, refused.value.reason) == (401, "expired_key")
        assert f"of ann has expired: its last day was {PAST}; `ml-assets serve --new-key admin` makes another" in str(
            refused.value
        )


def test_a_key_without_an_owner_is_nobodys_and_one_of_a_person_opens_no_endpoint() -> None:
    key, line = new_key("admin")
    assert Admission(parse_keys(line)).client(asking(key), "admin").identity is None
    _, person = new_key("person", "ann", TODAY)
    with pytest.raises(KeysRefused, match="a key of scope person belongs in ML_ASSETS_PEOPLE"):
        configured_keys(f"{line}\n{person}")


def test_owner_and_last_day_are_written_into_the_line() -> None:
    done = CliRunner().invoke(cli, ["serve", "--new-key", f"predict:web:{TODAY}"])
    (key,) = parse_keys(done.output.splitlines()[1].split()[-1])
    assert (key.scope, key.owner, key.until) == ("predict", "web", TODAY)
    for wrong in (
        "root",
        "predict:web:soon",
        "predict:web:2030-02-31",
        "predict::2030-01-31",
        "predict:a:2030-01-31:b",
        "person:ann",
    ):
        assert CliRunner().invoke(cli, ["serve", "--new-key", wrong]).exit_code != 0
    with pytest.raises(KeysRefused, match="2030-02-31 is not a day"):
        parse_keys(f"predict:{'0' * 64}:web:2030-02-31")


def test_only_an_owner_who_may_rolls_back_over_http(
    workspace: Workspace, machine: Workspace, product: Product, named: Product
) -> None:
    follower = following(machine)
    ann, ben = (Client(name, Identity(name, "API key 12345678")) for name in ("ann", "ben"))
    for nobody, why in ((Client("10.0.0.7"), "'10.0.0.7' is a name that was typed"), (ben, "names under people.rollback: ann")):
        with pytest.raises(NotPermitted, match=why):
            permitted(named, follower.roll_back)(None, nobody, "late")
    assert len(workspace.ledger.moves("trains", "production")) == 2
    permitted(named, follower.roll_back)(None, ann, "late")
    move = workspace.ledger.moves("trains", "production")[-1].body
    assert (move.by, move.proof) == ("ann", "API key 12345678")
    permitted(product, follower.roll_back)("2013-02.b", ben, "as before people were named")
    move = workspace.ledger.moves("trains", "production")[-1].body
    assert (move.by, move.proof) == ("ben over HTTP", "")


def test_breaking_the_glass_takes_an_owner_who_may_too(workspace: Workspace, machine: Workspace, named: Product) -> None:
    follower = following(machine)
    follower.pointer()
    back = cut_off(machine)
    ann, ben = (Client(name, Identity(name, "API key 12345678")) for name in ("ann", "ben"))
    with pytest.raises(NotPermitted):
        permitted(named, follower.break_glass)(None, ben, "late")
    permitted(named, follower.break_glass)(None, ann, "late")
    back()
    assert follower.pointer()
    move = workspace.ledger.moves("trains", "production")[-1].body
    assert (move.by, move.proof) == ("ann", "API key 12345678")


def test_a_report_that_names_somebody_who_may_not_moves_nothing(
    workspace: Workspace, machine: Workspace, named: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_glass(machine, "ben", monkeypatch).report(REPLICA)
    (outcome,) = reconcile_reported(workspace.endpoints, named)
    assert "over: trains: product.yaml says under people.rollback" in outcome
    act = break_glass.read(machine.settings.break_glass("trains", "production"))
    assert act is not None
    assert break_glass.is_recorded(workspace.endpoints, act)
    assert len(workspace.ledger.moves("trains", "production")) == 2
