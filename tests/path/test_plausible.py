"""A delivery that cannot be right is held back from training, with its reason, until a person accepts it."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from resources.dagster_resources import resources_of
from sensors import acceptances
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, csv_bytes, deliver, rows, shop

FIRST, SECOND, THIRD, LAST = DAYS
DATA = ("raw", "dataset", "quarantine", "features")
HOLD = (r"^window:", "plausibility: {hold: [content_is_new]}\nwindow:")


def command(at: Home, *words: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in at.space.settings.environ().items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", "")
        return CliRunner().invoke(cli, [*words])


def launched(at: Home) -> list[str]:
    """The partitions that the sensor of acceptances takes down the path."""
    with dg.build_sensor_context(instance=dg.DagsterInstance.ephemeral(), resources=resources_of(at.space.settings)) as context:
        result: Any = acceptances.build(at.product)(context)
    return [request.partition_key for request in getattr(result, "run_requests", None) or ()]


@pytest.mark.long
def test_rows_that_were_sent_twice_train_nothing_until_somebody_says_that_they_are_right(tmp_path: Path) -> None:
    at = shop(tmp_path, (r"(?m)^window:", HOLD[1]))
    deliver(at, FIRST, SECOND)
    assert all(at.run(day, only=DATA).success for day in (FIRST, SECOND))
    once = rows(THIRD)
    at.deliver(THIRD, {"orders": csv_bytes([*once, *({**row, "id": f"{row['id']}-again"} for row in once)])})

    held_run = at.run(THIRD, leaves=())
    assert held_run.outcome is not None
    assert held_run.outcome.kind == "data refused"
    assert "100% of its rows repeat another row in everything but the key" in held_run.outcome.reason
    assert f"`ml-assets accept shop {THIRD} --reason …`" in held_run.outcome.reason
    assert at.current("model", THIRD) is None

    deliver(at, LAST)
    after = at.run(LAST, only=(*DATA, "model"))
    assert "content_is_new" in after.errors["model"], "a later candidate is not trained on it either"

    unknown = command(at, "accept", "shop", "2024-03-09", "--reason", "so")
    assert unknown.exit_code == 1
    assert "was never read" in str(unknown.exception)
    output = command(at, "accept", "shop", THIRD, "--reason", "each order was shipped twice", "--by", "ana")
    assert output.exit_code == 0, output.output
    assert "is accepted, by ana" in output.output
    assert launched(at) == [THIRD], "the sensor takes it down the path by itself"
    taken = at.run(THIRD, only=(*DATA, "model"))
    assert taken.success
    assert "accepted by ana: each order was shipped twice" in taken.descriptions["content_is_new"]
    assert at.get("model", THIRD).partition == THIRD

    assert launched(at) == []

    at.deliver(THIRD, {"orders": csv_bytes([*once, *({**row, "id": f"{row['id']}-more"} for row in once)])})
    again = at.run(THIRD, only=DATA)
    assert not again.checks["content_is_new"], "other content is checked again"
