"""The outcome of a run of the path, from the events that Dagster keeps of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ml_assets.core.lineage.warm_up import WARM_UP
from resources.dagster_events import failure_message

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, EventLogEntry

OUTCOME_TAG, REASON_TAG = "ml-assets/outcome", "ml-assets/reason"
Kind = Literal["promoted", "withheld", "kept", "no candidate", "data refused", "broken", "canceled"]
DATA_STAGES = ("raw", "reference", "dataset", "quarantine", "features")
REFUSALS = ("DeliveryError", "ContractBreached", "NotDelivered")
"""Errors by which a step of the data says that a delivery cannot be used."""
CHECK_FAILED = "DagsterAssetCheckFailedError"
"""Dagster's error of a step with a blocking check that failed; its message has the check's name alone."""
PROMOTED = "promoted; "
"""Begins what the production endpoint says of a promotion."""
HELD_BACK = ("waits for", "withheld", "frozen until", "refused")
"""Words of a decision that keeps a proven release out of production."""
NO_CANDIDATE = "no candidate yet: "
"""Begins the line of a run's log that says what a candidate lacks."""
LONGEST = 500
DAGSTERS_WORDS = "This run has been marked as failed from outside"
"""Begins what Dagster says of a run whose process it misses; it says neither what happened nor what is next."""
ENDED = "its process ended: it was killed, or the machine ended it"

_PASSWORD = re.compile(r"(://[^\s:/@]*):[^\s@]+@")
"""Of an address in an error's message; reasons are shown in tags, recorded and sent."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run, and the reason in words. `data refused`: the delivery cannot be used as it is. `broken`: a fault of
    anything else."""

    kind: Kind
    reason: str

    @property
    def is_success(self) -> bool:
        """Whether the run did what it should, which withholding a release is too."""
        return self.kind in ("promoted", "withheld", "kept", "no candidate")


def outcome_of(instance: "DagsterInstance", run: "DagsterRun") -> Outcome:
    """The outcome of a run that has ended."""
    from dagster import DagsterRunStatus

    if run.status == DagsterRunStatus.CANCELED:
        return Outcome("canceled", "somebody ended the run in Dagster")
    events = instance.all_logs(run.run_id)
    if run.status == DagsterRunStatus.SUCCESS:
        return decided(_shown(events), [_check_line(event) for event in _checks(events) if not event.passed], _lacking(events))
    outcome = _failed(events)
    return replace(outcome, reason=_PASSWORD.sub(r"\1:***@", outcome.reason)[:LONGEST])


def decided(shown: Mapping[str, Mapping[str, str]], failed_checks: Sequence[str] = (), lacking: str = "") -> Outcome:
    """The outcome of a run that succeeded, by the texts of what it materialized (by stage), by checks that did not
    pass, and by what a candidate lacks."""
    evaluation = shown.get("evaluation", {})
    verdict, kept = evaluation.get("verdict", ""), evaluation.get("kept_candidate", "")
    following = evaluation.get("kept_next", "")
    decision = shown.get("endpoint/production", {}).get("decision", "")
    words = "; ".join(filter(None, [verdict, kept, following, decision.removeprefix(PROMOTED)]))
    if decision.startswith(PROMOTED):
        return Outcome("promoted", words)
    if verdict:
        is_kept = (
            (verdict.startswith("ACCEPT") or kept.endswith("ACCEPT"))
            and decision
            and not any(word in decision for word in HELD_BACK)
        )
        return Outcome("kept" if is_kept else "withheld", words)
    if closed := [check for check in failed_checks if check.startswith("evaluation:")]:
        return Outcome("withheld", closed[0])
    return Outcome("no candidate", words or lacking or "no candidate yet")


def _lacking(events: Iterable["EventLogEntry"]) -> str:
    """The part that a candidate lacks according to the log; empty if the log says nothing."""
    messages = (entry.user_message for entry in events if not entry.is_dagster_event)
    return next((text for text in messages if text.startswith(NO_CANDIDATE)), "")[:LONGEST]


def _shown(events: Iterable["EventLogEntry"]) -> dict[str, dict[str, str]]:
    shown: dict[str, dict[str, str]] = {}
    for entry in events:
        event = entry.dagster_event
        if event is not None and event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            if WARM_UP in materialization.metadata:
                continue
            texts = {name: value.value for name, value in materialization.metadata.items() if isinstance(value.value, str)}
            shown["/".join(materialization.asset_key.path[1:])] = texts
    return shown


def _checks(events: Iterable["EventLogEntry"], step: str = "") -> list[Any]:
    """The checks' evaluations, of one step or of all."""
    kinds = [entry.dagster_event for entry in events if entry.dagster_event is not None]
    evaluated = [event for event in kinds if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    return [event.asset_check_evaluation_data for event in evaluated if not step or event.step_key == step]


def _failed_checks(events: Iterable["EventLogEntry"], step: str) -> list[str]:
    checks = (check for check in _checks(events, step) if not check.passed and check.severity.value == "ERROR")
    return [_check_line(check) for check in checks]


def _check_line(check: Any) -> str:
    return f"{'/'.join(check.asset_key.path[1:])}: {check.check_name}: {check.description or 'failed'}"


def _failed(events: Sequence["EventLogEntry"]) -> Outcome:
    refused = [
        _check_line(check)
        for check in _checks(events)
        if not check.passed and check.severity.value == "ERROR" and check.asset_key.path[-1] in DATA_STAGES
    ]
    failures = [entry for entry in events if entry.dagster_event is not None and entry.dagster_event.is_step_failure]
    for entry in failures:
        event = entry.dagster_event
        assert event is not None
        error, message = event.step_failure_data.error, failure_message(event.step_failure_data)
        if error and (error.cause or error).cls_name in REFUSALS:
            refused.append(message)
        elif not refused:
            failed = _failed_checks(events, str(event.step_key)) if error and error.cls_name == CHECK_FAILED else []
            return Outcome("broken", "; ".join(failed) or f"{event.step_key}: {message}")
    if refused:
        return Outcome("data refused", "; ".join(dict.fromkeys(refused)))
    kinds = [entry.dagster_event for entry in events if entry.dagster_event is not None]
    messages = [event.message for event in kinds if event.event_type_value == "PIPELINE_FAILURE" and event.message]
    named = [message for message in messages if not message.startswith(DAGSTERS_WORDS)]
    return Outcome("broken", (named or [ENDED])[-1])
