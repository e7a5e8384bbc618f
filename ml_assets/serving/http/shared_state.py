"""What the handlers of one server process share."""

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
from ml_assets.serving.release.loaded import Serving
from ml_assets.serving.release.shadow import Shadow
from ml_assets.serving.release.switch import Endpoint
from ml_assets.serving.requests.parser import Limits
from ml_assets.serving.requests.refusals import BadRequest, Refusal

LOGGER = logging.getLogger(__name__)


@dataclass
class State:
    """One endpoint, its log and its counters. `line` is there once the event loop runs."""

    endpoint: Endpoint
    log: PredictionLog
    limits: Limits
    admission: Admission
    batcher: Callable[[Timed], Batcher]
    shadow: Shadow | None = None
    peers: Peers | None = None
    metrics: Metrics = field(init=False)
    line: Batcher = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.endpoint.product)

    async def start(self) -> None:
        """Load what the pointer names; without it the server lives, and is not ready."""
        self.line = self.batcher(self.metrics.stage)
        if await self.swap() is not None:
            self.metrics.swaps += await asyncio.to_thread(self.endpoint.fall_back)
        self._later = asyncio.create_task(self._keep_previous())

    async def _keep_previous(self) -> None:
        """Beside the first requests, which do not wait for it. It answers none: that it is missing is told, no more."""
        try:
            await asyncio.to_thread(self.endpoint.keep_previous)
        except Exception:
            if not self.endpoint.is_draining:
                LOGGER.exception("what a rollback would go back to is not in memory")

    def close(self) -> None:
        """Write down what was answered."""
        self.log.close()
        if self.shadow:
            self.shadow.close()
        self.endpoint.close()

    async def swap(self) -> str | None:
        """Serve what the pointer names; the reason if that is refused."""
        try:
            self.metrics.swaps += await asyncio.to_thread(self.endpoint.reload)
        except (MlAssetsError, OSError) as error:
            self.metrics.refused_swaps += 1
            self.endpoint.trouble = str(error)
            return str(error)
        return None

    def serving(self) -> Serving:
        """What answers; a refusal when nothing does."""
        if self.endpoint.serving is None:
            raise BadRequest(503, [Refusal(path="", message=self.endpoint.trouble)])
        return self.endpoint.serving
