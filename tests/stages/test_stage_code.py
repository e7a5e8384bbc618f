"""Which stages each change of our own code makes stale: those whose bytes may come out differently, and no other."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ml_assets.core.code.closure import Code
from ml_assets.core.code.exempt_functions import EXEMPT
from ml_assets.core.contract.breaches import ContractBreached
from ml_assets.core.lineage import stages
from ml_assets.core.lineage.stages import STAGES
from ml_assets.first_party import TREE
from ml_assets.spec.product import Product
from tests.support import plans
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop
from tests.support.shared import parse_alone

Texts = Mapping[str, str]
Edit = Callable[[Texts], Texts]
TEXTS: Texts = {name: content.decode() for name, content in TREE.texts.items()}
_TAKEN_APART = Code(TREE.texts).known
NOTHING = ""
PARQUET = "raw reference dataset quarantine features evaluation monitoring outcomes realised"
SCORED = "evaluation report release monitoring predictions realised"


def change(module: str, old: str, new: str) -> Edit:
    """Replace a text that occurs in a module."""

    def changed(texts: Texts) -> Texts:
        assert old in texts[module], f"{old!r} is not in {module}"
        return {**texts, module: texts[module].replace(old, new)}

    return changed


def every(module: str, change: Callable[[str], str]) -> Edit:
    """Change a module's whole text."""

    def changed(texts: Texts) -> Texts:
        assert change(texts[module]) != texts[module]
        return {**texts, module: change(texts[module])}

    return changed


def add(module: str, text: str) -> Edit:
    return lambda texts: {**texts, module: texts.get(module, "") + text}


def move(module: str, to: str) -> Edit:
    """Another name for a module, in every import of it."""
    parent, _, name = module.rpartition(".")
    new_parent, _, new_name = to.rpartition(".")

    def moved(texts: Texts) -> Texts:
        def apart(match: re.Match[str]) -> str:
            others = [name_ for name_ in match[2].split(", ") if name_ != name]
            kept = [f"{match[1]}from {parent} import {', '.join(others)}"] if others else []
            return "\n".join([*kept, f"{match[1]}from {new_parent} import {new_name} as {name}"])

        def renamed(text: str) -> str:
            text = re.sub(rf"\b{re.escape(module)}\b", to, text)
            text = re.sub(rf"^( *)from {re.escape(parent)} import ((?:\w+, )*{name}(?:, \w+)*)$", apart, text, flags=re.M)
            return re.sub(rf"from {re.escape(parent)} import {name} as", f"from {new_parent} import {new_name} as", text)

        assert to not in texts
        assert any(module in text for text in texts.values()), f"nobody imports {module}"
        return {to if key == module else key: renamed(text) for key, text in texts.items()}

    return moved


def rename(name: str, to: str) -> Edit:
    """Another name for a function or class, wherever it is used."""
    return lambda texts: {module: re.sub(rf"\b{name}\b", to, text) for module, text in texts.items()}


def both(*edits: Edit) -> Edit:
    def changed(texts: Texts) -> Texts:
        for edit in edits:
            texts = edit(texts)
        return texts

    return changed


SPLIT = '''
"""Floats as integers."""
import polars as pl

_EXACT_FLOAT = 2**53


def whole_numbers(numbers: pl.Series, dtype: pl.DataType) -> pl.Series:
    exact = (numbers == numbers.round()) & (numbers.abs() < _EXACT_FLOAT)
    return numbers.set(~exact.fill_null(False), None).cast(dtype, strict=False)
'''


def split_casting(texts: Texts) -> Texts:
    """Take the last helper of casting into a module of its own, under another name."""
    before, _, rest = texts["ml_assets.core.contract.casting"].partition("def _whole(")
    _, _, after = rest.partition("strict=False)\n")
    assert "_whole(" in before
    text = (before + after).replace("_whole(", "whole_numbers(").replace("_EXACT_FLOAT = 2**53\n", "")
    return {
        **texts,
        "ml_assets.core.contract.casting": text.replace(
            "import polars", "from ml_assets.core.whole_numbers import _EXACT_FLOAT, whole_numbers\nimport polars", 1
        ),
        "ml_assets.core.whole_numbers": SPLIT,
    }


