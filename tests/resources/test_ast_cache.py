"""What modules were taken apart into is kept by the digest of their text: it saves parsing, and never hides a change."""

import json
from pathlib import Path

import pytest

from ml_assets.core.code import module_units
from ml_assets.core.code.closure import Code
from resources.ast_cache import ast_cache

TEXT = b"LIMIT = 1\n\ndef cost(x):\n    return x + LIMIT\n"
OTHER = TEXT.replace(b"1", b"2")
ENTRY = "shop.price:cost"


def digest(cache: Path, text: bytes) -> str:
    """What a process finds that has parsed nothing before."""
    code = Code({"shop.price": text})
    with ast_cache(cache, code):
        return code.closure(ENTRY).digest


def refuse(*_: object) -> None:
    raise AssertionError("parsed")


def test_a_text_that_was_taken_apart_before_is_not_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "code.json"
    first = digest(cache, TEXT)
    assert digest(tmp_path / "other.json", TEXT) == first
    monkeypatch.setattr(module_units.ast, "parse", refuse)
    assert digest(cache, TEXT) == first
    with pytest.raises(AssertionError, match="parsed"):
        digest(cache, OTHER)


def test_a_changed_text_is_found_changed_and_both_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "code.json"
    first, second = digest(cache, TEXT), digest(cache, OTHER)
    assert first != second
    monkeypatch.setattr(module_units.ast, "parse", refuse)
    assert (digest(cache, TEXT), digest(cache, OTHER)) == (first, second)


@pytest.mark.parametrize("damage", ["content", "parser", "half", "form"])
def test_a_file_that_is_damaged_or_of_another_parser_is_not_used(tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "code.json"
    due = digest(cache, TEXT)
    kept = cache.read_text()
    lies = kept.replace(
        json.loads(kept)["modules"][next(iter(json.loads(kept)["modules"]))]["units"]["cost"]["meaning"], "0" * 64
    )
    payload = {
        "content": lies,
        "parser": kept.replace(json.loads(kept)["parser"], "0" * 64),
        "half": kept[:-40],
        "form": "7",
    }[damage]
    assert payload != kept
    cache.write_text(payload)
    assert digest(cache, TEXT) == due
    assert cache.read_text() == kept
