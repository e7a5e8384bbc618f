"""CPU and wall seconds of each step of a run, from its Dagster events. Steps run one after the other in one process."""

import os
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mark:
    """A moment: seconds of CPU so far, of this process with all its threads and the children it waited for, and a clock."""

    cpu: float
    wall: float

    @classmethod
    def now(cls) -> "Mark":
        used = os.times()
        return cls(time.process_time() + used.children_user + used.children_system, time.monotonic())

    def since(self, start: "Mark") -> dict[str, float]:
        return {"cpu": self.cpu - start.cpu, "wall": self.wall - start.wall}


class StepMeter:
    """Listens to one run. `steps` holds what each step took, `ended` when it had succeeded; `checks` names those that are checks
    alone."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, float]] = {}
        self.ended: dict[str, Mark] = {}
        self.checks: set[str] = set()
        self.failures: list[str] = []
        self._started: dict[str, Mark] = {}

    def __call__(self, entry: Any) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        match event.event_type_value:
            case "STEP_START":
                self._started[event.step_key] = Mark.now()
            case "STEP_SUCCESS" | "STEP_FAILURE":
                self.steps[event.step_key] = Mark.now().since(self._started[event.step_key])
                if event.event_type_value == "STEP_FAILURE":
                    self.failures.append(event.step_key)
                else:
                    self.ended[event.step_key] = Mark.now()
            case "ASSET_CHECK_EVALUATION":
                self.checks.add(event.step_key)
