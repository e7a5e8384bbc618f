"""CODEOWNERS is read as GitHub and GitLab read it; what a team cannot rely on counts for nothing."""

import pytest

from ml_assets.core.changes.code_owners import Dialect, owners, people

PATH = "products/trains/product.yaml"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("* @all", ["@all"]),
        ("* @all\nproducts/ @ann @bob", ["@ann", "@bob"]),
        ("products/ @ann\n* @all", ["@all"]),
        ("/products/trains @ann", ["@ann"]),
        ("products/*/product.yaml @ann", ["@ann"]),
        ("products/** @ann", ["@ann"]),
        ("**/product.yaml @ann", ["@ann"]),
        ("**/trains @ann", ["@ann"]),
        ("product.yaml @ann", ["@ann"]),
        ("*.yaml @ann # who knows it", ["@ann"]),
        ("# products/ @ann", None),
        ("products/* @ann", None),
        ("/trains/ @ann", None),
        ("trains/product.yaml @ann", None),
        ("product @ann", None),
        ("PRODUCTS/ @ann", None),
        ("* @all\nproducts/ ", None),
        ("!products/ @ann", None),
        ("product?yaml @ann", ["@ann"]),
        ("productXyaml @ann\nproducts.trains @ann", None),
        ("", None),
    ],
)
def test_the_last_rule_that_matches_wins_as_on_github(rules: str, expected: list[str] | None) -> None:
    assert owners(rules, PATH, "github") == ([tuple(expected)] if expected else [])


def test_each_section_of_gitlab_needs_an_owner_of_its_own() -> None:
    rules = (
        "* @all\n[Models][2] @ann\nproducts/\n^[Docs]\n*.yaml @writer\n[Ops]\ntrains/product.yaml @olga\n/products/* @nobody\n"
    )
    assert owners(rules, PATH, "gitlab") == [("@all",), ("@ann",), ("@olga",)]


@pytest.mark.parametrize("dialect", ["github", "gitlab"])
def test_a_space_in_a_path_is_escaped(dialect: Dialect) -> None:
    assert owners("/a\\ b/ @ann", "a b/product.yaml", dialect) == [("@ann",)]


def test_only_users_are_people() -> None:
    assert people(["@Ann", "@org/team", "@@maintainer", "ann@example.org", "bob", "@b.o-b_1"]) == ["ann", "b.o-b_1"]
