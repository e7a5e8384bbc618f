"""The inputs of each stage of the path, and all that decides its output: one declaration, from which assets get their
dependencies, recipes their digests, and lineage its questions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from platform import machine, python_version_tuple

from ml_assets.core.code.closure import Closure, Code
from ml_assets.core.code.equal_meaning import file_digest
from ml_assets.core.code.exempt_functions import EXEMPT
from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.reads import (
    Read,
    always,
    earlier_deliveries,
    has_labels,
    is_beyond_folds,
    keys,
    knowing_all_keys,
    labelled_apart,
    labelled_together,
    lookback,
    partitions_before,
    tested,
    trained,
)
from ml_assets.first_party import TREE
from ml_assets.spec.derived_parts import ENTRIES
from ml_assets.spec.product import Product
from ml_assets.spec.product_files import CONTRACT_FILE, shared_dbt_files


@dataclass(frozen=True)
class Stage:
    """`builders` compute it: what they reach in the project's code is its code digest. `reads` is what they are given.
    `sections` of product.yaml (or "section.key") configure it, `packages` are the libraries that it computes with.

    `is_partitioned` is False for what is delivered or serves as a whole; `files` names what else of the product folder decides
    the output. A leaf only informs people: nothing is made from it. Only products for which it `is_declared` have the stage.
    """

    name: str
    builders: tuple[str, ...]
    reads: tuple[Read, ...] = ()
    sections: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    is_partitioned: bool = True
    is_leaf: bool = False
    is_declared: Callable[[Product], bool] = always


def _built_by(module: str, *functions: str) -> tuple[str, ...]:
    return tuple(f"ml_assets.builders.{module}:{name}" for name in functions or ("build",))


_TABLES = ("numpy", "pandera", "polars")
_DELIVERED = (*_TABLES, "pyarrow")
"""The functions that read a delivered file and hold it to its contract."""
_JUDGED = ("catboost", "duckdb", "msgspec", "numpy", "polars", "pyarrow", "scipy")
_LOGGED = tuple(f"resources.tracking.mlflow_catalogue:{name}" for name in ("log", "Catalogue", "Catalogue.run"))
_REFERENCE = Read("reference", is_declared=lambda product: bool(product.delivery.reference))
_KEYS_BEFORE = Read(
    "features",
    earlier_deliveries,
    is_required=False,
    is_declared=lambda product: product.partitions.is_static,
    chosen=knowing_all_keys,
    is_read=is_beyond_folds,
)
_EVALUATED = (Read("model"), Read("evaluation"))
_TESTED = (Read("features", tested, is_declared=labelled_together), Read("outcomes", tested, is_declared=labelled_apart))
_BEFORE = (
    Read("features", trained, is_required=False, newest=partitions_before, is_declared=labelled_together),
    Read("outcomes", trained, is_required=False, newest=partitions_before, is_declared=labelled_apart),
)
_TRAINED = (
    Read("features", trained, is_required=False, is_declared=labelled_together),
    Read("outcomes", trained, is_required=False, is_declared=labelled_apart),
)
_ENOUGH = tuple(replace(read, at_least=lambda product: product.window.minimum) for read in _TRAINED)
_STAGES = (
    Stage("raw", _built_by("raw"), sections=("delivery",), packages=("numpy", "polars", "pyarrow")),
    Stage(
        "reference",
        _built_by("reference"),
        sections=("delivery",),
        packages=_DELIVERED,
        files=("contract",),
        is_partitioned=False,
    ),
    Stage(
        "dataset",
        _built_by("dataset", "audited", "build"),
        (Read("raw"),),
        ("delivery", "partitions"),
        _TABLES,
        ("contract",),
    ),
    Stage(
        "quarantine",
        _built_by("dataset", "audited", "build_quarantine"),
        (Read("raw"),),
        ("delivery", "partitions"),
        _TABLES,
        ("contract",),
    ),
    Stage(
        "features",
        _built_by("features"),
        (Read("dataset", lookback, is_required=False), Read("dataset"), _REFERENCE, _KEYS_BEFORE),
        ("delivery", "features", "partitions", "split"),
        ("dbt-core", "dbt-common", "dbt-duckdb", "duckdb", "polars", "pyarrow", "sqlglot"),
        ("contract", "dbt"),
    ),
    Stage(
        "outcomes",
        _built_by("outcomes"),
        (Read("features"),),
        ("labels", "features"),
        _DELIVERED,
        ("contract",),
        is_declared=has_labels,
    ),
    Stage(
        "model",
        _built_by("model"),
        _ENOUGH,
        ("task", "model", "features", "split"),
        ("catboost", "numpy", "polars"),
        ("contract",),
    ),
    Stage(
        "evaluation",
        _built_by("evaluation"),
        (*_BEFORE, Read("model"), *_TESTED),
        ("task", "decision", "evaluation", "features", "gates", "monitoring.value", "split", "keys"),
        _JUDGED,
    ),
    Stage(
        "report",
        _built_by("report"),
        (*_EVALUATED, *_BEFORE, *_TESTED),
        ("task", "decision", "features", "gates", "model.seed", "split", "keys"),
        (*_JUDGED, "evidently", "matplotlib"),
        is_leaf=True,
    ),
    Stage(
        "release",
        _built_by("release"),
        (*_TRAINED, *_EVALUATED, Read("features")),
        ("title", "task", "decision", "gates", "features", "endpoint.unknown_categories", "monitoring.value", "split"),
        ("catboost", "msgspec", *_TABLES),
        ("contract",),  # the SQL and the lookups that it ships are in the features that it reads
    ),
    Stage(
        "tracking",
        (*_built_by("tracking"), *_LOGGED),
        _EVALUATED,
        ("task", "model"),
        ("dagster-mlflow", "mlflow"),
        is_leaf=True,
    ),
    Stage(
        "monitoring",
        _built_by("monitoring"),
        (Read("features"),),
        ("task", "decision", "evaluation", "features", "gates.unit", "monitoring", "split"),
        (*_JUDGED, "matplotlib"),
    ),
    # the threshold, the features and the time are the bundle's: no section of product.yaml decides
    Stage("predictions", _built_by("predictions"), (Read("features"),), packages=_JUDGED),
    Stage(
        "realised",
        _built_by("realised"),
        (Read("outcomes"), Read("predictions", is_required=False)),
        ("task", "decision", "evaluation", "features", "gates", "labels", "monitoring.metric", "monitoring.value", "split"),
        (*_JUDGED, "matplotlib"),
        is_declared=has_labels,
    ),
)
STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _STAGES}
DATA = ("raw", "reference", "dataset", "quarantine", "features", "outcomes")
UNJUDGED = (*DATA, "model")
"""The stages that come before a verdict: what they make is content alone, the same in every home."""
"""The stages that other partitions read, in path order: what is stale of them is rebuilt before it is used."""
LEAVES = tuple(stage.name for stage in _STAGES if stage.is_leaf)
"""The stages that only inform: nothing is made from them."""
UNAWAITED = ("monitoring", "predictions", "realised", *LEAVES)
"""The stages that no decision of their run waits for: they run last, in this order."""
SOURCE = Code(TREE.texts, frozenset(EXEMPT))
"""The project's code as this process runs it."""


