"""The code digest changes with what is computed, wherever it stands, and with nothing else."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.code import equal_meaning
from ml_assets.core.code.closure import Code, UnknownEntry
from ml_assets.core.code.equal_meaning import file_digest
from ml_assets.core.code.exempt_functions import EXEMPT
from ml_assets.core.lineage import stages
from ml_assets.core.lineage.stages import SOURCE, STAGES, stage_code
from ml_assets.first_party import TREE
from ml_assets.spec.product import Product, load
from tests.support import trains
from tests.support.homes.apart import apart, deliver_orders, deliver_returns
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop
from tests.support.shared import parse_alone

PYTHON = """\
import math
LIMIT = 3

class Tariff:
    rate = 0.5

    def price(self, distance, *, low=1):
        if distance > LIMIT:
            return self.rate * distance
        return max(low, math.floor(distance))

def cost(distance):
    return Tariff().price(distance)
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
    PYTHON.replace("max(low, math.floor(distance))", "max(low, math.floor(distance)), None"),
    PYTHON.replace("import math\n", "math = None\n"),
]
RENAMED = [
    PYTHON.replace("LIMIT", "MOST"),
    PYTHON.replace("Tariff", "Price"),
    PYTHON.replace("import math", "import math as m").replace("math.", "m."),
    PYTHON.replace("import math", "from math import floor").replace("math.floor", "floor"),
    PYTHON.replace("def cost(distance)", "def cost(distance: float) -> float"),
    "from __future__ import annotations\n" + PYTHON,
    PYTHON + "\ndef beside(x):\n    return x + 1\n",
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


def digest(text: str, *, module: str = "shop.core.price", entry: str = "cost", **others: str) -> str:
    """The digest of what a function of a module reaches; `others` are modules beside it ("a__b" is shop.a.b)."""
    texts = {module: text} | {f"shop.{name.replace('__', '.')}": content for name, content in others.items()}
    return Code({name: content.encode() for name, content in texts.items()}).closure(f"{module}:{entry}").digest


@pytest.mark.parametrize("same", [*SAME, *RENAMED])
def test_comments_layout_annotations_and_names_do_not_count(same: str) -> None:
    assert same != PYTHON
    assert digest(same) == digest(PYTHON)


def test_every_other_change_counts() -> None:
    digests = [digest(text) for text in (PYTHON, *OTHER)]
    texts = [PYTHON, *OTHER]
    assert [(texts[a], texts[b]) for a, b in combinations(range(len(texts)), 2) if digests[a] == digests[b]] == []


@pytest.mark.parametrize("same", SAME_SQL)
def test_comments_and_layout_of_sql_do_not_count(same: str) -> None:
    assert file_digest("a.sql", same.encode()) == file_digest("a.sql", SQL.encode())


def test_every_other_change_of_sql_counts() -> None:
    assert len({file_digest("a.sql", text.encode()) for text in (SQL, *OTHER_SQL)}) == len(OTHER_SQL) + 1


def test_in_other_files_everything_counts() -> None:
    assert len({file_digest("a.yml", text) for text in (b"a: 1", b"a: 1 # one", b"a:  1")}) == 3


@given(st.text(), st.text(), st.sampled_from("'\""))
def test_all_that_is_quoted_in_sql_counts(one: str, other: str, quote: str) -> None:
    first, second = (f"select {quote}{text.replace(quote, 2 * quote)}{quote} -- x" for text in (one, other))
    assert (equal_meaning.sql_meaning(first) == equal_meaning.sql_meaning(second)) == (one == other)


GAPS = st.sampled_from([" ", "\n", "\t ", "/* ' */", '-- "\n', "{# /* #}"])


@given(st.lists(GAPS, min_size=12, max_size=12))
def test_sql_may_be_laid_out_in_any_way(gaps: list[str]) -> None:
    words = ["select", "a", ",", "'b  c'", "from", "t", "where", "(", "a", ">", "1.5", ")"]
    text = "".join(gap + word for gap, word in zip(gaps, words, strict=True))
    assert equal_meaning.sql_meaning(text) == words


IMPORTED = {
    "a function by name": "from shop.deep import value\ndef cost(x):\n    return value(x)",
    "a function under another name": "from shop.deep import value as v\ndef cost(x):\n    return v(x)",
    "a module": "from shop import deep\ndef cost(x):\n    return deep.value(x)",
    "relatively": "from ..deep import value\ndef cost(x):\n    return value(x)",
    "inside of a function": "def cost(x):\n    from shop.deep import value\n    return value(x)",
    "through another module": "from shop.middle import value\ndef cost(x):\n    return value(x)",
    "as a default": "from shop.deep import value\ndef cost(x, by=value):\n    return by(x)",
    "as a decorator": "from shop.deep import value\n@value\ndef cost(x):\n    return x",
    "in a value": "from shop.deep import value\nBY = {'x': value}\ndef cost(x):\n    return BY['x'](x)",
    "in a class": "from shop.deep import value\nclass C:\n    by = value\ndef cost(x):\n    return C.by(x)",
    "in a property": (
        "from shop.deep import value\nclass C:\n    @property\n    def p(self):\n        return value(1)\n"
        "def cost(x):\n    return C().p"
    ),
    "in a method of an argument": "from shop.deep import Held\ndef cost(held: Held):\n    return held.given()",
    "in a method of an argument that is quoted": "from shop.deep import Held\ndef cost(held: 'Held'):\n    return held.given()",
    "in a field of an argument": (
        "from dataclasses import dataclass\nfrom shop.deep import Held\n@dataclass\nclass Holds:\n    one: Held\n"
        "def cost(x: Holds):\n    return x.one.given()"
    ),
}
DEEP = "def value(x):\n    return x + {0}\n\nclass Held:\n    def given(self):\n        return value({0})\n"


@pytest.mark.parametrize("how", IMPORTED)
def test_what_a_function_reaches_counts_however_it_is_reached(how: str) -> None:
    def digest_with(number: int, note: str = "") -> str:
        return digest(IMPORTED[how], deep=DEEP.format(number) + note, middle="from shop.deep import value")

    assert digest_with(1) == digest_with(1, "# a note\n")
    assert digest_with(1) != digest_with(2)


def test_moving_or_renaming_a_module_changes_nothing() -> None:
    text, deep = IMPORTED["a function by name"], DEEP.format(1)
    moved = digest(text.replace("shop.deep", "shop.far.away"), module="shop.elsewhere", far__away=deep)
    assert moved == digest(text, deep=deep)
    module = IMPORTED["a module"]
    assert digest(module.replace("import deep", "import other").replace("deep.", "other."), other=deep) == digest(
        module, deep=deep
    )


def test_moving_a_function_to_another_module_changes_nothing() -> None:
    whole = "def helper(x):\n    return x * 2\n\ndef cost(x):\n    return helper(x)\n"
    split = "from shop.help import helper\ndef cost(x):\n    return helper(x)\n"
    assert digest(whole) == digest(split, help="def helper(x):\n    return x * 2\n")


def test_calling_another_function_counts_though_both_are_reached() -> None:
    text = "def one(x):\n    return x\n\ndef two(x):\n    return -x\n\ndef cost(x):\n    return one(x) + two({0}(x))\n"
    assert digest(text.format("one")) != digest(text.format("two"))


def test_functions_that_call_each_other_both_count() -> None:
    even = "def even(n):\n    return n == 0 or odd(n - 1)\n\n"
    text = even + "def odd(n):\n    return n != {0} and even(n - 1)\n\ndef cost(n):\n    return even(n)\n"
    assert digest(text.format(0)) != digest(text.format(1))


def test_what_is_not_reached_does_not_count() -> None:
    text = (
        "def cost(x):\n    return x\n\ndef beside(x):\n    return {0}\n\nclass Other:\n    def cost(self):\n        return {0}\n"
    )
    assert digest(text.format(1)) == digest(text.format(2))


def test_what_a_module_does_when_it_is_imported_counts() -> None:
    text = "import json\ndef cost(x):\n    return x\n{0}\n"
    assert digest(text.format("")) != digest(text.format("json.loads = str"))


def test_an_entry_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UnknownEntry, match="gone"):
        digest(PYTHON, entry="gone")


