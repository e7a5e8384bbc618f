"""The code digest changes with what is computed, and with nothing else."""

import sys
from collections.abc import Callable, Iterable
from importlib import invalidate_caches
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core import code
from ml_assets.core.code import code_digest, file_digest
from ml_assets.core.stages import STAGES, stage_code
from ml_assets.product import Product, load
from tests import trains

PYTHON = """\
import math
LIMIT = 3

class Tariff:
    rate = 0.5

    def price(self, distance, *, low=1):
        if distance > LIMIT:
            return self.rate * distance
        return max(low, math.floor(distance))
"""
SAME = [
    PYTHON.replace("LIMIT = 3", "LIMIT = 3  # kilometres\n# a note\n\n\n"),
    '"""What the module is for."""\n' + PYTHON,
    PYTHON.replace("    rate", '    """A tariff."""\n    rate'),
    PYTHON.replace("LIMIT = 3", 'LIMIT = 3\n"""In kilometres."""'),
    PYTHON.replace("        if", '        """   """\n        pass\n        if'),
    PYTHON.replace("(self, distance, *, low=1)", "(\n        self,\n        distance,\n        *,\n        low=1,\n    )"),
    PYTHON.replace("self.rate * distance", "(self.rate*distance)"),
    PYTHON.replace("    ", "  "),
    PYTHON.replace("\n", "\r\n"),
]
OTHER = [
    PYTHON.replace("LIMIT = 3", "LIMIT = 4"),
    PYTHON.replace("LIMIT = 3", "LIMIT = 3.0"),
    PYTHON.replace("LIMIT = 3", "LIMIT = '3'"),
    PYTHON.replace(">", ">="),
    PYTHON.replace("low=1", "low=2"),
    PYTHON.replace("*, ", ""),
    PYTHON.replace("self.rate * distance", "distance * self.rate"),
    PYTHON.replace("floor", "ceil"),
    PYTHON.replace("    def", "    @staticmethod\n    def"),
    PYTHON.replace("distance)", "distance), None"),
    PYTHON + "LIMIT = 5\n",
    PYTHON.replace("import math\n", ""),
]
SQL = "select a, 'it''s -- no  comment' as b, sum(c) from \"odd  -- name\" where a->>'x' <= -1 -- why\n group by 1"
SAME_SQL = [
    SQL.replace("-- why", '-- it\'s "because"'),
    SQL.replace("-- why", "/* why\n not */ /* -- */"),
    SQL.replace("-- why", "{# don't\n tell #}"),
    SQL.replace("a, ", "a,\n\t  "),
    SQL.replace("sum(c)", "sum( c )"),
    f"-- what it is\n\n{SQL}\n\n",
]
OTHER_SQL = [
    SQL.replace("no  comment", "no comment"),
    SQL.replace("-- no", "--no"),
    SQL.replace("it''s", "it' 's"),
    SQL.replace("odd  --", "odd --"),
    SQL.replace("name", "game"),
    SQL.replace("-1", "1"),
    SQL.replace("sum(c)", "su m(c)"),
    SQL.replace("-- why\n", "-- why "),
    SQL.replace("group by 1", "group by 2"),
]


@pytest.fixture
def said() -> Callable[[str, str], str]:
    """The digest of a file with this suffix and content."""

    def digest(suffix: str, content: str) -> str:
        return file_digest(f"file.{suffix}", content.encode())

    return digest


@pytest.mark.parametrize(("suffix", "text", "same"), [("py", PYTHON, s) for s in SAME] + [("sql", SQL, s) for s in SAME_SQL])
def test_comments_docstrings_and_layout_do_not_count(said: Callable[[str, str], str], suffix: str, text: str, same: str) -> None:
    assert same != text
    assert said(suffix, same) == said(suffix, text)


@pytest.mark.parametrize(("suffix", "texts"), [("py", [PYTHON, *OTHER]), ("sql", [SQL, *OTHER_SQL])])
def test_every_other_change_counts(said: Callable[[str, str], str], suffix: str, texts: list[str]) -> None:
    digests = [said(suffix, text) for text in texts]
    assert [(texts[a], texts[b]) for a, b in combinations(range(len(texts)), 2) if digests[a] == digests[b]] == []


def test_a_body_of_only_a_docstring_is_one_of_only_pass(said: Callable[[str, str], str]) -> None:
    assert said("py", "def f():\n  'Nothing.'") == said("py", "def f():\n  pass") != said("py", "def f():\n  return 1")


def test_in_other_files_everything_counts(said: Callable[[str, str], str]) -> None:
    assert len({said("yml", "a: 1"), said("yml", "a: 1 # one"), said("yml", "a:  1")}) == 3


@given(st.text(), st.text(), st.sampled_from("'\""))
def test_all_that_is_quoted_in_sql_counts(one: str, other: str, quote: str) -> None:
    first, second = (f"select {quote}{text.replace(quote, 2 * quote)}{quote} -- x" for text in (one, other))
    assert (code._sql_meaning(first) == code._sql_meaning(second)) == (one == other)


GAPS = st.sampled_from([" ", "\n", "\t ", "/* ' */", '-- "\n', "{# /* #}"])


@given(st.lists(GAPS, min_size=12, max_size=12))
def test_sql_may_be_laid_out_in_any_way(gaps: list[str]) -> None:
    words = ["select", "a", ",", "'b  c'", "from", "t", "where", "(", "a", ">", "1.5", ")"]
    text = "".join(gap + word for gap, word in zip(gaps, words, strict=True))
    assert code._sql_meaning(text) == words


