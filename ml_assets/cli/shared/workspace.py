"""The commands' access to the outside world: each part is opened on first use, so that a command pays only for what it needs.

Only commands (and tests and benchmarks, which stand for one) use it. Assets, checks and sensors get theirs from Dagster
(`resources/dagster_resources.py`), and services take the parts that they need.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from resources.settings import Settings

if TYPE_CHECKING:
    from resources.dbt.build import Dbt
    from resources.endpoints.moves import Endpoints
    from resources.landing import Landing
    from resources.ledger.ledger import Ledger
    from resources.lineage import Lineage
    from resources.store.snapshots import Snapshots
    from resources.tracking.mlflow_catalogue import Catalogue


@dataclass(frozen=True)
class Workspace:
    """Made from settings alone; nothing is read, opened or created before it is used."""

    settings: Settings

    @cached_property
    def landing(self) -> "Landing":
        """The folder that sources deliver to."""
        from resources.landing import open_landing

        return open_landing(self.settings.landing, self.settings.landing_url)

    @cached_property
    def snapshots(self) -> "Snapshots":
        """The store of snapshots, with the upstream store below it where one is set."""
        from resources.store.snapshots import open_snapshots

        return open_snapshots(self.settings.store, cache=self.settings.cache, upstream=self.settings.upstream_store)

    @cached_property
    def ledger(self) -> "Ledger":
        """The ledger."""
        from resources.ledger.ledger import Ledger

        return Ledger(self.settings.ledger, head_checkpoint=self.settings.ledger_head)

    @cached_property
    def lineage(self) -> "Lineage":
        """Snapshots and ledger together, with the sources of the products."""
        from resources.git import Sources
        from resources.lineage import open_lineage

        sources = Sources(self.settings.products, self.settings.commit, self.settings.merged)
        upstream = self.settings.upstream_ledger
        return open_lineage(self.snapshots, self.ledger, sources, cache=self.settings.cache, upstream=upstream)

    @cached_property
    def endpoints(self) -> "Endpoints":
        """The releases that serve, and their pointer files."""
        from resources.endpoints.moves import Endpoints

        return Endpoints(self.settings.endpoints, self.ledger)

    @cached_property
    def dbt(self) -> "Dbt":
        """dbt, with its cache."""
        from resources.dbt.build import Dbt

        return Dbt(cache=self.settings.cache / "dbt")

    @cached_property
    def tracking(self) -> "Catalogue":
        """The MLflow catalogue."""
        from resources.tracking.mlflow_catalogue import Catalogue

        return Catalogue(self.settings.mlflow, self.settings.mlflow_artifacts)
