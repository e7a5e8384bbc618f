"""An export of the ledger is checked without the home, also where bodies are withheld or erased."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.export.ledger import CannotWithhold, lines, verify_export
from resources.ledger.erasure import erase
from resources.ledger.ledger import KINDS
from tests.conftest import settings_of
from tests.support import verified_home
from tests.support.homes import old_home

NAME = "Ann Example"


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    """Entries of many kinds; 18 was erased, 19 names a person."""
    space = Workspace(settings_of(verified_home.make(tmp_path / "home")))
    for number in range(2):
        space.ledger.append("refusal", {"by": NAME, "reasons": [str(number)]})
    erase(space.ledger, 18, by="ben", reason="asked")
    yield space
    space.ledger.close()


def export(space: Workspace, *withhold: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(space.ledger.entries(), withhold=withhold)]


def failures(content: Sequence[dict[str, Any] | str]) -> list[tuple[str, str]]:
    checked = verify_export(line if isinstance(line, str) else json.dumps(line) for line in content)
    return [(one.kind, one.where) for one in checked.discrepancies if not one.is_note]


@pytest.mark.parametrize("withhold", [(), ("refusal",), ("evidence", "promotion"), tuple(k for k in KINDS if k != "erasure")])
def test_what_is_withheld_is_not_there_and_the_chain_verifies(space: Workspace, withhold: tuple[str, ...]) -> None:
    content = export(space, *withhold)
    assert [line["seq"] for line in content] == list(range(1, 21))
    hidden = [line for line in content if "body_sha256" in line]
    assert {line["kind"] for line in hidden} == {line["kind"] for line in content if line["kind"] in withhold}
    assert (NAME in json.dumps(content)) is ("refusal" not in withhold)
    checked = verify_export(json.dumps(line) for line in content)
    assert [one for one in checked.discrepancies if not one.is_note] == []
    assert checked.counts == {"entries": 20, "withheld": len(hidden)}
    assert content[-1]["hash"] in checked.discrepancies[-1].message
    assert [one.where for one in checked.discrepancies if one.is_note] == ["ledger entry 18", "ledger entry 20"]


CHANGES: dict[str, Any] = {
    "another body": lambda lines: lines[4]["body"].update(passed=False),
    "another time": lambda lines: lines[6].update(at="2013"),
    "another kind": lambda lines: lines[18].update(kind="evidence"),
    "another digest": lambda lines: lines[18].update(body_sha256="a" * 64),
    "another hash": lambda lines: lines[18].update(hash="a" * 64),
    "a field more": lambda lines: lines[3].update(more=1),
    "a field less": lambda lines: lines[3].pop("at"),
    "a number as text": lambda lines: lines[3].update(seq="4"),
    "a line less": lambda lines: lines.pop(7),
    "two lines swapped": lambda lines: lines.insert(3, lines.pop(4)),
    "a line twice": lambda lines: lines.insert(3, lines[3]),
    "the first line less": lambda lines: lines.pop(0),
    "no entry": lambda lines: lines.insert(2, "[]"),
    "no JSON": lambda lines: lines.insert(2, "{"),
    "a body that was erased comes from nowhere": lambda lines: lines[17].update(body={"by": NAME}),
    "the erasure is cut off": lambda lines: lines.pop(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_an_export_is_found(space: Workspace, change: str) -> None:
    content = export(space, "refusal")
    assert failures(content) == []
    CHANGES[change](content)
    assert failures(content) != []


def test_an_erasure_cannot_pass_for_withheld(space: Workspace) -> None:
    from ml_assets.core.digests import digest_json

    content = export(space)
    last = content[-1]
    last["body_sha256"] = digest_json(last.pop("body"))
    assert ("changed", "line 20") in failures(content)


def test_a_body_of_before_is_exported_or_refused_but_never_withheld_unseen(tmp_path: Path) -> None:
    space = Workspace(settings_of(old_home.unpack(tmp_path / "old")))
    space.ledger.append("refusal", {"by": NAME})
    assert failures(export(space)) == []
    with pytest.raises(CannotWithhold, match=r"entry 24 \(refusal, .* chained by the old rule"):
        export(space, "refusal")
    assert failures(export(space, "shadow")) == []
    space.ledger.close()


def test_a_body_that_does_not_hash_is_not_leaked(space: Workspace) -> None:
    entries = space.ledger.entries()
    changed = type(entries[0])(**{**vars(entries[18]), "body": {"by": NAME, "more": 1}})
    with pytest.raises(CannotWithhold, match="does not hash"):
        list(lines([changed], withhold=["refusal"]))


def test_the_commands_export_and_check(space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(space.settings.home))
    file = tmp_path / "out" / "ledger.jsonl"
    invoke = CliRunner().invoke
    done = invoke(cli, ["export", "ledger", "--withhold", "refusal", "--output", str(file)])
    assert (done.exit_code, done.output) == (0, f"{file}: 20 entries\n")
    assert invoke(cli, ["export", "ledger", "--withhold", "refusal"]).output == file.read_text()
    assert NAME not in file.read_text()
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path / "elsewhere"))
    checked = invoke(cli, ["verify", "--export", str(file)])
    assert checked.exit_code == 0
    assert checked.output.endswith("20 entries, 1 withheld: everything is as it was written\n")
    assert not (tmp_path / "elsewhere").exists()
    file.write_text(file.read_text().replace('"seq":3', '"seq":4'))
    assert invoke(cli, ["verify", "--export", str(file)]).exit_code == 1
    monkeypatch.setenv("ML_ASSETS_HOME", str(space.settings.home))
    refused = invoke(cli, ["export", "ledger", "--withhold", "erasure"])
    assert "--withhold erasure: one of manifest, publication" in str(refused.exception)