class Package:
    """A package `shop` whose part `shop.core` is followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("__init__", "core/__init__", "core/parts/__init__", "outside"):
            self.write(name, "")

    def write(self, name: str, content: str) -> None:
        path = self.folder / "shop" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def digest(self, *modules: str) -> str:
        """The digest that a new process would find."""
        for cached in (code.imports, code._source, code._module_digest):
            cached.cache_clear()
        for name in [name for name in sys.modules if name.split(".")[0] == "shop"]:
            del sys.modules[name]
        invalidate_caches()
        return code_digest(modules)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.setattr(code, "FOLLOWED", "shop.core")
    monkeypatch.syspath_prepend(tmp_path)
    return Package(tmp_path)


IMPORTS = [
    "import shop.core.deep",
    "from shop.core import deep",
    "from shop.core.deep import value as v",
    "from . import deep",
    "from .deep import value",
    "def f():\n    from shop.core.deep import value",
    "if TYPE_CHECKING:\n    from shop.core.deep import value",
]


@pytest.mark.parametrize("statement", IMPORTS)
def test_what_a_module_imports_counts_however_it_is_imported(shop: Package, statement: str) -> None:
    shop.write("core/deep", "value = 1")
    shop.write("core/middle", statement)
    shop.write("core/top", "import shop.core.middle")
    before = shop.digest("shop.core.top")
    assert shop.digest("shop.core.top") == before
    shop.write("core/deep", "value = 1  # one")
    assert shop.digest("shop.core.top") == before
    shop.write("core/deep", "value = 2")
    assert shop.digest("shop.core.top") != before


@pytest.mark.parametrize(
    "statement", ["from shop.core.parts import leaf", "from .parts import leaf", "from .parts.leaf import x"]
)
def test_packages_inside_are_followed(shop: Package, statement: str) -> None:
    shop.write("core/top", statement)
    shop.write("core/parts/leaf", "x = 1")
    before = shop.digest("shop.core.top")
    shop.write("core/parts/leaf", "x = 2")
    assert shop.digest("shop.core.top") != before


def test_modules_that_import_each_other_both_count(shop: Package) -> None:
    shop.write("core/one", "from shop.core import two")
    shop.write("core/two", "from shop.core import one")
    before = shop.digest("shop.core.one")
    shop.write("core/two", "from shop.core import one\nx = 1")
    assert shop.digest("shop.core.one") != before


def test_what_is_not_imported_or_lies_outside_does_not_count(shop: Package) -> None:
    shop.write("core/top", "import json, shop.outside, shop.core_like")
    shop.write("core/beside", "x = 1")
    shop.write("core_like", "x = 1")
    before = shop.digest("shop.core.top")
    for name in ("outside", "core/beside", "core_like"):
        shop.write(name, "x = 2")
    assert shop.digest("shop.core.top") == before


def test_a_module_that_is_not_there_is_an_error(shop: Package) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"shop\.core\.gone"):
        shop.digest("shop.core.gone")


def test_files_of_one_name_in_two_folders_both_count() -> None:
    two, three = b"version: 2", b"version: 3"
    made = [{"a/schema.yml": a, "b/schema.yml": b} for a in (two, three) for b in (two, three)]
    assert len({code_digest([], files) for files in [*made, {"a/schema.yml": two}]}) == 5


@pytest.mark.parametrize(("part", "stages"), [("contract.py", {"dataset", "features"}), ("dbt/a.sql", {"features"})])
def test_a_products_files_count_where_they_are_used(tmp_path: Path, part: str, stages: set[str]) -> None:
    made = trains.made(tmp_path)
    (made.folder / "dbt").mkdir()
    (made.folder / "dbt" / "a.sql").write_text("select 1")
    before = {name: stage_code(made, STAGES[name]) for name in ("raw", "dataset", "features", "model")}
    made = load(made.folder)
    before = {name: stage_code(made, STAGES[name]) for name in before}
    with (made.folder / part).open("a") as stream:
        stream.write("\nother = 1")
    assert {name: stage_code(made, STAGES[name]) for name in before} == before  # not before it is loaded again
    made = load(made.folder)
    assert {name for name, digest in before.items() if stage_code(made, STAGES[name]) != digest} == stages


FILES = {"raw": ["raw", "reference"], "dataset": ["dataset", "quarantine"]} | {
    name: [name] for name in ("features", "model", "evaluation", "release", "monitoring", "predictions")
}
NO_CONTENT = {"stages", "manifests", "digests", "approval", "consent", "plots", "plots_style", "plots_gates", "thumbnails"}
"""What an asset may import that decides no byte of its data version: the recipe's machinery, leave to be made, pictures."""


@pytest.mark.parametrize("file", FILES)
def test_all_of_core_that_an_asset_computes_with_is_in_its_recipe(file: str) -> None:
    counted = _cut(code.followed([module for stage in FILES[file] for module in STAGES[stage].modules]))
    used = {name for name in code.imports(f"ml_assets.{file}") if name.startswith("ml_assets.core.")}
    assert _cut(used) - counted <= {f"ml_assets.core.{name}" for name in NO_CONTENT}


def _cut(names: Iterable[str]) -> set[str]:
    """Names as modules of core: `ml_assets.core.<module>`."""
    return {".".join(name.split(".")[:3]) for name in names}


@pytest.mark.parametrize("stage", STAGES)
def test_all_packages_that_a_stage_computes_with_are_in_its_recipe(stage: str) -> None:
    found = {name.split(".")[0] for module in code.followed(STAGES[stage].modules) for name in code.imports(module)}
    assert found - sys.stdlib_module_names - {"ml_assets"} <= set(STAGES[stage].packages)


def test_the_stages_of_a_product_have_digests_of_their_own(product: Product) -> None:
    digests = {name: stage_code(product, stage) for name, stage in STAGES.items()}
    assert digests["dataset"] == digests["quarantine"]
    assert len(set(digests.values())) == len(STAGES) - 1