SAME: Mapping[str, Edit] = {
    "a comment": change("ml_assets.core.frames", "    sink = io", "    # in memory\n    sink = io"),
    "a docstring": change("ml_assets.core.model.training", '"""Fit on the rows of', '"""Fit a model on the rows of'),
    "another layout": change("ml_assets.core.frames", "(sink, compression=", "(\n        sink,\n        compression="),
    "carriage returns": every("ml_assets.core.contract.casting", lambda text: text.replace("\n", "\r\n")),
    "an annotation": change("ml_assets.core.frames", "frame: pl.DataFrame) -> bytes", "frame: object) -> object"),
    "a function's name": rename("parquet_bytes", "as_parquet"),
    "a helper's name": rename("_from_typed", "_of_typed"),
    "a class's name": rename("TableAudit", "SplitTable"),
    "a module's name": move("ml_assets.core.contract.casting", "ml_assets.core.types_of_values"),
    "a module that is moved": move("ml_assets.core.metrics.drift", "ml_assets.serving.drift"),
    "a module that is moved and imported as a whole": move("ml_assets.core.metrics.binary", "ml_assets.core.deep.metrics"),
    "a builder's neighbour that is moved": move("resources.dbt.runner", "resources.dbt.build.runner"),
    "a function in a module of its own": split_casting,
    "a function that nobody calls": add("ml_assets.core.contract.casting", "\n\ndef unused(x):\n    return x + 1\n"),
    "an import that nobody uses": change("ml_assets.core.frames", "import io", "import io\nimport json"),
}


@pytest.mark.parametrize("what", SAME)
def test_what_people_alone_read_and_where_it_stands_makes_nothing_stale(what: str) -> None:
    assert stale(SAME[what]) == set()


