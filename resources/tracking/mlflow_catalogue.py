"""MLflow through dagster-mlflow: the catalogue where people look runs and releases up. Never the authority.

mlflow and dagster_mlflow are imported on use: they cost seconds, and most processes need neither.
"""

import fcntl
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.lineage.facts import TrackingFacts
from ml_assets.errors import MlAssetsError
from resources.dagster_assets import unfinished_apis
from resources.environment import pin_variables
from resources.tracking.registered_version import Described, link_version, log_model

if TYPE_CHECKING:
    import dagster as dg
    from mlflow import MlflowClient

TAG_LENGTH = 5000
"""MLflow's limit on the length of a tag's value, in characters."""
TRAINING_VIEW = "?workflowType=machine_learning"
"""Ends an address of the UI that shows trained models, not language-model traces."""
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The same for an experiment's own page."""


class TrackingRefused(MlAssetsError):
    """MLflow cannot be reached, or does not take what is logged."""


@dataclass(frozen=True)
class Logged:
    """The content of a run: `curves` are values by step, `texts` and `tables` (as JSON) files by their path in its artifacts."""

    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    curves: Mapping[str, Sequence[float]]
    texts: Mapping[str, str]
    tables: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Catalogue:
    """A tracking store and registry at a URL. Artifacts of new experiments lie below a local folder where the URL is a database;
    a server keeps them itself, so that other machines find them."""

    url: str
    artifacts: Path

    @contextmanager
    def run(self, context: "dg.AssetExecutionContext", experiment: str) -> Iterator[Any]:
        """dagster-mlflow's resource, with the MLflow run that belongs to this Dagster run active.

        It is set up here and not with the run's other resources: it asks MLflow at once, and a run whose MLflow is away must not
        fail before it has decided anything.
        """
        import dagster as dg

        self._prepare(experiment)
        with unfinished_apis():
            from dagster_mlflow import mlflow_tracking

        key = context.partition_key if context.has_partition_key else ""
        tags = {"mlflow.runName": f"{experiment} {key}".strip(), **({"partition": key} if key else {})}
        config = {"mlflow_tracking_uri": self.url, "experiment_name": experiment, "env": {}, "extra_tags": tags}
        resources = dg.build_resources(
            {"mlflow": mlflow_tracking},
            instance=context.instance,
            resource_config={"mlflow": {"config": config}},
            dagster_run=context.run,
            log_manager=context.log,
        )
        with ExitStack() as stack:
            with unfinished_apis(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the resource reads a context's old name of the run
                mlflow = stack.enter_context(resources).mlflow
            status = "FAILED"
            try:
                yield mlflow
                status = "FINISHED"
            finally:
                mlflow.end_run(status)

    def log_run(self, experiment: str, name: str, logged: Logged) -> str:
        """Log a run that belongs to no Dagster run; its id. Raises TrackingRefused where MLflow does not take it."""
        from mlflow.exceptions import MlflowException

        try:
            self._prepare(experiment)
            import mlflow

            mlflow.set_tracking_uri(self.url)
            mlflow.set_experiment(experiment)
            with mlflow.start_run(run_name=name):
                return log(mlflow, logged)["mlflow_run"]
        except MlflowException as error:
            raise TrackingRefused(f"{experiment}: MLflow took no run: {str(error).splitlines()[0]}") from error

    def register(
        self, name: str, *, run_id: str, folder: Path, described: Described, tags: Mapping[str, str], description: str = ""
    ) -> str:
        """Register the release's files as a new version of the product's model; the same release only once.

        Returns the version number. The files are copied to MLflow as a model of the run, which `mlflow.pyfunc.load_model` loads.
        """
        client = self.client()
        _ensure_registered_model(client, name)
        for known in client.search_model_versions(f"name = '{name}'"):
            if known.tags.get("bundle") == tags["bundle"]:
                return str(known.version)
        kept = {name: value[:TAG_LENGTH] for name, value in tags.items()}
        model_id, source = log_model(client, run_id, folder, described, kept)
        about, kept = description[:TAG_LENGTH] or None, {**kept, "model_id": model_id}
        version = client.create_model_version(name, source, run_id, tags=kept, description=about, model_id=model_id)
        link_version(client, model_id, name, version.version)
        return str(version.version)

    def tag(self, name: str, tags: Mapping[str, str], *, bundle: str) -> None:
        """Let the version of a release say something more, or otherwise than before."""
        client = self.client()
        for known in client.search_model_versions(f"name = '{name}'"):
            if known.tags.get("bundle") == bundle:
                for tag, value in tags.items():
                    if known.tags.get(tag) != value[:TAG_LENGTH]:
                        client.set_model_version_tag(name, known.version, tag, value[:TAG_LENGTH])

    def client(self) -> "MlflowClient":
        """A client of the prepared store."""
        self._prepare(None)
        from mlflow import MlflowClient

        return MlflowClient(self.url, self.url)

    def _prepare(self, experiment: str | None) -> None:
        """Create the store and the experiment once; two processes that did so at the same time would both fail."""
        pin_variables()
        if self.is_server:
            self._prepare_at_server(experiment)
            return
        self.artifacts.mkdir(parents=True, exist_ok=True)
        with (self.artifacts / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            from mlflow import MlflowClient

            logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
            client = MlflowClient(self.url, self.url)
            if experiment and client.get_experiment_by_name(experiment) is None:
                client.create_experiment(experiment, (self.artifacts / experiment).as_uri(), _KIND)

    @property
    def is_server(self) -> bool:
        """Whether the URL is that of a tracking server."""
        return self.url.startswith(("http://", "https://"))

    def _prepare_at_server(self, experiment: str | None) -> None:
        """Create the experiment once, with its artifacts where the server keeps them. Another machine may be faster."""
        from mlflow import MlflowClient
        from mlflow.exceptions import RestException

        client = MlflowClient(self.url, self.url)
        if not experiment:
            return
        known = client.get_experiment_by_name(experiment)
        if known is None:
            try:
                client.create_experiment(experiment, tags=_KIND)
            except RestException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        elif known.artifact_location.startswith(("file:", "/")):
            raise TrackingRefused(
                f"MLflow's experiment {experiment} keeps its artifacts in {known.artifact_location}, a folder of one machine; "
                "rename the experiment at the server, which is then made again, and start the server with --serve-artifacts"
            )


def _ensure_registered_model(client: "MlflowClient", name: str) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)


def log(mlflow: Any, logged: Logged) -> dict[str, str]:
    """Write all of it into the active run; where it is, to be kept in a manifest."""
    info = mlflow.active_run().info
    mlflow.log_params(dict(logged.parameters))
    mlflow.set_tags(dict(logged.tags))
    mlflow.log_metrics(dict(logged.metrics))
    for name, values in logged.curves.items():
        _log_curve(info.run_id, name, values)
    for path, table in logged.tables.items():
        mlflow.log_dict(dict(table), path)
    for path, text in logged.texts.items():
        mlflow.log_text(text, path)
    return {"mlflow_run": str(info.run_id), "mlflow_experiment": str(info.experiment_id)}


def _log_curve(run_id: str, name: str, values: Sequence[float]) -> None:
    """Log one value per step in a single call, to the tracking server of the active run."""
    import time

    from mlflow import MlflowClient
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    MlflowClient().log_batch(run_id, metrics=[Metric(name, value, now, step) for step, value in enumerate(values)])


def run_page(ui: str, facts: TrackingFacts, *, artifact: str = "") -> str:
    """The address of a run's page, or of one of its artifacts, in the MLflow UI."""
    page = f"{ui}/#/experiments/{facts.mlflow_experiment}/runs/{facts.mlflow_run}"
    return (f"{page}/artifacts/{artifact}" if artifact else page) + TRAINING_VIEW
