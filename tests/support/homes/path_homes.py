"""Small products on real data, each in a home of its own, and runs of the real jobs in this process."""

import logging
import re
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.cli.shared.progress import is_rebuilt
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import LEAVES
from ml_assets.core.lineage.warm_up import WARM_UP
from ml_assets.definitions import build_defs
from ml_assets.jobs.path import path_job
from ml_assets.services.automation.attempts import settle
from ml_assets.services.automation.run_outcomes import Outcome, outcome_of
from ml_assets.services.claims import WINDOW_OPEN
from ml_assets.spec.product import Product, load
from ml_assets.spec.product_files import dbt_folder
from resources.dagster_assets import asset_key, make_known
from resources.dagster_resources import resources_of
from resources.endpoints import pointer
from resources.logins.run_tags import PERSON_TAG
from resources.settings import settings
from tests.support.shared import link_parsed_projects

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
MLFLOW_PLACES = {"experiments": "artifact_location", "runs": "artifact_uri", "model_versions": "source"}


@dataclass(frozen=True)
class Run:
    """What one run of a job did, by asset name without the product ("features", "endpoint/staging").

    `materialized` says of each asset whether it was computed or reused; `descriptions` what each check says; `errors` what was
    raised, by step, checks that block aside. `rebuilt` and `rebuilt_checks` are the same of what was brought up to date
    before, by (stage, partition) and (stage, partition, claim); `entries` are all of Dagster's log; `outcome` is what a person is
    told of it.
    """

    success: bool
    materialized: Mapping[str, bool]
    checks: Mapping[str, bool]
    descriptions: Mapping[str, str]
    reused_checks: frozenset[str]
    warnings: frozenset[str]
    errors: Mapping[str, str]
    rebuilt: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    rebuilt_checks: Mapping[tuple[str, str, str], bool] = field(default_factory=dict)
    entries: Sequence[Any] = field(default=(), repr=False)
    outcome: Outcome | None = None

    @property
    def log(self) -> list[str]:
        """What the assets told people."""
        return [entry.user_message for entry in self.entries if not entry.is_dagster_event]

    @property
    def computed(self) -> set[str]:
        return {stage for stage, is_computed in self.materialized.items() if is_computed}

    @property
    def failed_checks(self) -> set[str]:
        return {claim for claim, passed in self.checks.items() if not passed}


@dataclass(frozen=True)
class Home:
    """A home with one product in it, whose own folder is a copy that may be edited."""

    folder: Path
    name: str

    @property
    def declared(self) -> Path:
        return self.folder / "products" / self.name

    @property
    def product(self) -> Product:
        return load(self.declared)

    @cached_property
    def space(self) -> Workspace:
        folders = {"ML_ASSETS_HOME": str(self.folder), "ML_ASSETS_PRODUCTS": str(self.declared.parent)}
        return Workspace(settings(folders))

    def edit(self, file: str, *changes: tuple[str, str]) -> None:
        """Write something else in a file of the product; each pattern must be there."""
        text = (self.declared / file).read_text()
        for pattern, replacement in changes:
            text, count = re.subn(pattern, replacement, text)
            assert count, f"{pattern} is not in {file}"
        (self.declared / file).write_text(text)

    def deliver(self, partition: str, tables: Mapping[str, bytes]) -> None:
        for table, content in tables.items():
            self.space.landing.put(self.product, table, partition, content)

    def run(
        self,
        partition: str,
        *,
        only: Sequence[str] = (),
        without: Sequence[str] | None = None,
        leaves: Collection[str] = (),
        person: str = "",
    ) -> Run:
        """The path's job for one partition: all that decides, and of the leaves, which take as long again, these; `only` some
        assets with their checks; or `without` some checks ("endpoint/staging:answers_equal_offline"), with an empty list
        without any that Dagster can leave out. Endpoints alone have partition "". `person`: who asks for the run, by its tag."""
        product = self.product
        definitions, name = build_defs({product.name: product}, resources_of(self.space.settings)), f"{product.name}_path"
        if only or without is not None or set(leaves) != set(LEAVES):
            some = dg.define_asset_job("some", selection=_selection(product, only, without, set(LEAVES) - set(leaves)))
            definitions, name = dg.Definitions.merge(definitions, dg.Definitions(jobs=[some])), "some"
        # A step that was skipped gives no check results, and what hangs on it is skipped too: nothing to warn of.
        logging.getLogger("dagster._core.execution.plan.active").setLevel(logging.ERROR)
        with dg.DagsterInstance.ephemeral() as instance:
            job = definitions.resolve_job_def(name)
            make_known(instance, product, [partition] if partition else [])
            done = job.execute_in_process(
                instance=instance,
                partition_key=partition or None,
                raise_on_error=False,
                run_config=QUIET,
                tags={PERSON_TAG: person} if person else {},
            )
            ended = instance.get_run_by_id(done.run_id)
            assert ended is not None
            settle(self.space.lineage, instance, product)
            return replace(_run_of(done, partition, instance.all_logs(done.run_id)), outcome=outcome_of(instance, ended))

    def current(self, stage: str, partition: str = "") -> Manifest | None:
        return self.space.ledger.current(self.name, stage, partition)

    def get(self, stage: str, partition: str = "") -> Manifest:
        current = self.current(stage, partition)
        assert current is not None, f"{stage} {partition}"
        return current

    def serve(self, day: str) -> None:
        """Let the day's release serve by the ledger's own move: no server need be tried for this."""
        release, move = self.get("release", day), self.space.endpoints.move
        move("promotion", release, environment="production", by="a test", reason="first", expected=None, is_proven=True)

    def counts(self) -> dict[str, int]:
        """How many entries of each kind the ledger holds."""
        kinds = [entry.kind for entry in self.space.ledger.entries()]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    def serving(self, environment: str = "production") -> str | None:
        """The name of the release that answers, by the ledger; the pointer file must say the same."""
        entry = self.space.ledger.pointer(self.name, environment)
        shown = pointer.read(self.space.settings.pointer(self.name, environment))
        assert (shown.bundle if shown else None) == (entry.body.bundle if entry else None)
        return shown.release if shown else None

    def copy(self, folder: Path) -> "Home":
        """The same state in another folder, to go on from."""
        self.close()
        copy_home(self.folder, folder)
        return Home(folder, self.name)

    def close(self) -> None:
        if "space" in vars(self):
            self.space.ledger.close()


