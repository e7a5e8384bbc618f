"""The MLflow registry's view of the release that serves, and what somebody moved there by hand.

The alias of an environment is a view of the ledger. A tag of the registered model says which version it was put on last, so
that an alias that lags behind can be told from one that a person moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources.tracking import registered_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PUT = "ml-assets/{alias}"
"""The tag that names the version that an alias was put on last."""
APPROVED_BY = "approved_by"
"""The tag of a version in which a person who moves the alias by hand says who it is."""


@dataclass(frozen=True)
class ShownInMlflow:
    """The version that an alias is on. `is_ours`: it was put there by `show`, and lags behind if another release serves."""

    version: str
    bundle: str
    release: str
    person: str
    is_ours: bool
    source: str


def show(client: "MlflowClient", name: str, alias: str, *, bundle: str | None) -> None:
    """Put the alias on the version of this bundle; off every version if nothing serves. An MLflow that knows no release of the
    product, such as that of a new machine, shows none."""
    if not client.search_registered_models(f"name = '{name}'"):
        return
    known = next((v for v in versions(client, name) if bundle and v.tags.get("bundle") == bundle), None)
    if known is not None:
        client.set_registered_model_alias(name, alias, known.version)
    else:
        client.delete_registered_model_alias(name, alias)
    client.set_registered_model_tag(name, PUT.format(alias=alias), str(known.version) if known else "none")


def shown(client: "MlflowClient", name: str, alias: str) -> ShownInMlflow | None:
    """Return the version that the alias is on; None if it is on none."""
    models = client.search_registered_models(f"name = '{name}'")
    number = dict(models[0].aliases).get(alias) if models else None
    if number is None:
        return None
    version = next((v for v in versions(client, name) if str(v.version) == str(number)), None)
    tags: Mapping[str, str] = version.tags if version else {}
    is_ours = models[0].tags.get(PUT.format(alias=alias)) == str(number)
    bundle, release, person = (tags.get(tag, "") for tag in ("bundle", "release", APPROVED_BY))
    return ShownInMlflow(str(number), bundle, release, person, is_ours, str(version.source) if version else "")


def versions(client: "MlflowClient", name: str) -> "list[ModelVersion]":
    """All registered versions of the model, in MLflow's order."""
    return list(client.search_model_versions(f"name = '{name}'"))


def damage(client: "MlflowClient", shown: ShownInMlflow, members: Mapping[str, str]) -> str:
    """Return how the files of a version differ from the release's members (digest by name); empty if they don't."""
    from mlflow.artifacts import download_artifacts

    folder = Path(download_artifacts(artifact_uri=shown.source, tracking_uri=client.tracking_uri))
    return registered_version.damage(folder, members)
