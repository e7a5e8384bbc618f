"""Progress of a run, told from its Dagster events: one line that grows with each asset, and what failed."""

import sys
import time
from typing import Any

import click

BAR = "·"
REFUSED = frozenset({"WindowRetired"})
"""Errors that are a gate's answer, like a failed check."""


class Progress:
    """Listens to a run's events. `stages` maps each materialized asset to "made" or "reused"; `refusals` are failed
    checks of severity ERROR, `errors` are steps that failed for another reason."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self.stages: dict[str, str] = {}
        self.refusals: list[str] = []
        self.errors: list[str] = []
        self.seconds: dict[str, float] = {}
        self._quiet, self._started = quiet, time.monotonic()
        self._mark = self._started
        self._tell(f"{title}  ")

    def __call__(self, entry: Any) -> None:
        event = entry.dagster_event
        if event is None:
            self._trees(entry.user_message)
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            self._materialized(event)
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            self._checked(event.asset_check_evaluation_data)
        elif event.event_type_value == "STEP_FAILURE":
            self._failed(event)

    @property
    def failures(self) -> list[str]:
        """Everything that went wrong."""
        return [*self.refusals, *self.errors]

    def close(self) -> None:
        """End the line with the time it took."""
        if self._quiet:
            return
        made = sum(how == "made" for how in self.stages.values())
        self._tell(f" {made} made, {len(self.stages) - made} reused, {time.monotonic() - self._started:.1f} s\n")

    def _materialized(self, event: Any) -> None:
        materialization = event.step_materialization_data.materialization
        stage = "/".join(materialization.asset_key.path[1:])
        reused = materialization.metadata.get("reused")
        self.stages[stage] = "reused" if reused is not None and reused.value else "made"
        now = time.monotonic()
        self.seconds[stage], self._mark = now - self._mark, now
        self._tell(f"{stage}{'=' if self.stages[stage] == 'reused' else ''} ")

    def _checked(self, evaluation: Any) -> None:
        if not evaluation.passed:
            where = "/".join(evaluation.asset_key.path)
            level = "failed" if evaluation.severity.value == "ERROR" else "warns"
            told = f"{where}: {evaluation.check_name} {level}: {evaluation.description}"
            if level == "failed":
                self.refusals.append(told)
            self._tell("✗ " if level == "failed" else "! ")

    def _failed(self, event: Any) -> None:
        error = event.step_failure_data.error
        cause = error.cause or error
        if "AssetCheckFailedError" in error.message:
            return
        told = self.refusals if cause.cls_name in REFUSED else self.errors
        told.append(f"{event.step_key}: {cause.message.strip()}")
        self._tell("✗ ")

    def _trees(self, message: str) -> None:
        if " trees, " in message:
            self._tell(BAR)

    def _tell(self, text: str) -> None:
        if not self._quiet:
            click.echo(text, nl=False)
            sys.stdout.flush()
