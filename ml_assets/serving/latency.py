"""How long one row takes over HTTP, at the 99th percentile: releases that take turns on one server, on one connection.

What is measured depends on how busy the machine is. So two releases are compared, in turns so short that both meet the same
load, and the figures are evidence, never part of a snapshot.
"""

import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ml_assets.serving.client import SECONDS, EndpointRefused, EndpointUnreachable

TURNS = 10
REQUESTS = 60
"""Timed requests of one turn."""
WARM = 10
"""Requests at the start of a turn that are not counted: the swap left nothing of the release in the processor's caches."""
MOST_SECONDS = 1.0
"""A turn of a slow release ends here, whatever it has answered."""


@dataclass(frozen=True)
class Measured:
    """A release to measure: what makes the server swap to it, and rows that it takes."""

    serve: Callable[[], None]
    rows: Sequence[Mapping[str, Any]]


def in_turns(base_url: str, releases: Mapping[str, Measured]) -> dict[str, list[float]]:
    """The milliseconds of each timed request, by release. Raises EndpointError."""
    spent: dict[str, list[float]] = {name: [] for name in releases}
    bodies = {name: [json.dumps({"rows": [row]}).encode() for row in each.rows] for name, each in releases.items()}
    address = urlsplit(base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
    try:
        for _ in range(TURNS):
            for name, release in releases.items():
                release.serve()
                spent[name] += _turn(connection, base_url, bodies[name])
    except (OSError, http.client.HTTPException) as error:
        raise EndpointUnreachable(f"{base_url}/predict: {error or type(error).__name__}") from error
    finally:
        connection.close()
    return spent


def p99(milliseconds: Sequence[float]) -> float:
    """The 99th percentile: the nearest rank."""
    ranked = sorted(milliseconds)
    return ranked[-(-99 * len(ranked) // 100) - 1]


def _turn(connection: http.client.HTTPConnection, base_url: str, bodies: Sequence[bytes]) -> list[float]:
    spent: list[float] = []
    begun = time.perf_counter()
    for number in range(WARM + REQUESTS):
        started = time.perf_counter()
        connection.request("POST", "/predict", bodies[number % len(bodies)], {"content-type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        ended = time.perf_counter()
        if response.status != http.HTTPStatus.OK:
            raise EndpointRefused(f"{base_url}/predict", response.status, content.decode(errors="replace"))
        spent.append(1000 * (ended - started))
        if ended - begun > MOST_SECONDS:
            break
    return spent[WARM:] or spent[-1:]
