"""What modules were taken apart into is kept by content: it saves parsing, and never hides a change."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from ml_assets.core.code import units
from ml_assets.core.code.closure import Code
from ml_assets.first_party import TREE
from resources.ast_cache import ast_cache

ENTRY = "shop.prices:price"
TEXTS = {"shop.prices": b"from shop.taxes import RATE\n\n\ndef price(net):\n    return net * RATE\n", "shop.taxes": b"RATE = 1\n"}
PARSER = {name: text for name, text in TREE.texts.items() if name.startswith("ml_assets.core.code.")}


def code(texts: Mapping[str, bytes] = TEXTS) -> Code:
    """The code as a new process has it: nothing is known."""
    return Code({**PARSER, **texts})


def digest(texts: Mapping[str, bytes], cache: Path) -> str:
    found = code(texts)
    with ast_cache(cache, found):
        return found.closure(ENTRY).digest


def refuse(*_: object) -> None:
    raise AssertionError("a known text was parsed")


def test_a_known_text_is_not_parsed_again_and_has_the_digest_that_parsing_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due, cache = code().closure(ENTRY).digest, tmp_path / "code.json"
    assert digest(TEXTS, cache) == due
    monkeypatch.setattr(units.ast, "parse", refuse)
    assert digest(TEXTS, cache) == due


def test_a_changed_text_is_parsed_and_an_equal_one_elsewhere_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "code.json"
    first = digest(TEXTS, cache)
    changed = {**TEXTS, "shop.taxes": b"RATE = 2\n"}
    assert digest(changed, cache) == code(changed).closure(ENTRY).digest != first
    moved = {"shop.prices": TEXTS["shop.prices"], "shop.taxes": b"from shop.rates import RATE\n", "shop.rates": b"RATE = 1\n"}
    assert digest(moved, cache) == first
    monkeypatch.setattr(units.ast, "parse", refuse)
    assert digest({**moved, "shop.rates": changed["shop.taxes"]}, cache) != first


def test_nothing_is_written_where_nothing_was_parsed(tmp_path: Path) -> None:
    cache = tmp_path / "code.json"
    digest(TEXTS, cache)
    before = cache.stat()
    digest(TEXTS, cache)
    assert cache.stat() == before


@pytest.mark.parametrize("damage", ["digest", "parser", "half", "form"])
def test_a_file_that_is_damaged_or_of_another_parser_is_not_used(tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "code.json"
    due = digest(TEXTS, cache)
    kept = json.loads(cache.read_bytes())
    lies = json.loads(json.dumps(kept["modules"]))
    for module in lies.values():
        for unit in module["units"].values():
            unit["meaning"] = "0" * 64
    damaged = {
        "digest": json.dumps({**kept, "modules": lies}),
        "parser": json.dumps({**kept, "parser": "0" * 64}),
        "half": cache.read_text()[:-40],
        "form": "7",
    }[damage]
    cache.write_text(damaged)
    assert digest(TEXTS, cache) == due
    assert json.loads(cache.read_bytes()) == kept


def test_another_way_of_parsing_knows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "code.json"
    digest(TEXTS, cache)
    monkeypatch.setitem(PARSER, "ml_assets.core.code.units", b"other = 1\n")
    other = code()
    with ast_cache(cache, other):
        assert not other.known