@pytest.mark.parametrize(("part", "changed"), [("contract.py", {"dataset", "features", "model"}), ("dbt/a.sql", {"features"})])
def test_a_products_files_count_where_they_are_used(tmp_path: Path, part: str, changed: set[str]) -> None:
    product = trains.product_in(tmp_path)
    (product.folder / "dbt").mkdir()
    (product.folder / "dbt" / "a.sql").write_text("select 1")
    product = load(product.folder)
    before = {name: stage_code(product, STAGES[name]) for name in ("raw", "dataset", "features", "model")}
    with (product.folder / part).open("a") as stream:
        stream.write("\nother = 1")
    assert {name: stage_code(product, STAGES[name]) for name in before} == before, "not before it is loaded again"
    product = load(product.folder)
    assert {name for name, was in before.items() if stage_code(product, STAGES[name]) != was} == changed


BUILT = [name for name in STAGES if name != "tracking"]
DATA, DECIDING = ("raw", "dataset", "quarantine", "features"), ("model", "evaluation", "release")


@pytest.mark.parametrize("stage", BUILT)
def test_all_libraries_that_a_stage_computes_with_are_in_its_recipe(stage: str) -> None:
    """Distributions are declared; `yaml` and `pydantic` only read product.yaml, whose values are in the recipe."""
    libraries = stages.closure(*STAGES[stage].builders).libraries - sys.stdlib_module_names - {"yaml", "pydantic", "__future__"}
    named = {"dbt": "dbt-core", "dbt_common": "dbt-common"}
    assert {named.get(name, name) for name in libraries} <= set(STAGES[stage].packages)