OTHER: Mapping[str, tuple[Edit, str]] = {
    "the endpoint's routes": (change("ml_assets.serving.http.app", "(408, 413, 415)", "(400, 408, 413, 415)"), NOTHING),
    "the batcher": (change("ml_assets.serving.http.batcher", "GATHER_SECONDS = 0.005", "GATHER_SECONDS = 0.01"), NOTHING),
    "the prediction log": (add("ml_assets.serving.log.writer", "\nOTHER = 1\n"), NOTHING),
    "the endpoint's own SQL compiler": (
        every("ml_assets.serving.compiled.sql.query", lambda text: f"{text}\nprint(1)\n"),
        NOTHING,
    ),
    "how a prediction is recorded": (
        change("ml_assets.serving.log.record", "scores >= thresholds", "scores > thresholds"),
        "predictions",
    ),
    "how a prediction is numbered offline": (
        change("ml_assets.serving.log.batch_predictions", "6b1ff1d6", "6b1ff1d7"),
        "predictions",
    ),
    "the command line": (change("ml_assets.cli.path.run", "progress.close()", "progress.close(); print()"), NOTHING),
    "progress on the command line": (change("ml_assets.cli.shared.progress", 'BAR = "·"', 'BAR = "."'), NOTHING),
    "a sensor": (change("sensors.new_data", "MOST_RUNS = 25", "MOST_RUNS = 5"), NOTHING),
    "a check": (change("ml_assets.services.proofs.leakage", "return", "print(); return"), NOTHING),
    "the ledger": (change("resources.ledger.ledger", "def publish(", "def publish2(): pass\n\n    def publish("), NOTHING),
    "the ledger's tables": (change("resources.ledger.tables", "metadata = ", "other = metadata = "), NOTHING),
    "the store": (change("resources.store.snapshots", "return", "print(); return"), NOTHING),
    "the lineage that runs builders": (
        change("resources.lineage", "clock = Stopwatch()", "clock = Stopwatch(); print(recipe)"),
        NOTHING,
    ),
    "the model card": (change("ml_assets.core.release.card", "FEW_UNITS = 30", "FEW_UNITS = 31"), "release"),
    "the bundle": (change("ml_assets.core.release.bundle", "GOLDEN_ROWS = 16", "GOLDEN_ROWS = 17"), "release"),
    "the style of plots": (
        change("ml_assets.core.plots.style", '"font.size": 8', '"font.size": 9'),
        "report monitoring realised",
    ),
    "the pictures of an evaluation": (change("ml_assets.core.plots.gates", "svg(", "print() or svg("), "report"),
    "Evidently's page": (change("ml_assets.core.evaluation.evidently_report", "MAX_ROWS = 5000", "MAX_ROWS = 4000"), "report"),
    "what MLflow shows": (change("ml_assets.builders.tracking", '"evaluation/summary.md"', '"summary.md"'), "tracking"),
    "how MLflow is called": (
        change("resources.tracking.mlflow_catalogue", "time.time() * 1000", "time.time() * 100"),
        "tracking",
    ),
    "who may register a version": (change("ml_assets.services.mlflow_catalogue", '"approval": ', '"approved": '), NOTHING),
    "the bounds of gates": (change("ml_assets.core.gates.bounds", "POWER = 0.8", "POWER = 0.9"), "evaluation"),
    "the arithmetic of verdicts": (
        change("ml_assets.core.gates.verdict", "not lacks and _is_better", "_is_better"),
        "evaluation",
    ),
    "a metric": (change("ml_assets.core.metrics.binary", "(y - s) ** 2", "abs(y - s)"), "evaluation monitoring realised"),
    "intervals": (
        change("ml_assets.core.metrics.spread", "CAUTION = 1.5", "CAUTION = 2.5"),
        "evaluation monitoring realised",
    ),
    "drift": (change("ml_assets.core.metrics.drift", "BINS = 10", "BINS = 20"), "release"),
    "how far a distribution moved": (change("ml_assets.core.metrics.drift", "np.log(a / e)", "np.log2(a / e)"), "monitoring"),
    "the types of values": (
        change("ml_assets.core.contract.casting", "_EXACT_FLOAT = 2**53", "_EXACT_FLOAT = 2**52"),
        "reference dataset quarantine outcomes",
    ),
    "the contract's engine": (
        change("ml_assets.core.contract.engine", "~passed", "passed"),
        "reference dataset quarantine outcomes",
    ),
    "dropping a column in the dataset's builder": (
        change("ml_assets.builders.dataset", "parquet_bytes(table.valid)", 'parquet_bytes(table.valid.drop("city"))'),
        "dataset",
    ),
    "what quarantine keeps": (
        change("ml_assets.builders.dataset", "parquet_bytes(table.refused)", "parquet_bytes(table.refused[:9])"),
        "quarantine",
    ),
    "reading": (
        change("ml_assets.core.contract.reading", "empty_string_is_null=False", "empty_string_is_null=True"),
        "raw reference outcomes",
    ),
    "the words of a delivery's error": (
        change("ml_assets.core.contract.reading", "deliver the file again", "send it again"),
        "raw reference outcomes",
    ),
    "the bytes of Parquet": (change("ml_assets.core.frames", '"zstd"', '"lz4"'), PARQUET),
    "what is in a features snapshot": (
        change("ml_assets.core.model.features", '"labels.parquet"', '"outcomes.parquet"'),
        "features",
    ),
    "rows in the order of partitions": (
        change("ml_assets.core.model.features", "pl.concat(frames.values())", "pl.concat(frames.values()).reverse()"),
        "model evaluation report release",
    ),
    "training": (change("ml_assets.core.model.training", '{"loss_function": loss', '{"loss": loss'), "model tracking"),
    "which rows have a label": (
        change("ml_assets.core.model.training", "pl.col(label).is_not_null()", "pl.col(label).is_finite()"),
        "model evaluation report release",
    ),
    "who hears of training's progress": (
        change("ml_assets.core.model.training", "self.progress(info.iteration", "print(); self.progress(info.iteration"),
        NOTHING,
    ),
    "scoring": (change("ml_assets.core.model.scoring", "threads=-1", "threads=1"), SCORED),
    "a release's own features": (
        change("ml_assets.core.release.offline_bundle", 'how="left"', 'how="inner"'),
        "evaluation monitoring predictions realised",
    ),
    "the database that features.sql runs in": (
        change("ml_assets.core.release.feature_database", '"threads": 1', '"threads": 2'),
        "evaluation monitoring predictions realised",
    ),
    "DuckDB's session": (
        change("ml_assets.core.duckdb_session", "TimeZone = 'UTC'", "TimeZone = 'CET'"),
        "features evaluation monitoring predictions realised",
    ),
    "how dbt is run": (change("resources.dbt.runner", '"--no-populate-cache"', '"--populate-cache"'), "features"),
    "the folder of dbt's project": (
        change("resources.dbt.project", "finished.rename(final)", "finished.replace(final)"),
        NOTHING,
    ),
    "where a column comes from": (
        change("resources.dbt.column_lineage", "tuple(sorted(_leaves", "tuple(reversed(_leaves"),
        NOTHING,
    ),
    "the calendar": (
        change("ml_assets.core.lineage.partitions", "start - datetime(1, 1, 1)", "start - datetime(1, 1, 2)"),
        NOTHING,
    ),
    "when a partition begins": (change("ml_assets.core.lineage.partitions", "by=1)", "by=2)"), "dataset quarantine features"),
    "a new key of a section": (
        change("ml_assets.spec.sections", "    lookback: int", "    lookahead: int = 0\n    lookback: int"),
        NOTHING,
    ),
    "a new section": (
        change(
            "ml_assets.spec.product",
            "    rebuild: RebuildSpec",
            "    other: RebuildSpec = RebuildSpec()\n    rebuild: RebuildSpec",
        ),
        NOTHING,
    ),
    "how product.yaml is parsed": (change("ml_assets.spec.yaml_file", "strict=True", "strict=False"), NOTHING),
    "the words for an unknown name": (change("ml_assets.spec.yaml_file", "difflib.get_close_matches", "list"), NOTHING),
    "the base class of errors": (
        change("ml_assets.errors", "(Exception)", "(RuntimeError)"),
        " ".join(STAGES),
    ),
    "the plan": (change("ml_assets.core.lineage.planning", "if causes:", "if causes or 1:"), NOTHING),
    "what a person approved": (add("ml_assets.core.release.clearance", "\nOTHER = 1\n"), NOTHING),
    "the environment that is pinned": (change("resources.environment", '"TZ": "UTC"', '"TZ": "CET"'), "features tracking"),
    "this very rule": (
        change("ml_assets.core.code.closure", "sorted(digests.values())", "sorted(digests.values(), reverse=True)"),
        NOTHING,
    ),
}
NEVER_A_MODEL = ("serving", "cli", "sensors", "ledger", "card", "plots", "report", "tracking", "mlflow")


