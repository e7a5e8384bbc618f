"""The other workers of a server: a reload is passed on to them, and their metrics are joined."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ml_assets.serving.client import http_client as client
from ml_assets.serving.http.api_keys import ApiKey


@dataclass(frozen=True)
class Peers:
    """The other workers, for worker `number`: the URL where each listens, by number, and the key that they accept and present."""

    number: int
    urls: Mapping[int, str]
    key: str
    own_key: ApiKey

    def reload(self) -> str | None:
        """Have all read the pointer again. Return the reasons of those that refused, None if none did."""
        refusals = self._ask_all(self._reload)
        return "; ".join(f"worker {number}: {why}" for number, why in refusals.items() if why) or None

    def metrics(self) -> dict[int, str | None]:
        """Return the metrics of each as Prometheus text, None for one that is starting."""
        return self._ask_all(self._metrics)

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

    def _ask_all(self, ask: Callable[[str], str | None]) -> dict[int, str | None]:
        with ThreadPoolExecutor(max_workers=len(self.urls)) as pool:
            return dict(zip(self.urls, pool.map(ask, self.urls.values()), strict=True))
