"""Clients that ask an endpoint without a pause, and what they were answered."""

import http.client
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Load:
    """Threads that ask one row after the other on connections they keep. `answers` are row, release and score. What `base_url`
    doesn't take is asked of `other_url`, and so on in turn, as by a proxy before both; without one, a thread ends there."""

    base_url: str
    rows: Sequence[Mapping[str, Any]]
    other_url: str = ""
    answers: list[tuple[int, str, float]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, *, threads: int) -> list[threading.Thread]:
        started = [threading.Thread(target=self._ask, args=(number,)) for number in range(threads)]
        for thread in started:
            thread.start()
        return started

    @contextmanager
    def asked(self, offline: Mapping[str, Sequence[float]], *, threads: int) -> Iterator[None]:
        """Ask until the block ends; then no request failed, and each was answered by one release: `offline` are the scores of the
        rows by release."""
        started = self.run(threads=threads)
        try:
            yield
        finally:
            self.stop.set()
            for thread in started:
                thread.join()
        assert not self.failures
        assert len({tuple(scores) for scores in offline.values()}) == len(offline)
        assert all(score == offline[release][row] for row, release, score in self.answers)

    def _ask(self, first: int) -> None:
        rows = itertools.count(first)
        row = next(rows)
        for turn in itertools.count():
            url = self.other_url if turn % 2 else self.base_url
            with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
                while not self.stop.is_set() and self._ask_once(connection, row % len(self.rows)):
                    row = next(rows)
            if self.stop.is_set() or not self.other_url:
                return

    def _ask_once(self, connection: http.client.HTTPConnection, row: int) -> bool:
        """Whether it was answered, by whatever status."""
        try:
            connection.request("POST", "/predict", json.dumps(self.rows[row]))
            response = connection.getresponse()
            content = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            (self.moved if self.other_url else self.failures)[type(error).__name__] += 1
            return False
        if response.status != 200:
            self.failures[str(response.status)] += 1
            return True
        (prediction,) = content["predictions"]
        self.answers.append((row, content["release"], prediction["probability"]))
        self.ids.append(prediction["id"])
        return True
