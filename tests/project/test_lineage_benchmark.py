"""The large ledger of the benchmark is one that the project could have written, only smaller here."""

from pathlib import Path

import pytest

from benchmarks import lineage
from ml_assets.services.audit.ledger_graph import open_graph
from resources.ledger.ledger import Ledger
from tests.support.records import broken


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "DAYS", 20)
    monkeypatch.setattr(lineage, "CHUNK_DAYS", 7)


def test_its_chain_is_whole_and_its_index_is_what_publishing_gives(tmp_path: Path) -> None:
    bulk, single = (Ledger(f"sqlite:///{tmp_path}/{name}.db") for name in ("bulk", "single"))
    lineage.fill(bulk)
    for manifest in lineage.manifests():
        single.publish(manifest, run="r")
    assert broken(bulk) == []
    first, second = (open_graph(ledger, tmp_path / f"{ledger.url[-8:]}.graph") for ledger in (bulk, single))
    assert first.ids.tolist() == second.ids.tolist()
    assert (first.up.to.tolist(), first.down.to.tolist()) == (second.up.to.tolist(), second.down.to.tolist())
    bulk.close()
    single.close()


def test_all_three_ways_to_ask_find_the_same_and_are_told() -> None:
    measure = lineage.measure(months=2, runs=1)
    assert (measure["manifests"], measure["lineage"]["nodes"]) == (120, 120)
    text = lineage.text(measure)
    assert "recursive SQL" in text
    assert "lineage of the largest answer" in text