def home(folder: Path, product: Product) -> Home:
    """A new home with a copy of the product, its dbt models beside its declaration."""
    new_home = Home(folder, product.name)
    link_parsed_projects(folder)
    shutil.copytree(product.folder, new_home.declared, ignore=shutil.ignore_patterns("__pycache__"))
    if (models := dbt_folder(product.folder)).is_dir():
        shutil.copytree(models, new_home.declared / "dbt", dirs_exist_ok=True)
    return new_home


def copy_home(home: Path, folder: Path) -> None:
    """A home that nobody writes in, in another place: where MLflow's files are is written in its database. What a process that
    ended had begun to write is not copied: another one may be removing it."""
    shutil.copytree(home, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".writing-*"))
    if not (folder / "mlflow" / "mlflow.db").is_file():
        return
    with closing(sqlite3.connect(folder / "mlflow" / "mlflow.db")) as database, database:
        for table, column in MLFLOW_PLACES.items():
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(home), str(folder)))


@contextmanager
def blank_pages() -> Iterator[None]:
    """Reports whose page nobody looks at: Evidently takes half the time of a small run to draw one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ml_assets.builders.report.quality_report", lambda *_, **__: b"<html></html>")
        yield


def _selection(
    product: Product, only: Sequence[str], without: Sequence[str] | None, left_out: Collection[str]
) -> dg.AssetSelection:
    selection: dg.AssetSelection = path_job(product).selection - dg.AssetSelection.assets(
        *(asset_key(product, stage) for stage in left_out)
    )
    if only:
        selection = dg.AssetSelection.assets(*(asset_key(product, stage) for stage in only))
    if without is not None and not without:
        if only and "evaluation" not in only:
            return selection.without_checks()
        of_its_own = dg.AssetSelection.checks(dg.AssetCheckKey(asset_key(product, "evaluation"), WINDOW_OPEN))
        return selection.without_checks() | of_its_own  # an asset is not selected without the checks that it makes itself
    for name in without or ():
        stage, _, claim = name.rpartition(":")
        selection = selection - dg.AssetSelection.checks(dg.AssetCheckKey(asset_key(product, stage), claim))
    return selection


def _run_of(done: Any, partition: str, entries: Sequence[Any]) -> Run:
    materialized, rebuilt, evaluations, rebuilt_checks = {}, {}, [], {}
    for event in done.get_asset_materialization_events():
        if WARM_UP in event.materialization.metadata:
            continue
        stage, at = "/".join(event.asset_key.path[1:]), event.materialization.partition
        reused = event.materialization.metadata.get("reused")
        is_computed = not (reused is not None and reused.value)
        if is_rebuilt(event.step_key, stage, at, partition):
            rebuilt[stage, at or ""] = is_computed
        else:
            materialized[stage] = is_computed
    for event in done.filter_events(lambda entry: entry.event_type_value == "ASSET_CHECK_EVALUATION"):
        evaluation = event.asset_check_evaluation_data
        stage = "/".join(evaluation.asset_key.path[1:])
        if is_rebuilt(event.step_key, stage, evaluation.partition, partition):
            rebuilt_checks[stage, evaluation.partition or "", evaluation.check_name] = evaluation.passed
        else:
            evaluations.append(evaluation)
    raised = {e.step_key.partition("__")[2].replace("__", "/"): e.step_failure_data.error for e in done.get_step_failure_events()}
    causes = {step: error.cause or error for step, error in raised.items() if "AssetCheckFailedError" not in error.message}
    return Run(
        success=done.success,
        materialized=materialized,
        checks={e.check_name: e.passed for e in evaluations},
        descriptions={e.check_name: e.description or "" for e in evaluations},
        reused_checks=frozenset(e.check_name for e in evaluations if "reused" in e.metadata and e.metadata["reused"].value),
        warnings=frozenset(e.check_name for e in evaluations if e.severity is dg.AssetCheckSeverity.WARN),
        errors={step: cause.message.strip() for step, cause in causes.items()},
        rebuilt=rebuilt,
        rebuilt_checks=rebuilt_checks,
        entries=entries,
    )
