"""The state that the handlers of one server process share."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.http.batcher import Batcher, Timed
from ml_assets.serving.http.peer_workers import Peers
from ml_assets.serving.http.prometheus import Metrics
from ml_assets.serving.log.writer import PredictionLog
from ml_assets.serving.release.loaded_releases import Serving
from ml_assets.serving.release.shadow import ShadowScorer
from ml_assets.serving.release.switch import Endpoint
from ml_assets.serving.requests.parser import Limits
from ml_assets.serving.requests.refusals import BadRequest, Refusal

LOGGER = logging.getLogger(__name__)


@dataclass
class State:
    """One endpoint, its log and its counters. `batcher` is there once the event loop runs."""

    endpoint: Endpoint
    log: PredictionLog
    limits: Limits
    admission: Admission
    make_batcher: Callable[[Timed], Batcher]
    shadow: ShadowScorer | None = None
    peers: Peers | None = None
    metrics: Metrics = field(init=False)
    batcher: Batcher = field(init=False)

    def __post_init__(self) -> None:
        """Begin with empty counters."""
        self.metrics = Metrics(self.endpoint.product)

    async def start(self) -> None:
        """Load the release that the pointer names; without one the server lives, and isn't ready."""
        self.batcher = self.make_batcher(self.metrics.stage)
        if await self.swap() is not None:
            self.metrics.swaps += await asyncio.to_thread(self.endpoint.fall_back)
        self._later = asyncio.create_task(self._keep_previous())

    async def _keep_previous(self) -> None:
        """Load the release before in the background. Serving needs it only for a rollback, so a failure is just logged."""
        try:
            await asyncio.to_thread(self.endpoint.keep_previous)
        except Exception:
            if not self.endpoint.is_draining:
                LOGGER.exception("the release that a rollback would go back to isn't in memory")

    def close(self) -> None:
        """Write the predictions that aren't written yet, and stop."""
        self.log.close()
        if self.shadow:
            self.shadow.close()
        self.endpoint.close()

    async def swap(self) -> str | None:
        """Serve the release that the pointer names. Return the reason if it is refused, None otherwise."""
        try:
            self.metrics.swaps += await asyncio.to_thread(self.endpoint.reload)
        except (MlAssetsError, OSError) as error:
            self.metrics.refused_swaps += 1
            self.endpoint.trouble = str(error)
            return str(error)
        return None

    def serving(self) -> Serving:
        """Return the release that serves. Raises BadRequest with 503 when there is none."""
        if self.endpoint.serving is None:
            raise BadRequest(503, [Refusal(path="", message=self.endpoint.trouble)])
        return self.endpoint.serving