def test_the_stages_of_a_product_have_digests_of_their_own(product: Product) -> None:
    digests = {name: stage_code(product, stage) for name, stage in STAGES.items()}
    assert len(set(digests.values())) == len(STAGES)


class Traced:
    """The first-party functions that run inside of a stage's builder, as places in the source."""

    def __init__(self) -> None:
        self.ran: dict[str, set[tuple[str, int]]] = {}
        self.inside: list[str] = []

    def around(self, stage: str, build: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*args: Any, **kwargs: Any) -> Any:
            self.inside.append(stage)
            before = sys.gettrace()
            sys.settrace(self._note)
            try:
                return build(*args, **kwargs)
            finally:
                sys.settrace(before)
                self.inside.pop()

        return traced

    def _note(self, frame: FrameType, event: str, arg: Any) -> None:
        """Called for each call of a function; it returns no tracer of the function's lines."""
        if frame.f_code.co_filename in NAMES and not _exempt(frame):
            self.ran.setdefault(self.inside[-1], set()).add((frame.f_code.co_filename, frame.f_code.co_firstlineno))


NAMES = {str(path): name for name, path in TREE.paths.items()}


def _exempt(frame: FrameType | None) -> bool:
    """Whether this, or what called it, is a function that is named as deciding nothing."""
    while frame is not None:
        module = NAMES.get(frame.f_code.co_filename)
        if module and f"{module}:{frame.f_code.co_qualname}" in EXEMPT:  # type: ignore[attr-defined]
            return True
        frame = frame.f_back
    return False


def _units_at(module: str) -> Mapping[int, str]:
    """The unit that each line of a module belongs to."""
    lines: dict[int, str] = {}

    def take(node: ast.AST, name: str) -> None:
        for line in range(min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]), node.end_lineno + 1):  # type: ignore[attr-defined]
            lines[line] = name

    for node in ast.parse(TREE.texts[module]).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            take(node, node.name)
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    take(part, f"{node.name}.{part.name}")
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                take(node, target.id)
    return lines


