"""Latency of single rows over HTTP, for releases that take turns on one server, one request after another.

A busy machine makes any request late, and on two busy cores the plain 99th percentile of all requests measures just that: 8 ms
for rows that take 1 ms, and a release twice as slow looks equal. So each row is sent many times in short turns, and its fastest
answer counts, which is what the release itself needs. The 99th percentile is over rows.
"""

import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ml_assets.serving.client.http_client import SECONDS, EndpointRefused, EndpointUnreachable

TURNS = 6
REQUESTS = 32
"""Timed requests of one turn."""
WARM = 8
"""Requests at the start of a turn that aren't timed: after a swap the processor's caches have nothing of the release."""
MOST_SECONDS = 1.0
"""A turn of a slow release ends here, however few rows it has answered."""


@dataclass
class MeasuredLatency:
    """A release to measure: `serve` swaps the server to it; `milliseconds` has the times of each of `rows`, by its number."""

    serve: Callable[[], None]
    rows: Sequence[Mapping[str, Any]]
    milliseconds: dict[int, list[float]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """The number of timed requests."""
        return sum(map(len, self.milliseconds.values()))

    @property
    def p99_ms(self) -> float:
        """The 99th percentile (nearest rank) over rows of each row's fastest answer."""
        fastest = sorted(map(min, self.milliseconds.values()))
        return fastest[-(-99 * len(fastest) // 100) - 1]


def measure_in_turns(base_url: str, releases: Sequence[MeasuredLatency]) -> None:
    """Time the releases, which take turns: A B A B … Raises EndpointError."""
    bodies = [[json.dumps({"rows": [row]}).encode() for row in release.rows] for release in releases]
    try:
        for _ in range(TURNS):
            for release, requests in zip(releases, bodies, strict=True):
                release.serve()
                _turn(base_url, requests, into=release.milliseconds)
    except (OSError, http.client.HTTPException) as error:
        raise EndpointUnreachable(f"{base_url}/predict: {error or type(error).__name__}") from error


def _turn(base_url: str, bodies: Sequence[bytes], *, into: dict[int, list[float]]) -> None:
    """Time one turn on a connection of its own: while the server swaps, it may close an idle one."""
    address = urlsplit(base_url)
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)) as connection:
        _ask(connection, base_url, bodies, into=into)


def _ask(connection: http.client.HTTPConnection, base_url: str, bodies: Sequence[bytes], *, into: dict[int, list[float]]) -> None:
    begun = time.perf_counter()
    for number in range(WARM + REQUESTS):
        row = number % len(bodies)
        started = time.perf_counter()
        connection.request("POST", "/predict", bodies[row], {"content-type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        ended = time.perf_counter()
        if response.status != http.HTTPStatus.OK:
            raise EndpointRefused(f"{base_url}/predict", response.status, content.decode(errors="replace"))
        is_last = ended - begun > MOST_SECONDS
        if number >= WARM or is_last:
            into.setdefault(row, []).append(1000 * (ended - started))
        if is_last:
            return
