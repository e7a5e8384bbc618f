"""What was parsed of code is kept by content: it saves parsing, and never hides a change."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.core import code
from ml_assets.core.code import Known, code_digest, file_digest
from resources.known_code import known_code

MODULES = ("ml_assets.core.scoring",)


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    forget(monkeypatch)
    yield
    monkeypatch.undo()
    for cached in (code.imports, code._source, code._module_digest):
        cached.cache_clear()


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(code, "KNOWN", Known())
    for cached in (code.imports, code._source, code._module_digest):
        cached.cache_clear()


def refuse(*_: object) -> str:
    raise AssertionError("a known text was parsed")


def test_a_known_text_is_not_parsed_again_and_has_the_digest_that_parsing_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = code_digest(MODULES)
    forget(monkeypatch)
    with known_code(tmp_path / "code.json"):
        assert code_digest(MODULES) == due
    forget(monkeypatch)
    monkeypatch.setattr(code.ast, "parse", refuse)
    with known_code(tmp_path / "code.json"):
        assert code_digest(MODULES) == due


def test_a_changed_text_is_parsed_and_an_equal_one_elsewhere_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, cache = tmp_path / "contract.py", tmp_path / "code.json"
    file.write_text("limit = 1\n")
    with known_code(cache):
        first = file_digest(file.name, file.read_bytes())
    file.write_text("limit = 2\n")
    forget(monkeypatch)
    with known_code(cache):
        assert file_digest(file.name, file.read_bytes()) != first
    file.rename(tmp_path / "other.py")
    forget(monkeypatch)
    monkeypatch.setattr(code.ast, "parse", refuse)
    with known_code(cache):
        assert file_digest("other.py", (tmp_path / "other.py").read_bytes()) != first


def test_the_same_text_says_another_thing_in_another_kind_of_file() -> None:
    assert len({file_digest(f"same{suffix}", b"a -- b\n") for suffix in (".py", ".sql", ".yml")}) == 3


@pytest.mark.parametrize("damage", ["digest", "parser", "half", "form"])
def test_a_file_that_is_damaged_or_of_another_parser_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    cache, file = tmp_path / "code.json", tmp_path / "contract.py"
    file.write_text("limit = 1\n")
    with known_code(cache):
        due = file_digest(file.name, file.read_bytes())
    parser, digest, content = json.loads(cache.read_bytes())
    lies = {**content, "meanings": dict.fromkeys(content["meanings"], "0" * 64)}
    told = {
        "digest": json.dumps([parser, digest, lies]),
        "parser": json.dumps(["0" * 64, digest, content]),
        "half": cache.read_text()[:-40],
        "form": "7",
    }[damage]
    cache.write_text(told)
    forget(monkeypatch)
    with known_code(cache):
        assert file_digest(file.name, file.read_bytes()) == due
    assert json.loads(cache.read_bytes()) == [parser, digest, content]