@contextmanager
def tracing(traced: Traced, product: Home) -> Iterator[None]:
    """Each builder traced while a product's home is used, which is closed afterwards."""
    patch = pytest.MonkeyPatch()
    for name in BUILT:
        for entry in STAGES[name].builders:
            module, _, function = entry.partition(":")
            __import__(module)
            patch.setattr(f"{module}.{function}", traced.around(name, getattr(sys.modules[module], function)))
    # its page is a million calls of Evidently's, and takes no other function of ours
    patch.setattr("ml_assets.builders.report.quality_report", lambda *_, **__: b"")
    try:
        yield
    finally:
        product.close()
        patch.undo()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """Two days of the shop, the second up to its release."""
    traced, product = Traced(), _delivered(tmp_path_factory)
    with tracing(traced, product):
        for day, selected in ((DAYS[0], DATA), (DAYS[1], (*DATA, *DECIDING))):
            run = product.run(day, only=selected)
            assert run.success, run.errors
    return traced


@pytest.fixture(scope="module")
def traced_whole(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """Three days of the shop taken down the whole path, where the third meets a champion; and days whose outcomes come in a table
    of their own, those of the third after a release was asked about it."""
    traced, product = Traced(), _delivered(tmp_path_factory)
    with tracing(traced, product):
        for day in DAYS[:3]:
            run = product.run(day, leaves=("report",))
            assert run.success, run.errors
    labelled = apart(tmp_path_factory.mktemp("apart"))
    deliver_orders(labelled, *DAYS[:3])
    with tracing(traced, labelled), blank_pages():
        for day in DAYS[:2]:
            deliver_returns(labelled, day)
        runs = [labelled.run(day) for day in DAYS[:3]]
        deliver_returns(labelled, DAYS[2])
        runs.append(labelled.run(DAYS[2], only=("outcomes", "realised")))
        assert all(run.success for run in runs), [run.errors for run in runs]
    return traced


def _delivered(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A new home with three days of the shop delivered."""
    product = shop(tmp_path_factory.mktemp("traced"))
    parse_alone(product.folder)
    deliver(product, *DAYS[:3])
    return product


@pytest.mark.parametrize("stage", [*DATA, *DECIDING])
def test_every_first_party_function_that_runs_inside_of_a_builder_is_digested_or_exempt(traced: Traced, stage: str) -> None:
    assert_digested_or_exempt(traced, stage)


@pytest.mark.long
@pytest.mark.parametrize("stage", [name for name in BUILT if name != "reference"])
def test_every_first_party_function_that_runs_on_the_whole_path_is_digested_or_exempt(traced_whole: Traced, stage: str) -> None:
    assert_digested_or_exempt(traced_whole, stage)


def assert_digested_or_exempt(traced: Traced, stage: str) -> None:
    reached = stages.closure(*STAGES[stage].builders).units
    ran = {(NAMES[file], line) for file, line in traced.ran[stage] if file in NAMES}
    at = {module: _units_at(module) for module in {module for module, _ in ran}}
    units = {(module, at[module].get(line, "")) for module, line in ran}
    assert len(units) > 3, "something was traced"
    assert {unit for unit in units if unit[1] and unit not in reached} == set()


def test_exemptions_name_functions_that_there_are_and_are_few() -> None:
    assert len(EXEMPT) <= 25
    for name, reason in EXEMPT.items():
        module, _, unit = name.partition(":")
        assert unit in SOURCE.module(module).units, name
        assert len(reason.split()) > 3


def test_the_code_of_a_builder_is_plain_enough_to_be_followed() -> None:
    """What reaches code by a name that is computed cannot be followed: no builder may do so."""
    for stage in BUILT:
        for module, _ in stages.closure(*STAGES[stage].builders).units:
            calls = (node for node in ast.walk(ast.parse(TREE.texts[module])) if isinstance(node, ast.Call))
            named = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
            assert not named & {"eval", "globals", "__import__"}, (stage, module)
            assert "importlib.import_module" not in inspect.cleandoc(TREE.texts[module].decode()), (stage, module)
