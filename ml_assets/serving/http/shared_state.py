"""The state that the handlers of one server process share."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.http.batcher import Batcher, Timed
from ml_assets.serving.http.followed_ledger import Followed
from ml_assets.serving.http.peer_workers import Peers
from ml_assets.serving.http.prometheus import Metrics
from ml_assets.serving.log.writer import PredictionLog
from ml_assets.serving.release.loaded_releases import Serving
from ml_assets.serving.release.shadow import ShadowScorer
from ml_assets.serving.release.switch import Endpoint
from ml_assets.serving.requests.parser import Limits
from ml_assets.serving.requests.refusals import BadRequest, Refusal
from resources.endpoints.replicas import REPORT_SECONDS, Replica

LOGGER = logging.getLogger(__name__)
POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0
SHIP_SECONDS = 30.0


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
    followed: Followed | None = None
    ship: Callable[[], object] | None = None
    failed_shipments: int = 0
    address: str = ""
    """Where this server may be asked, once it listens."""
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
        self._later = [asyncio.create_task(self._keep_previous())]
        if self.followed is not None:
            self._later.append(asyncio.create_task(self._follow(self.followed)))
        if self.ship is not None:
            self._later.append(asyncio.create_task(self._ship_from_time_to_time(self.ship)))

    async def _ship_from_time_to_time(self, ship: Callable[[], object]) -> None:
        while not self.endpoint.is_draining:
            await asyncio.sleep(SHIP_SECONDS)
            await asyncio.to_thread(self._ship_now, ship)

    def _ship_now(self, ship: Callable[[], object]) -> None:
        """Send what was logged to the other machines. A failure is counted, and nothing is lost: the next time sends it too."""
        try:
            ship()
        except Exception:  # the drivers of stores have no error in common
            if not self.failed_shipments:
                LOGGER.exception("the predictions of this server do not reach the store")
            self.failed_shipments += 1

    async def _follow(self, followed: Followed) -> None:
        """Serve what the ledger says, soon after it says so, and report what serves. A release that was refused is tried again
        later: its bundle may not be in the store yet."""
        tried, retry_at = self.endpoint.named, 0.0
        reported, report_at = None, 0.0
        while not self.endpoint.is_draining:
            now = time.monotonic()
            try:
                wanted = await asyncio.to_thread(followed.pointer)
                is_refused = wanted is not None and self.endpoint.named != wanted
                if wanted is not None and (wanted != tried or (is_refused and now >= retry_at)):
                    tried, retry_at = wanted, now + RETRY_SECONDS
                    await self.swap()
                replica = self.replica()
                if self.address and (replica != reported or now >= report_at):
                    await asyncio.to_thread(followed.report, replica)
                    reported, report_at = replica, now + REPORT_SECONDS
            except Exception as error:  # whatever it is, a server that no longer follows would be worse
                if str(error) != self.endpoint.refusal:
                    LOGGER.exception("%s cannot follow the ledger", self.endpoint.product)
                self.endpoint.refusal = str(error)
            await asyncio.sleep(POLL_SECONDS)

    def replica(self) -> Replica:
        """The state of this server, as others may know it."""
        serving, endpoint = self.endpoint.serving, self.endpoint
        troubles = [serving.instead_of if serving else endpoint.trouble, endpoint.shadow_trouble, endpoint.refusal]
        return Replica(
            product=endpoint.product,
            environment=endpoint.environment,
            host=socket.gethostname(),
            process=os.getpid(),
            address=self.address,
            worker=self.peers.number if self.peers else 1,
            release=serving.bundle.release if serving else None,
            bundle=serving.pointer.bundle if serving else None,
            candidate=serving.candidate.release if serving and serving.candidate else None,
            since=serving.pointer.since if serving else None,
            trouble="; ".join(filter(None, troubles)) or None,
        )

    async def _keep_previous(self) -> None:
        """Load the release before in the background. Serving needs it only for a rollback, so a failure is just logged."""
        try:
            await asyncio.to_thread(self.endpoint.keep_previous)
        except Exception:
            if not self.endpoint.is_draining:
                LOGGER.exception("the release that a rollback would go back to isn't in memory")

    def close(self) -> None:
        """Write the predictions that aren't written yet, and stop."""
        if self.followed is not None and self.address:
            self.followed.leave(self.replica())
        self.log.close()
        if self.shadow:
            self.shadow.close()
        if self.ship is not None:
            self._ship_now(self.ship)
        self.endpoint.close()

    async def swap(self) -> str | None:
        """Serve the release that the pointer names. Return the reason if it is refused, None otherwise."""
        try:
            self.metrics.swaps += await asyncio.to_thread(self.endpoint.reload)
        except (MlAssetsError, OSError) as error:
            self.metrics.refused_swaps += 1
            self.endpoint.trouble = self.endpoint.refusal = str(error)
            return str(error)
        self.endpoint.refusal = ""
        return None

    def serving(self) -> Serving:
        """Return the release that serves. Raises BadRequest with 503 when there is none."""
        if self.endpoint.serving is None:
            raise BadRequest(503, [Refusal(path="", message=self.endpoint.trouble)])
        return self.endpoint.serving