@pytest.mark.parametrize("what", OTHER)
def test_a_change_makes_exactly_those_stages_stale_whose_bytes_flow_through_it(what: str) -> None:
    edit, expected = OTHER[what]
    assert stale(edit) == set(expected.split())


def test_no_code_that_only_serves_asks_or_draws_is_in_a_models_digest() -> None:
    units = Code(TREE.texts, frozenset(EXEMPT), _TAKEN_APART).closure(*STAGES["model"].builders).units
    assert len(units) > 10
    assert [module for module, _ in units if set(NEVER_A_MODEL) & set(re.split(r"[._]", module))] == []


def stale(edit: Edit) -> set[str]:
    """The stages whose code digest the edit changes."""
    return {name for name, digest in digests(edit).items() if digest != unedited()[name]}


@cache
def unedited() -> Mapping[str, str]:
    return digests(lambda texts: texts)


def digests(edit: Edit) -> Mapping[str, str]:
    code = edited(edit)
    return {name: code.closure(*stage.builders).digest for name, stage in STAGES.items()}


def edited(edit: Edit) -> Code:
    return Code({name: text.encode() for name, text in edit(TEXTS).items()}, frozenset(EXEMPT), _TAKEN_APART)


DATA = ("raw", "dataset", "quarantine", "features", "model")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Two days of the shop, up to the verdict on the first model."""
    own_home = shop(tmp_path_factory.mktemp("plain"))
    deliver(own_home, *DAYS[:2])
    assert own_home.run(DAYS[0], only=DATA[:4]).success
    assert own_home.run(DAYS[1], only=(*DATA, "evaluation")).success
    yield own_home
    own_home.close()


def test_a_column_that_the_datasets_builder_drops_makes_everything_after_it_stale(
    plain: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(code: Code) -> set[tuple[str, str]]:
        monkeypatch.setattr(stages, "SOURCE", code)
        stages.closure.cache_clear()
        return {(item.stage, item.partition) for item in plans.planned(plain.space, plain.product)}

    try:
        informs = {("report", DAYS[1]), ("tracking", DAYS[1])}
        assert planned(stages.SOURCE) == informs | {("release", DAYS[1])}
        stale = planned(edited(OTHER["dropping a column in the dataset's builder"][0]))
    finally:
        monkeypatch.undo()
        stages.closure.cache_clear()
    each_day = {(stage, day) for stage in ("dataset", "features") for day in DAYS[:2]}
    assert stale == each_day | {(stage, DAYS[1]) for stage in ("model", "evaluation")} | informs


@contextmanager
def _elsewhere(parent: Path) -> Iterator[str]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent.parent, prefix="elsewhere ") as folder:
        yield folder


def _contract(product: Product) -> ModuleType:
    """contract.py under another name, and nobody asks what is wrong with it."""
    import sys

    sys.modules["contract_of_a_mutant"] = module = ModuleType("contract_of_a_mutant")
    exec(product.files.contract or b"", vars(module))
    return module


def _breach(self: ContractBreached, **about: Any) -> None:
    vars(self).update(about)
    Exception.__init__(self, "no words")


MUTANTS: Mapping[str, Any] = {
    "ml_assets.first_party:_Guard.find_spec": lambda self, name, path, target=None: None,
    "ml_assets.core.model.training:_Reporter.after_iteration": lambda self, info: True,
    "ml_assets.stages.model:_progress": lambda context, product: lambda done, total, loss: None,
    "ml_assets.spec.product:Product.contract": property(_contract),
    "ml_assets.spec.yaml_file:unknown_name": lambda match, allowed: "no words",
    "ml_assets.core.contract.breaches:ContractBreached.__init__": _breach,
    "resources.dbt.project:scratch": _elsewhere,
    "resources.dbt.project:publish": shutil.copytree,
    "resources.dbt.column_lineage:trace": lambda model, sql, columns: {},
}


def test_every_exemption_has_a_mutant() -> None:
    assert MUTANTS.keys() == EXEMPT.keys()


@pytest.mark.long
@pytest.mark.parametrize("half", [0, 1])
def test_what_is_exempt_changes_no_data(half: int, plain: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the mutants at once: each is another run of two days otherwise."""
    for which in [*MUTANTS][half::2]:
        mutate(monkeypatch, which)
    own_home = shop(tmp_path)
    parse_alone(own_home.folder)
    deliver(own_home, *DAYS[:2])
    assert own_home.run(DAYS[0], only=DATA[:4]).success
    assert own_home.run(DAYS[1], only=DATA).success
    assert versions(own_home) == versions(plain)
    own_home.close()


def versions(own_home: Home) -> dict[str, str]:
    manifests = {f"{stage} {day}": own_home.current(stage, day) for stage in DATA for day in DAYS[:2]}
    return {name: manifest.data_version for name, manifest in manifests.items() if manifest is not None}


def mutate(monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    """Put the mutant in the function's place in every module that has it."""
    import sys

    name, _, unit = which.partition(":")
    owner, _, attribute = unit.rpartition(".")
    if owner:
        monkeypatch.setattr(getattr(sys.modules[name], owner), attribute, MUTANTS[which])
        return
    before = getattr(__import__(name, fromlist=[unit]), unit)
    for module in [module for key, module in sys.modules.items() if key.split(".")[0] in ("ml_assets", "resources")]:
        if getattr(module, unit, None) is before:
            monkeypatch.setattr(module, unit, MUTANTS[which])
