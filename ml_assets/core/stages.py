"""What each stage of the path reads and what decides its output: one declaration, from which assets get their
dependencies, recipes their digests, and lineage its questions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from platform import machine, python_version_tuple

from ml_assets.core.code import code_digest, code_parts
from ml_assets.core.digests import digest_json
from ml_assets.core.partitions import partitions_of
from ml_assets.product import Product
from ml_assets.product_files import CONTRACT_FILE


@dataclass(frozen=True)
class Stage:
    """`modules` compute it, `sections` of product.yaml (or "section.key") configure it, `packages` it computes with.

    `is_partitioned` is False for what is delivered or answers as a whole; `files` names what else of the
    product folder decides the output.
    """

    name: str
    modules: tuple[str, ...]
    sections: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    is_partitioned: bool = True


def _core(*names: str) -> tuple[str, ...]:
    return tuple(f"ml_assets.core.{name}" for name in names)


_TABLES = ("numpy", "pandera", "polars")
_JUDGED = ("catboost", "matplotlib", "numpy", "polars", "scipy")
_PREDICTING = ("batch_predictions", "bundle", "compiled_model", "feature_values", "prediction_record", "scorer")
_AUDITED = _core("contract", "frames", "partitions")
_STAGES = (
    Stage("raw", _core("reading", "frames"), ("delivery",), ("numpy", "polars")),
    Stage("reference", _core("contract", "frames"), ("delivery",), _TABLES, ("contract",), is_partitioned=False),
    Stage("dataset", _AUDITED, ("delivery", "partitions"), _TABLES, ("contract",)),
    Stage("quarantine", _AUDITED, ("delivery", "partitions"), _TABLES, ("contract",)),
    Stage(
        "features",
        _core("features", "partitions"),
        ("features", "partitions"),
        ("dbt-core", "dbt-duckdb", "duckdb", "polars"),
        ("contract", "dbt"),
    ),
    # its plots are left out: another line width is no reason to train again
    Stage("model", _core("training", "features"), ("task", "model", "features"), ("catboost", "numpy", "polars")),
    Stage(
        "evaluation",
        _core("judging", "report", "scoring", "training"),
        ("task", "decision", "evaluation", "gates"),
        (*_JUDGED, "evidently"),
    ),
    Stage(
        "release",
        _core("bundle", "card", "scoring"),
        ("task", "decision", "gates", "features", "endpoint.unknown_categories"),
        ("catboost", *_TABLES),
        ("contract", "dbt"),
    ),
    Stage("monitoring", _core("observing", "scoring"), ("task", "monitoring", "features"), _JUDGED),
    # the threshold, the features and the time are the bundle's: no section of product.yaml decides
    Stage(
        "predictions",
        (*(f"ml_assets.serving.{name}" for name in _PREDICTING), *_core("scoring")),
        packages=("catboost", "msgspec", "numpy", "polars", "pyarrow", "scipy"),
    ),
)
STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _STAGES}


@dataclass(frozen=True)
class Reads:
    """(stage, partition) pairs that a stage reads: `required` must exist, `available` are taken as far as they do."""

    required: tuple[tuple[str, str], ...] = ()
    available: tuple[tuple[str, str], ...] = ()


def reads(product: Product, stage: str, partition: str) -> Reads:
    """What the stage reads for one partition. An unpartitioned asset has the partition ""."""
    required: tuple[tuple[str, str], ...] = ()
    match stage:
        case "dataset" | "quarantine":
            required = (("raw", partition),)
        case "features":
            return _features_reads(product, partition)
        case "model":
            return Reads(available=tuple(("features", key) for key in train_keys(product, partition)))
        case "evaluation":
            required = (("model", partition), *(("features", key) for key in test_keys(product, partition)))
        case "release":
            required = (("model", partition), ("evaluation", partition), ("features", partition))
        case "monitoring" | "predictions":
            required = (("features", partition),)
    return Reads(required=required)


def _features_reads(product: Product, partition: str) -> Reads:
    calendar = partitions_of(product)
    earlier = (calendar.shift(partition, -n) for n in range(product.features.lookback, 0, -1))
    reference = (("reference", ""),) if product.delivery.reference else ()
    available = tuple(("dataset", key) for key in earlier if calendar.contains(key))
    return Reads(required=(("dataset", partition), *reference), available=available)


def test_keys(product: Product, partition: str) -> tuple[str, ...]:
    """The partitions that a candidate as of `partition` is tested on: the last `window.test`, ending with it."""
    calendar = partitions_of(product)
    keys = (calendar.shift(partition, -n) for n in range(product.window.test - 1, -1, -1))
    return tuple(key for key in keys if calendar.contains(key))


def train_keys(product: Product, partition: str) -> tuple[str, ...]:
    """The partitions that a candidate as of `partition` may train on: up to `window.train` before the test window."""
    as_of = partitions_of(product).as_of(partition, product.window)
    return as_of.train if as_of else ()


def environment(stage: Stage) -> dict[str, str]:
    """The versions that the stage computes with: Python's minor, the machine's architecture and its packages."""
    python = ".".join(python_version_tuple()[:2])
    return {"python": python, "machine": machine()} | {name: _version(name) for name in stage.packages}


@cache
def _version(package: str) -> str:
    return version(package)


def stage_code(product: Product, stage: Stage) -> str:
    """The code digest of a stage and of those files of the product that decide its output."""
    return code_digest(stage.modules, _deciding_files(product, stage))


def stage_code_parts(product: Product, stage: Stage) -> dict[str, str]:
    """What the code digest is made of, by module and file, to name what changed."""
    return code_parts(stage.modules, _deciding_files(product, stage))


def _deciding_files(product: Product, stage: Stage) -> dict[str, bytes]:
    """The bytes of the product's files that decide the stage's output, by name."""
    found: dict[str, bytes] = {}
    if "contract" in stage.files and product.files.contract is not None:
        found[CONTRACT_FILE] = product.files.contract
    if "dbt" in stage.files:
        found |= {f"dbt/{name}": content for name, content in product.files.dbt.items()}
    return found


def stage_config(product: Product, stage: Stage) -> dict[str, object]:
    """The sections of product.yaml that configure the stage."""
    return dict(product.section(*stage.sections)) if stage.sections else {}


def environment_digest(stage: Stage) -> str:
    return digest_json(environment(stage))
