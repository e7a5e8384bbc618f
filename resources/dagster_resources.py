"""The outside world as Dagster's resources. Fields are configuration, as Dagster shows it; what an asset gets is a plain class
that knows no Dagster.

Belongs here: opening. Does not: reading variables (`resources/settings.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
from dagster._config.pythonic_config import ConfigurableResourceFactory
from pydantic import Field

from resources.dbt.build import Dbt
from resources.endpoints.moves import Endpoints
from resources.git import Sources
from resources.landing import Landing, open_landing
from resources.ledger import leases
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage, open_lineage
from resources.logins.run_tags import asker_of
from resources.settings import Settings, settings, variable
from resources.store.snapshots import Snapshots, open_snapshots
from resources.tracking.mlflow_catalogue import Catalogue


class LandingResource(ConfigurableResourceFactory[Landing]):
    """The folder, or the place in an object store, that sources deliver files to."""

    folder: str
    url: str = Field(default="", description="Where deliveries lie in an object store; `folder` holds the same.")

    def create_resource(self, context: dg.InitResourceContext) -> Landing:
        """Return the landing folder."""
        return open_landing(Path(self.folder), self.url)


class SnapshotsResource(ConfigurableResourceFactory[Snapshots]):
    """The store of immutable snapshots, which stages hand to each other."""

    url: str = Field(description="file:///folder, or any scheme that fsspec has a driver for.")
    cache: str = Field(description="The folder of verified copies and checkouts.")
    upstream: str = Field(default="", description="The store of a home that is only read, for what this one lacks.")

    def create_resource(self, context: dg.InitResourceContext) -> Snapshots:
        """Open the store."""
        return open_snapshots(self.url, cache=Path(self.cache), upstream=self.upstream)


class LedgerResource(ConfigurableResourceFactory[Ledger]):
    """The append-only record of manifests, evidence, decisions and moves."""

    url: str = Field(description="sqlite:///file, or postgresql+psycopg://host/database.")
    head: str = Field(description="The file that remembers the last entry.")

    def create_resource(self, context: dg.InitResourceContext) -> Ledger:
        """Return the ledger; it connects on first use."""
        return Ledger(self.url, head_checkpoint=Path(self.head))

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Ledger]:
        """Give the connections back when the run, or the sensor's tick, is over; a run holds its lease meanwhile."""
        run = context.run_id or ""
        asker = asker_of(context.run.tags, run=run, secret=settings().proxy_secret) if context.run else ""
        ledger = Ledger(self.url, head_checkpoint=Path(self.head), run=run, asker=asker)
        try:
            with leases.hold(ledger.engine, run) if run else nullcontext():
                yield ledger
        finally:
            ledger.close()


class LineageResource(ConfigurableResourceFactory[Lineage]):
    """Snapshots and ledger together: builds each output once, and knows its inputs."""

    snapshots: dg.ResourceDependency[Snapshots]
    ledger: dg.ResourceDependency[Ledger]
    products: list[str] = Field(description="The folders of products, whose commits are recorded.")
    commit: str = Field(default="", description="The commit of code that is run from no checkout.")
    merged: bool = Field(default=False, description="Whether that commit is said to be clean and in the default branch.")
    cache: str = Field(description="The folder where the code as it was taken apart is kept.")
    upstream: str = Field(default="", description="The ledger of a home that is only read: what was made there is reused.")

    def create_resource(self, context: dg.InitResourceContext) -> Lineage:
        """Return the store and the ledger as one."""
        sources = Sources([Path(folder) for folder in self.products], self.commit, self.merged)
        return open_lineage(self.snapshots, self.ledger, sources, cache=Path(self.cache), upstream=self.upstream)


class EndpointsResource(ConfigurableResourceFactory[Endpoints]):
    """Which release serves in staging and in production: moves in the ledger, and the pointer files that servers read."""

    ledger: dg.ResourceDependency[Ledger]
    folder: str = Field(description="The folder of the pointer files.")

    def create_resource(self, context: dg.InitResourceContext) -> Endpoints:
        """Return the endpoints of all products."""
        return Endpoints(Path(self.folder), self.ledger)