@dataclass(frozen=True)
class Reads:
    """(stage, partition) pairs that a stage reads: `required` must exist, `available` are taken as far as they do."""

    required: tuple[tuple[str, str], ...] = ()
    available: tuple[tuple[str, str], ...] = ()


def declared_reads(product: Product, stage: str) -> tuple[Read, ...]:
    """The inputs that the stage of this product declares."""
    return tuple(read for read in STAGES[stage].reads if read.is_declared(product))


def reads(product: Product, stage: str, partition: str, is_there: Callable[[tuple[str, str]], bool] = lambda _: True) -> Reads:
    """The inputs of the stage for one partition. An unpartitioned asset has the partition "". `is_there` says which of those that
    are not required can be taken; without it, what would be read if nothing of the calendar were missing."""
    required: list[tuple[str, str]] = []
    available: list[tuple[str, str]] = []
    for read in declared_reads(product, stage):
        if not read.is_read(product, partition):
            continue
        span_keys = keys(product, partition, read.span(product)) if STAGES[read.stage].is_partitioned else [""]
        if read.is_required:
            required += [(read.stage, key) for key in span_keys]
        else:
            selected = read.taken(product, [key for key in span_keys if is_there((read.stage, key))])
            available += [(read.stage, key) for key in selected]
    return Reads(tuple(required), tuple(available))


