"""The other workers of a server: what one is told, the others are told, and what they counted is told as one."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ml_assets.serving.client import http_client as client
from ml_assets.serving.http.api_keys import Key


@dataclass(frozen=True)
class Peers:
    """The other workers by number: where each listens for this one, number `number`; what says that a worker asks."""

    number: int
    urls: Mapping[int, str]
    key: str
    known_as: Key

    def reload(self) -> str | None:
        """Have all read the pointer again; why those did not that did not."""
        troubles = self._each(self._reload)
        return "; ".join(f"worker {number}: {why}" for number, why in troubles.items() if why) or None

    def metrics(self) -> dict[int, str | None]:
        """The metrics of each; None of one that is being started."""
        return self._each(self._metrics)

    def _reload(self, url: str) -> str | None:
        try:
            client.reload(url, key=self.key)
        except client.EndpointError as error:
            return str(error)
        return None

    def _metrics(self, url: str) -> str | None:
        try:
            return client.metrics(url, key=self.key)
        except client.EndpointError:
            return None

    def _each(self, ask: Callable[[str], str | None]) -> dict[int, str | None]:
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            return dict(zip(self.urls, pool.map(ask, self.urls.values()), strict=True))
