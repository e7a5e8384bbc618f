"""A recipe's key says what would be computed; a manifest's id says what was."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.digests import canonical_json
from ml_assets.core.lineage.manifests import Input, Manifest, Recipe

JANUARY = Input("trains/raw", "2013-01", "a" * 64, "1" * 64)
FEBRUARY = Input("trains/raw", "2013-02", "b" * 64, "2" * 64)
RECIPE = Recipe("trains", "model", "2013-03", "c" * 64, "d" * 64, "e" * 64, 7, 2, (JANUARY, FEBRUARY), {"packages": {}})
MANIFEST = Manifest(RECIPE, "f" * 64, "0" * 64, {"rows": 3, "window": ["2013-01", "2013-02"]})

TEXT = st.text(max_size=8)
INPUTS = st.builds(Input, TEXT, TEXT, TEXT, st.none() | TEXT)
FACTS = st.dictionaries(TEXT, st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.lists(TEXT))
RECIPES = st.builds(
    Recipe,
    *[TEXT] * 6,
    seed=st.none() | st.integers(),
    threads=st.none() | st.integers(),
    inputs=st.lists(INPUTS, max_size=4).map(tuple),
    details=FACTS,
)


@given(st.builds(Manifest, RECIPES, TEXT, TEXT, FACTS))
def test_a_manifest_comes_back_from_json_with_its_id_and_key(manifest: Manifest) -> None:
    payload = Manifest.from_dict(json.loads(canonical_json(manifest.to_dict())))
    assert (payload, payload.id, payload.recipe.key) == (manifest, manifest.id, manifest.recipe.key)
    assert payload.recipe.details == manifest.recipe.details


@given(RECIPES, st.randoms(use_true_random=False), TEXT)
def test_a_key_ignores_the_order_of_inputs_and_which_run_made_them(recipe: Recipe, shuffle: Any, made_by: str) -> None:
    others = [replace(i, manifest=made_by) for i in recipe.inputs]
    shuffle.shuffle(others)
    assert replace(recipe, inputs=tuple(others), details={"told": made_by}).key == recipe.key


CHANGES: dict[str, list[Any]] = {"seed": [8, None, 0], "threads": [3, None]}
INPUT_CHANGES = [
    (),
    (JANUARY,),
    (JANUARY, FEBRUARY, FEBRUARY),
    *((replace(JANUARY, **{name: "x"}), FEBRUARY) for name in ("asset", "partition", "data_version")),
]


def other(**change: Any) -> Recipe:
    return replace(RECIPE, **change)


OTHERS = [
    other(**{field.name: value})
    for field in fields(Recipe)
    if field.name not in ("inputs", "details")
    for value in CHANGES.get(field.name, ["x", ""])
] + [other(inputs=inputs) for inputs in INPUT_CHANGES]


def test_a_key_changes_with_every_other_field() -> None:
    keys = {recipe.key for recipe in [RECIPE, *OTHERS]}
    assert len(keys) == 1 + len(OTHERS)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if items is None:
        yield path
    for key, item in items or ():
        yield from leaves(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return "changed"
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:])
    return copy


@pytest.mark.parametrize("path", list(leaves(MANIFEST.to_dict())))
def test_an_id_changes_with_anything(path: tuple[Any, ...]) -> None:
    assert Manifest.from_dict(changed(MANIFEST.to_dict(), path)).id != MANIFEST.id


def test_key_and_id_stay_the_same_for_ever() -> None:
    assert RECIPE.key == "1e86dedb7f06a11168a683492bd3bc6277057897e756ff5b9eff672e6b9f0e28"
    assert MANIFEST.id == "de791fd69f21ea1960fee682386c2d8db7e557d6128b900dac9b8fa2c5258b7d"


def test_a_manifest_becomes_an_input_of_the_next_one() -> None:
    assert MANIFEST.as_input() == Input("trains/model", "2013-03", "0" * 64, MANIFEST.id)