class DbtResource(ConfigurableResourceFactory[Dbt]):
    """dbt on DuckDB, in the process of the run."""

    cache: str = Field(description="The folder of parsed projects.")

    def create_resource(self, context: dg.InitResourceContext) -> Dbt:
        """Return dbt with its cache."""
        return Dbt(cache=Path(self.cache))


class TrackingResource(ConfigurableResourceFactory[Catalogue]):
    """MLflow, the catalogue of runs and released versions; connected to on first use, through dagster-mlflow."""

    url: str = Field(description="The tracking server, or its database.")
    artifacts: str = Field(description="The folder of new experiments' artifacts.")

    def create_resource(self, context: dg.InitResourceContext) -> Catalogue:
        """Return the catalogue; it connects on first use."""
        return Catalogue(self.url, Path(self.artifacts))


class SettingsResource(ConfigurableResourceFactory[Settings]):
    """The places of files and servers, for processes that are started. They get no API keys."""

    home: str
    landing: str
    store: str
    ledger: str
    mlflow: str
    mlflow_ui: str
    products: list[str]
    commit: str = ""
    merged: bool = False
    notify: str = ""
    landing_url: str = ""
    dagster: str = ""

    def create_resource(self, context: dg.InitResourceContext) -> Settings:
        """Return the settings."""
        return Settings(
            home=Path(self.home),
            landing=Path(self.landing),
            store=self.store,
            ledger=self.ledger,
            mlflow=self.mlflow,
            mlflow_ui=self.mlflow_ui,
            products=tuple(map(Path, self.products)),
            commit=self.commit,
            merged=self.merged,
            notify=self.notify,
            landing_url=self.landing_url,
            dagster=self.dagster,
        )


def resources_of(current: Settings, **replaced: Any) -> dict[str, Any]:
    """Every resource of these settings by its key. A `replaced` one is also replaced in the resources that use it."""
    cache, products = str(current.cache), [str(folder) for folder in current.products]
    store, ledger_url, mlflow = (_url(current, name) for name in ("store", "ledger", "mlflow"))
    upstream = {name: _url(current, f"upstream_{name}") for name in ("store", "ledger")}
    snapshots = replaced.get("snapshots") or SnapshotsResource(url=store, cache=cache, upstream=upstream["store"])
    ledger = replaced.get("ledger") or LedgerResource(url=ledger_url, head=str(current.ledger_head))
    return {
        "landing": LandingResource(
            folder=str(current.landing), **({"url": _url(current, "landing_url")} if current.landing_url else {})
        ),
        "snapshots": snapshots,
        "ledger": ledger,
        "lineage": LineageResource(
            snapshots=snapshots,
            ledger=ledger,
            products=products,
            commit=current.commit,
            merged=current.merged,
            cache=cache,
            upstream=upstream["ledger"],
        ),
        "endpoints": EndpointsResource(ledger=ledger, folder=str(current.endpoints)),
        "dbt": DbtResource(cache=str(current.cache / "dbt")),
        "tracking": TrackingResource(url=mlflow, artifacts=str(current.mlflow_artifacts)),
        "settings": SettingsResource(
            home=str(current.home),
            landing=str(current.landing),
            store=store,
            ledger=ledger_url,
            mlflow=mlflow,
            mlflow_ui=_url(current, "mlflow_ui"),
            products=products,
            commit=current.commit,
            merged=current.merged,
            notify=current.notify,
            landing_url=_url(current, "landing_url"),
            **({"dagster": _url(current, "dagster")} if current.dagster else {}),
        ),
        **replaced,
    }


def _url(current: Settings, name: str) -> Any:
    """A URL as Dagster may show it: of one that may hold a password it gets, and shows, the variable alone."""
    url = getattr(current, name)
    parts = urlsplit(url)
    return dg.EnvVar(variable(name)) if "@" in parts.netloc or parts.query else url