def test_keys(product: Product, partition: str) -> tuple[str, ...]:
    """The partitions that a candidate as of `partition` is tested on: the last `window.test`, ending with it."""
    return tuple(keys(product, partition, tested(product)))


def train_keys(product: Product, partition: str) -> tuple[str, ...]:
    """The partitions that a candidate as of `partition` may train on: up to `window.train` before the test window."""
    return tuple(key for _, key in reads(product, "model", partition).available)


def environment(stage: Stage) -> dict[str, str]:
    """The versions that the stage computes with: Python's minor, the machine's architecture and its packages."""
    python = ".".join(python_version_tuple()[:2])
    return {"python": python, "machine": machine()} | {name: _version(name) for name in stage.packages}


@cache
def _version(package: str) -> str:
    return version(package)


@cache
def closure(*entries: str) -> Closure:
    """The closure of these functions ("package.module:name") in the code of this process."""
    return SOURCE.closure(*entries)


def stage_code(product: Product, stage: Stage) -> str:
    """The code digest of a stage: what its builders reach, and those files of the product that decide its output."""
    files = {
        name: file_digest(name, content) for name, content in _deciding_files(product, stage, shared=shared_dbt_files()).items()
    }
    return digest_json({"code": closure(*entry_points(product, stage)).digest, "files": files})


def stage_code_parts(product: Product, stage: Stage) -> dict[str, str]:
    """The parts of the code digest, by module and file, shortened: to name what changed."""
    return {**closure(*entry_points(product, stage)).parts, **file_parts(product, stage, shared=shared_dbt_files())}


def entry_points(product: Product, stage: Stage) -> tuple[str, ...]:
    """The entry points of the stage's code: its builders, and what fills in the parts that the product does not write."""
    return (*stage.builders, *ENTRIES) if stage.files and product.written.derives else stage.builders


def file_parts(product: Product, stage: Stage, *, shared: Mapping[str, bytes]) -> dict[str, str]:
    """The shortened digests of the product's files that decide the stage's output, by name. `shared`: the files that every
    product's dbt project has."""
    files = _deciding_files(product, stage, shared=shared)
    return {name: file_digest(name, content)[:12] for name, content in files.items()}


def _deciding_files(product: Product, stage: Stage, *, shared: Mapping[str, bytes]) -> dict[str, bytes]:
    """The bytes of the product's files that decide the stage's output, by name."""
    files: dict[str, bytes] = {}
    if "contract" in stage.files and product.files.contract is not None:
        files[CONTRACT_FILE] = product.files.contract
    if "dbt" in stage.files:
        files |= {f"dbt/{name}": content for name, content in product.files.dbt.items()}
        files |= shared
    return files


def stage_config(product: Product, stage: Stage) -> dict[str, object]:
    """The sections of product.yaml that configure the stage."""
    return dict(product.section(*stage.sections)) if stage.sections else {}


def environment_digest(stage: Stage) -> str:
    """The part of a recipe's key that changes with an upgrade: the digest of `environment`."""
    return digest_json(environment(stage))
