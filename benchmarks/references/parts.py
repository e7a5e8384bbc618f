"""CPU seconds of named parts of one process, so that a reference tells what its parts cost. The first use of a part pays for
its imports."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Parts:
    """`seconds` maps each part to the CPU seconds spent in it, over all threads of the process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.process_time()
        try:
            yield
        finally:
            self.seconds[name] += time.process_time() - started
