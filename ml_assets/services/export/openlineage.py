"""The ledger's manifests as OpenLineage events, with the official client's types. Needs the extra `openlineage`.

A manifest is one run of its stage's job: START and COMPLETE. What checks found about it is a run of its own, of the job
`<product>.<stage>.checks`, whose input is what was checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from ml_assets.core.lineage import stages
from ml_assets.core.lineage.facts import CountedFacts
from ml_assets.core.lineage.manifests import Input, Manifest
from ml_assets.core.lineage.records import EvidenceRecord, ManifestRecord
from ml_assets.core.lineage.source import as_source
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record
from resources.lineage import Lineage
from resources.store.blobs import BlobDamaged

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent

COMMIT_LENGTH = 40


def manifests_behind(lineage: Lineage, manifest: Manifest) -> list[str]:
    """The ids of a manifest and of everything that it was made from, sources first."""
    seen: dict[str, None] = {}

    def walk(node: Manifest) -> None:
        for source in lineage.inputs(node):
            if source.id not in seen:
                walk(source)
        seen[node.id] = None

    walk(manifest)
    return list(seen)


def recorded(ledger: Ledger, ids: list[str] | None = None) -> Iterator[tuple[Manifest, Record[ManifestRecord]]]:
    """The manifests of these ids, or all of them, each with its entry in the ledger, oldest first."""
    entries = ledger.records(ManifestRecord, schema.entries.c.kind == "manifest")
    wanted = None if ids is None else set(ids)
    for entry in entries:
        if wanted is None or entry.body.id in wanted:
            yield Manifest.from_dict(entry.body.manifest, entry=entry.seq), entry


@dataclass(frozen=True)
class Exporter:
    """Makes the events of one product's manifests."""

    lineage: Lineage
    dbt: Dbt
    product: Product

    @property
    def namespace(self) -> str:
        """The OpenLineage namespace of the product's jobs and data sets."""
        return f"ml-assets://{self.product.name}"

    def events(self, manifest: Manifest, entry: Record[ManifestRecord]) -> "Iterator[RunEvent]":
        """START and COMPLETE of what made the manifest, then those of its checks if there were any.

        The ledger knows when a manifest was recorded, not when its computation began: both events bear that time.
        """
        from openlineage.client.event_v2 import Run, set_producer

        set_producer(f"urn:ml-assets:{version('ml-assets')}")
        run = Run(runId=_run_id(manifest.id), facets=self._run_facets(manifest, entry))
        inputs = [self._input(given) for given in manifest.recipe.inputs]
        outputs = [self._output(manifest)]
        yield from _pair((entry.at, entry.at), run=run, job=self._job(manifest, entry), inputs=inputs, outputs=outputs)
        yield from self._checks(manifest)

    def _job(self, manifest: Manifest, entry: Record[ManifestRecord]) -> Any:
        from openlineage.client.event_v2 import Job
        from openlineage.client.facet_v2 import job_type_job, source_code_location_job

        kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="ML_ASSETS", jobType="STAGE")
        facets: dict[str, Any] = {"jobType": kind}
        commit = as_source(entry.body.source)["code"]
        if commit and len(commit["commit"]) == COMMIT_LENGTH:  # else a person named something else in ML_ASSETS_COMMIT
            # the ledger keeps the commit, not where it can be fetched from: a persistent identifier of the commit itself
            url = f"swh:1:rev:{commit['commit']}"
            location = source_code_location_job.SourceCodeLocationJobFacet(type="git", url=url, version=commit["commit"])
            facets["sourceCodeLocation"] = location
        return Job(namespace=self.namespace, name=f"{self.product.name}.{manifest.recipe.stage}", facets=facets)

    def _run_facets(self, manifest: Manifest, entry: Record[ManifestRecord]) -> dict[str, Any]:
        from openlineage.client.facet_v2 import RunFacet, parent_run, processing_engine_run

        recipe = manifest.recipe
        decided = {"code": recipe.code, "config": recipe.config, "environment": recipe.environment}
        details = {"seed": recipe.seed, "threads": recipe.threads, "versions": dict(recipe.details.get("environment", {}))}
        about = RunFacet().with_additional_properties(manifest=manifest.id, snapshot=manifest.snapshot, **decided, **details)
        engine = processing_engine_run.ProcessingEngineRunFacet(version=version("dagster"), name="Dagster")
        facets: dict[str, Any] = {"mlAssets_manifest": about, "processing_engine": engine}
        if _is_uuid(entry.body.run):
            job = parent_run.Job(namespace=self.namespace, name=f"{self.product.name}_path")
            facets["parent"] = parent_run.ParentRunFacet(run=parent_run.Run(runId=entry.body.run), job=job)
        return facets

    def _input(self, given: Input) -> "InputDataset":
        from openlineage.client.event_v2 import InputDataset

        return InputDataset(
            namespace=self.namespace, name=self._name(given.asset, given.partition), facets=_version(given.data_version)
        )

    def _output(self, manifest: Manifest) -> "OutputDataset":
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset

        count = CountedFacts.of(manifest).count
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=count)
        facets = {**_version(manifest.data_version), **self._schema(manifest), **self._column_lineage(manifest)}
        return OutputDataset(
            namespace=self.namespace,
            name=self._name(manifest.asset, manifest.partition),
            facets=facets,
            outputFacets={"outputStatistics": statistics} if count is not None else {},
        )

    def _name(self, asset: str, partition: str) -> str:
        """An asset's partition as a dataset: "features/2013-03", "landing/flights/2013-03", "reference"."""
        parts = [part for part in asset.split("/") if part != self.product.name or asset.endswith(f"/{part}")]
        if asset.startswith("landing/"):
            parts = ["landing", asset.rsplit("/", 1)[1]]
        return "/".join([*parts, partition] if partition else parts)

    def _schema(self, manifest: Manifest) -> dict[str, Any]:
        """The columns of a snapshot's tables; nothing for what has none, or is gone from the store."""
        from openlineage.client.facet_v2 import schema_dataset

        try:
            columns = list(self._columns(manifest))
        except BlobDamaged:
            return {}
        fields = [schema_dataset.SchemaDatasetFacetFields(name=name, type=kind) for name, kind in columns]
        return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)} if fields else {}

    def _columns(self, manifest: Manifest) -> Iterator[tuple[str, str]]:
        snapshots, stage = self.lineage.snapshots, manifest.recipe.stage
        members = snapshots.open(manifest.snapshot).members
        tables = {name.removesuffix(".parquet"): name for name in members if name.endswith(".parquet") and "/" not in name}
        if stage == "features":
            tables = {"": tables["features"]}
        for table, member in tables.items() if stage in ("raw", "reference", "dataset", "quarantine", "features") else ():
            for column, kind in snapshots.columns(manifest.snapshot, member).items():
                yield f"{table}.{column}".removeprefix("."), str(kind)

    def _column_lineage(self, manifest: Manifest) -> dict[str, Any]:
        """Which columns each feature comes from; only where the SQL that made it is the SQL of today."""
        from openlineage.client.facet_v2 import column_lineage_dataset as lineage

        if manifest.recipe.stage != "features" or manifest.recipe.code != self._features_code:
            return {}
        given: dict[str, list[str]] = {}
        for i in manifest.recipe.inputs:
            given.setdefault(i.asset.split("/")[1], []).append(self._name(i.asset, i.partition))
        fields = {
            column: lineage.Fields(
                inputFields=[
                    lineage.InputField(namespace=self.namespace, name=name, field=source)
                    for stage, source in origins
                    for name in given.get(stage, [])
                ]
            )
            for column, origins in self._origins.items()
        }
        return {"columnLineage": lineage.ColumnLineageDatasetFacet(fields=fields)}

    @cached_property
    def _origins(self) -> dict[str, tuple[tuple[str, str], ...]]:
        return self.dbt.column_lineage(self.product)

    @cached_property
    def _features_code(self) -> str:
        return stages.stage_code(self.product, stages.STAGES["features"])

    def _checks(self, manifest: Manifest) -> "Iterator[RunEvent]":
        """Events with the newest evidence of each claim about exactly this manifest."""
        from openlineage.client.event_v2 import InputDataset, Job, Run
        from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

        entries = sorted(self.lineage.ledger.evidence(manifest.id).values(), key=lambda entry: entry.seq)
        if not entries:
            return
        assertions = [_assertion(entry.body) for entry in entries]
        checked = InputDataset(
            namespace=self.namespace,
            name=self._name(manifest.asset, manifest.partition),
            facets=_version(manifest.data_version),
            inputFacets={"dataQualityAssertions": quality.DataQualityAssertionsDatasetFacet(assertions=assertions)},
        )
        job = Job(namespace=self.namespace, name=f"{self.product.name}.{manifest.recipe.stage}.checks")
        run = Run(runId=_run_id(f"{manifest.id}/checks"))
        yield from _pair((entries[0].at, entries[-1].at), run=run, job=job, inputs=[checked], outputs=[])


def _pair(times: tuple[str, str], **what: Any) -> "Iterator[RunEvent]":
    """The two events of one run."""
    from openlineage.client.event_v2 import RunEvent, RunState

    for state, at in zip((RunState.START, RunState.COMPLETE), times, strict=True):
        yield RunEvent(eventTime=at, eventType=state, **what)


def _assertion(shown: EvidenceRecord) -> Any:
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    return quality.Assertion(
        assertion=shown.claim,
        name=shown.claim,
        success=shown.passed,
        severity=shown.details.severity.lower(),
        description=shown.details.description or None,
    )


def _version(data_version: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=data_version)}


def _run_id(name: str) -> str:
    """The same run id for the same manifest, whenever it is exported."""
    return str(uuid5(NAMESPACE_URL, f"ml-assets:{name}"))


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
