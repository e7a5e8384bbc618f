"""Everything put together: the products' assets, checks, jobs and sensors. `defs` is what Dagster loads."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

from checks import contract, drift, gates, leakage, lineage, plausible, realised, reproduction, rollback, serving
from checks import features as feature_checks
from ml_assets.core.lineage.source import Source
from ml_assets.jobs.decisions import approve_job, override_job
from ml_assets.jobs.extraction import extract_job
from ml_assets.jobs.path import checks_job, data_job, outcomes_job, path_job, release_job, train_job
from ml_assets.jobs.rollback import rollback_job
from ml_assets.services.judging.gate_standards import refused_by_note
from ml_assets.services.runnable_products import checked_products
from ml_assets.spec.product import Product, ProductError
from ml_assets.stages import (
    dataset,
    endpoint,
    evaluation,
    features,
    model,
    monitoring,
    outcomes,
    predictions,
    raw,
    release,
    report,
    tracking,
)
from ml_assets.stages import realised as realised_stage
from resources.dagster_resources import resources_of
from resources.environment import pin
from resources.git import Sources
from resources.project_file import with_project
from resources.settings import Settings, is_validating, settings
from sensors import (
    acceptances,
    decisions,
    new_data,
    new_outcomes,
    notices,
    probation,
    refused_products,
    registry,
    retrain,
    shadow,
    stale,
)
from sensors import (
    sources as declared_sources,
)

STAGES = (
    raw,
    dataset,
    features,
    outcomes,
    model,
    evaluation,
    report,
    release,
    endpoint,
    tracking,
    monitoring,
    predictions,
    realised_stage,
)
CHECKS = (contract, feature_checks, leakage, plausible, gates, lineage, reproduction, serving, rollback, drift, realised)
JOBS = (path_job, data_job, train_job, release_job, checks_job, approve_job, override_job, rollback_job)
SENSORS = (new_data, retrain, decisions, acceptances, registry, shadow)


def build_defs(
    products: Mapping[str, Product], resources: Mapping[str, Any], sources: Mapping[str, Source] | None = None
) -> dg.Definitions:
    """The definitions of these products on these resources (`resources_of`, or others for some of its keys); builds values only,
    opens nothing. `sources` are the commits that a code location reports, by product."""
    events = [sensor.build(product) for product in products.values() for sensor in SENSORS]
    events += [new_outcomes.build(product) for product in products.values() if product.labels]
    events += [declared_sources.build(product) for product in products.values() if product.sources]
    events += [probation.build(product) for product in products.values() if product.probation]
    events += [notices.build(products)] if products else []
    events += [stale.build(product, (sources or {}).get(name)) for name, product in products.items()]
    return dg.Definitions(
        assets=_definitions(STAGES, products),
        asset_checks=_definitions(CHECKS, products),
        jobs=[
            *(job(product) for product in products.values() for job in JOBS),
            *(outcomes_job(product) for product in products.values() if product.labels),
            *(extract_job(product) for product in products.values() if product.sources),
        ],
        sensors=events,
        resources=resources,
        executor=dg.in_process_executor,
    )


def _definitions(modules: Iterable[ModuleType], products: Mapping[str, Product]) -> list[Any]:
    return [definition for product in products.values() for module in modules for definition in module.build(product)]


@dg.definitions
def defs() -> dg.Definitions:
    """The products of the settings, on the settings' resources, and the commits that they come from. A product that cannot run is
    left out, with an alarm; `dagster definitions validate` refuses it."""
    return _defs_of(settings())


def project_defs(folder: Path) -> dg.Definitions:
    """The products of a project folder (`ml-assets init`), for its own `definitions.py`; a team that runs Dagster already merges
    them with its own: `dg.Definitions.merge(own, project_defs(folder))`. A variable of the environment comes before a line of the
    project's file."""
    return _defs_of(settings(with_project(os.environ, folder.resolve())))


def _defs_of(current: Settings) -> dg.Definitions:
    pin(current.home)
    products, problems = checked_products(current.products, current.cache)
    if is_validating():
        refusals = (refused_by_note(product, current.cache) for product in products.values())
        if unfit := [*problems, *filter(None, refusals)]:
            raise ProductError(*unfit)
    source = Sources(current.products, current.commit, current.merged)
    served = build_defs(products, resources_of(current), {name: source(name) for name in products})
    return dg.Definitions.merge(served, dg.Definitions(sensors=[refused_products.build(problems)])) if problems else served
