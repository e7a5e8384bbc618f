"""Which of dbt's data tests were added, removed, or say something else."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ml_assets.core.changes.change import Change, Effect

DataTests = dict[str, str]
"""The query of each data test, as JSON, by its name."""


def data_test_changes(product: str, old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[Change]:
    """The data tests that differ between the YAML files of two dbt projects."""
    before, after = _data_tests(old), _data_tests(new)
    return [*_gone_or_changed(product, before, after), *_added(product, before, after)]


def _gone_or_changed(product: str, before: DataTests, after: DataTests) -> Iterator[Change]:
    for name, asks in before.items():
        if after.get(name) == asks:
            continue
        other = next((other for other, declaration in after.items() if declaration == asks), None)
        reason = "nothing says which of the two asks more" if name in after else "the data test is gone"
        effect: Effect = "weakened" if other is None else "changed"
        if other is not None:
            reason = f"data test {other} asks it"
        yield Change(product=product, name=f"dbt.{name}", effect=effect, old=asks, new=after.get(name), reason=reason)


def _added(product: str, before: DataTests, after: DataTests) -> Iterator[Change]:
    for name, asks in after.items():
        if name not in before:
            yield Change(product=product, name=f"dbt.{name}", effect="strengthened", new=asks)


def _data_tests(files: Mapping[str, bytes]) -> DataTests:
    """The named data tests of all YAML files; one without a name goes by what it asks."""
    tests: DataTests = {}
    for name, content in files.items():
        if name.endswith((".yml", ".yaml")):
            for model in _list(yaml.safe_load(content), "models"):
                places = [({"model": model.get("name")}, model)]
                places += [({"model": model.get("name"), "column": c.get("name")}, c) for c in _list(model, "columns")]
                tests |= {key: asks for place, at in places for key, asks in _tests(place, at)}
    return tests


def _tests(place: dict[str, Any], at: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for test in [*_list(at, "data_tests"), *_list(at, "tests")]:
        kind, settings = next(iter(test.items())) if isinstance(test, dict) else (test, {})
        asks = {name: value for name, value in (settings or {}).items() if name != "name"}
        declaration = json.dumps({**place, "test": kind, **asks}, sort_keys=True, default=str)
        yield (settings or {}).get("name", declaration), declaration


def _list(value: Any, key: str) -> list[Any]:
    entries = value.get(key) if isinstance(value, dict) else None
    return entries if isinstance(entries, list) else []
