"""The time that a piece of work took. It is recorded next to a manifest to estimate costs, and decides nothing."""

import os
import time


class Stopwatch:
    """Counts from its creation."""

    def __init__(self) -> None:
        """Start counting."""
        self._wall, self._cpu = time.perf_counter(), _cpu()

    def seconds(self) -> dict[str, float]:
        """Wall and CPU seconds since then; CPU of all threads of this process and of the children that it waited for."""
        return {"wall": round(time.perf_counter() - self._wall, 3), "cpu": round(_cpu() - self._cpu, 3)}


def _cpu() -> float:
    return sum(os.times()[:4])
