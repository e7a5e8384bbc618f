"""The outside world of a run in one value: settings, landing, snapshots, ledger, dbt and MLflow, each opened on use."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from resources.settings import Settings

if TYPE_CHECKING:
    from resources.dbt.build import Dbt
    from resources.endpoints.moves import Endpoints
    from resources.landing import Landing
    from resources.ledger.budget import Budget
    from resources.ledger.decisions import Decisions
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
        from resources.landing import Landing

        return Landing(self.settings.landing)

    @cached_property
    def snapshots(self) -> "Snapshots":
        from resources.store.blobs import open_blobs
        from resources.store.snapshots import Snapshots

        home = self.settings.home
        return Snapshots(open_blobs(self.settings.store, cache=home / "cache" / "blobs"), home / "cache" / "checkouts")

    @cached_property
    def ledger(self) -> "Ledger":
        from resources.ledger.ledger import Ledger

        return Ledger(self.settings.ledger, witness=self.settings.home / "ledger.head")

    @cached_property
    def lineage(self) -> "Lineage":
        from ml_assets.core.lineage.stages import SOURCE, STAGES, closure
        from resources.ast_cache import ast_cache
        from resources.git import Sources
        from resources.lineage import Lineage

        with ast_cache(self.settings.home / "cache" / "code.json", SOURCE):
            for stage in STAGES.values():
                closure(*stage.builders)
        return Lineage(self.snapshots, self.ledger, Sources(self.settings))

    @cached_property
    def budget(self) -> "Budget":
        from resources.ledger.budget import Budget

        return Budget(self.ledger)

    @cached_property
    def decisions(self) -> "Decisions":
        from resources.ledger.decisions import Decisions

        return Decisions(self.ledger)

    @cached_property
    def endpoints(self) -> "Endpoints":
        from resources.endpoints.moves import Endpoints

        return Endpoints(self.settings, self.ledger)

    @cached_property
    def dbt(self) -> "Dbt":
        from resources.dbt.build import Dbt

        return Dbt(cache=self.settings.home / "cache" / "dbt")

    @cached_property
    def catalogue(self) -> "Catalogue":
        from resources.tracking.mlflow_catalogue import Catalogue

        return Catalogue(self.settings.mlflow, self.settings.mlflow_artifacts)
