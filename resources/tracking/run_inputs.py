"""The data that an MLflow run read, as MLflow's dataset inputs: a name, a digest, what it was used for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_LENGTH = 36
"""MLflow's limit on a dataset's digest, in characters; the source has all of it."""


@dataclass(frozen=True)
class Dataset:
    """A snapshot that was read. `source` says where it is to be looked up."""

    name: str
    digest: str
    context: str
    source: Mapping[str, str]


def log_inputs(client: "MlflowClient", run_id: str, datasets: Sequence[Dataset]) -> None:
    """Log all of them in one call; MLflow keeps a dataset of the same name and digest once."""
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Entity(dataset.name, dataset.digest[:DIGEST_LENGTH], "ml-assets snapshot", json.dumps(dict(dataset.source))),
            [InputTag("mlflow.data.context", dataset.context)],
        )
        for dataset in datasets
    ]
    client.log_inputs(run_id, inputs)
