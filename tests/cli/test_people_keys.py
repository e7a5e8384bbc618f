"""People are known by keys: one is printed once, only its hash is kept, and it ends on its last day."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.core.release.identity import Identity
from ml_assets.services.people.keys import NotKnown, add, identify, known, remove
from ml_assets.serving.http.api_keys import KeysRefused, new_key

TODAY = datetime.now(UTC).date()
LATER, PAST = TODAY + timedelta(days=30), TODAY - timedelta(days=1)


def command(home: Path, *args: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, args, env={"ML_ASSETS_HOME": str(home), **variables})


def test_a_key_is_printed_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    done = command(tmp_path, "people", "add", "ana")
    key = done.output.splitlines()[0].split()[-1]
    file = tmp_path / "people.keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    (line,) = known(file)
    assert identify(file, key) == Identity("ana", f"key {line.id}")
    assert line.until == TODAY + timedelta(days=365)
    shown = json.loads(command(tmp_path, "people", "show", "--json").output)
    assert shown["keys"] == [{"person": "ana", "key": line.id, "until": str(line.until), "expired": False}]


def test_the_file_that_is_named_is_used_and_its_mode_and_comments_stay(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "people"
    file.parent.mkdir()
    file.write_text("# the team, without an end of line")
    file.chmod(0o640)
    command(tmp_path / "home", "people", "add", "ben@example.com", "--until", str(LATER), ML_ASSETS_PEOPLE=str(file))
    assert file.read_text().startswith("# the team, without an end of line\nperson:")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [key.owner for key in known(file)] == ["ben@example.com"]
    done = command(tmp_path / "home", "people", "remove", "Ben@example.com", ML_ASSETS_PEOPLE=str(file))
    assert done.exit_code == 0
    assert file.read_text() == "# the team, without an end of line\n"


def test_a_key_counts_on_its_last_day_and_not_after_it(tmp_path: Path) -> None:
    file = tmp_path / "people.keys"
    today, _ = add(file, "ana", TODAY)
    past, _ = add(file, "ana", PAST)
    assert identify(file, today).person == "ana"
    with pytest.raises(NotKnown, match=rf"key \w+ of ana has expired: its last day was {PAST}.*people add"):
        identify(file, past)
    assert "name today or a later day" in command(tmp_path, "people", "add", "ana", "--until", str(PAST)).output
    assert "is not a day" in command(tmp_path, "people", "add", "ana", "--until", "soon").output


def test_a_key_that_is_in_no_line_or_was_removed_is_nobodys(tmp_path: Path) -> None:
    file = tmp_path / "people.keys"
    key, line = add(file, "ana", LATER)
    other, _ = add(file, "ana", LATER)
    for wrong in (key[:-1], f"{key}x", line.split(":")[1], ""):
        with pytest.raises(NotKnown, match=f"the key is nobody's: {file}"):
            identify(file, wrong)
    assert [gone.owner for gone in remove(file, "ana", known(file)[0].id)] == ["ana"]
    assert identify(file, other).person == "ana"
    with pytest.raises(NotKnown, match="nobody's"):
        identify(file, key)
    with pytest.raises(NotKnown, match=r"has no key of ben; it has keys of: ana \("):
        remove(file, "ben")


@pytest.mark.parametrize("name", ["", "an a", "ana:admin", "x" * 65, "\u0430na"])
def test_a_name_that_could_be_taken_for_something_else_gets_no_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeysRefused):
        add(tmp_path / "people.keys", name, LATER)
    assert list(tmp_path.iterdir()) == []


def test_a_key_of_an_endpoint_makes_nobody_a_person(tmp_path: Path) -> None:
    file = tmp_path / "people.keys"
    key, line = new_key("admin", "ana")
    file.write_text(line)
    with pytest.raises(KeysRefused, match=r"line 1: a key of scope admin belongs in ML_ASSETS_KEYS; `ml-assets people add NAME`"):
        identify(file, key)
