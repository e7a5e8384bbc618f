"""The graph of all products as text, one line per asset, check, job and sensor. `python -m tests.support.graph` prints it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dagster as dg

from ml_assets.definitions import build_defs
from ml_assets.spec.product import load_all
from resources.dagster_resources import resources_of
from resources.settings import ROOT, settings

FOLDERS = (ROOT / "ml_assets" / "products", Path(__file__).parents[1] / "products")


@cache
def definitions() -> dg.Definitions:
    """All products on a home that is not there."""
    return build_defs(load_all(FOLDERS), resources_of(settings({"ML_ASSETS_HOME": "/nowhere"})))


def lines(definitions: dg.Definitions) -> Iterator[str]:
    """The graph, sorted by kind and name."""
    specs = sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key)
    for spec in specs:
        read = ", ".join(sorted(map(_edge, spec.deps)))
        yield f"asset {_name(spec.key)} {_partitions(spec)} reads {read or 'what is delivered'}"
    for check in sorted(checks(definitions), key=lambda check: check.key):
        blocking = "blocking" if check.blocking else "informing"
        yield f"check {_name(check.asset_key)}:{check.name} {_partitions(check)} {blocking}"
    jobs = sorted(job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__"))
    yield from (f"job {name}" for name in jobs)
    for sensor in sorted(definitions.sensors or (), key=lambda sensor: str(sensor.name)):
        assert isinstance(sensor, dg.SensorDefinition)
        launched = sorted(target.job_name for target in sensor.targets)
        yield f"sensor {sensor.name} launches {', '.join(launched) or 'nothing'}"


def checks(definitions: dg.Definitions) -> list[dg.AssetCheckSpec]:
    graph = definitions.resolve_asset_graph()
    return [graph.get_check_spec(key) for key in graph.asset_check_keys]


def _name(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def _partitions(spec: dg.AssetSpec | dg.AssetCheckSpec) -> str:
    by = spec.partitions_def
    if isinstance(by, dg.DynamicPartitionsDefinition):
        return "by delivery"
    assert by is None or isinstance(by, dg.TimeWindowPartitionsDefinition)
    return f"by {by.schedule_type.value.lower()}" if by and by.schedule_type else "whole"


def _edge(dep: dg.AssetDep) -> str:
    mapping = dep.partition_mapping
    if not isinstance(mapping, dg.TimeWindowPartitionMapping):
        return _name(dep.asset_key)
    return f"{_name(dep.asset_key)}[{mapping.start_offset}..{mapping.end_offset}]"


if __name__ == "__main__":
    print("\n".join(lines(definitions())))  # noqa: T201
