"""Launching what became stale in a deployment, once, and following the runs to their end."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ml_assets.services.deployment.locations import DeployedProduct
from resources.http.dagster_webserver import Webserver, WebserverRefused

ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
EVENTS = 1000
"""Of a run's log, in one answer."""
DRY_RUN = """
mutation ($sensor: SensorSelector!) {
  sensorDryRun(selectorData: $sensor, cursor: "") {
    ... on Error { message }
    ... on DryRunInstigationTick {
      evaluationResult {
        error { message }
        skipReason
        runRequests { runKey tags { key value } }
      }
    }
  }
}
"""
RUNS = """
query ($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 20) {
    ... on Error { message }
    ... on Runs { results { id status tags { key value } } }
  }
}
"""
LAUNCH = """
mutation ($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    __typename
    ... on Error { message }
    ... on LaunchRunSuccess { run { id } }
  }
}
"""
RUN = """
query ($run: ID!) {
  runOrError(runId: $run) {
    ... on Error { message }
    ... on Run { status assetMaterializations { assetKey { path } metadataEntries { label ... on TextMetadataEntry { text } } } }
  }
}
"""
LOG = """
query ($run: ID!, $after: String, $limit: Int) {
  logsForRun(runId: $run, afterCursor: $after, limit: $limit) {
    ... on Error { message }
    ... on EventConnection {
      cursor
      hasMore
      events {
        __typename
        ... on ExecutionStepFailureEvent { stepKey error { message className cause { message className } } }
        ... on RunFailureEvent { message error { message } }
        ... on AssetCheckEvaluationEvent {
          evaluation { checkName success severity description assetKey { path } }
        }
      }
    }
  }
}
"""


class Unanswerable(WebserverRefused):
    """The deployment cannot say what is stale, or does not launch it."""


@dataclass(frozen=True)
class Launched:
    """A run that makes again what became stale, and whether this launched it; no run (`message` says why) where nothing is."""

    partition: str = ""
    run: str = ""
    is_new: bool = False
    message: str = ""


@dataclass(frozen=True)
class Failure:
    """A failure in a run: a step or a check, and its error."""

    step: str
    error: str


def launch_stale(webserver: Webserver, deployed: DeployedProduct) -> Launched:
    """Launch the run that the product's sensor of stale paths requests, unless one of the same commit goes on or a run with the
    same key succeeded. Raises Unanswerable."""
    sensor = {"dagster/sensor_name": deployed.sensor}
    for run in _runs(webserver, deployed, sensor | {"ml-assets/source": deployed.words}):
        if run["status"] not in ENDED:
            return _adopted(run)
    request = _requested(webserver, deployed)
    if isinstance(request, str):
        return Launched(message=request)
    tags = _tags(request) | sensor | {"dagster/run_key": request["runKey"]}
    for run in _runs(webserver, deployed, sensor | {"dagster/run_key": request["runKey"]}):
        if run["status"] not in ENDED or run["status"] == "SUCCESS":
            return _adopted(run)
    return Launched(tags["dagster/partition"], _launch(webserver, deployed, tags), True, tags["ml-assets/stale"])


def status(webserver: Webserver, run: str) -> tuple[str, dict[str, dict[str, str]]]:
    """The status of a run, and the texts in the metadata of what it materialized, by stage."""
    answer = webserver.ask(RUN, run=run)
    if "status" not in answer:
        raise Unanswerable(f"{webserver.url}: {answer['message']}")
    shown = {
        "/".join(materialization["assetKey"]["path"][1:]): {
            m["label"]: m["text"] for m in materialization["metadataEntries"] if "text" in m
        }
        for materialization in answer["assetMaterializations"]
    }
    return answer["status"], shown


def failures(webserver: Webserver, run: str) -> list[Failure]:
    """The steps and the checks of severity ERROR that failed in a run; without any, why the run itself did."""
    events = list(_events(webserver, run))
    failures = [failure for event in events if (failure := _failure(event))]
    whole = [Failure("run", event["message"]) for event in events if event["__typename"] == "RunFailureEvent"]
    return failures or whole or [Failure("run", "it was canceled, or its process ended; its page in Dagster says more")]


def _failure(event: Any) -> Failure | None:
    if event["__typename"] == "ExecutionStepFailureEvent":
        error = event["error"]
        cause = error["cause"] or error
        # A check that blocks is told with what it found
        return None if "AssetCheckFailedError" in error["message"] else Failure(event["stepKey"], cause["message"].strip())
    if event["__typename"] == "AssetCheckEvaluationEvent":
        check = event["evaluation"]
        if not check["success"] and check["severity"] == "ERROR":
            return Failure(f"{'/'.join(check['assetKey']['path'])}:{check['checkName']}", check["description"] or "failed")
    return None


def _events(webserver: Webserver, run: str) -> Iterator[Any]:
    page: dict[str, Any] = {"cursor": None, "hasMore": True}
    while page["hasMore"]:
        page = webserver.ask(LOG, run=run, after=page["cursor"], limit=EVENTS)
        if "events" not in page:
            raise Unanswerable(f"{webserver.url}: {page['message']}")
        yield from page["events"]


def _requested(webserver: Webserver, deployed: DeployedProduct) -> Any:
    """The run that the sensor requests now, or why none."""
    place = {"repositoryLocationName": deployed.location, "repositoryName": deployed.repository}
    tick = webserver.ask(DRY_RUN, sensor={**place, "sensorName": deployed.sensor})
    evaluation = tick.get("evaluationResult") or {"error": tick}
    if error := evaluation["error"]:
        raise Unanswerable(f"{deployed.product}: {deployed.sensor} cannot say what is stale: {error['message'].strip()}")
    requests = evaluation["runRequests"] or []
    return requests[0] if requests else evaluation["skipReason"] or f"{deployed.product}: nothing is stale"


def _runs(webserver: Webserver, deployed: DeployedProduct, tags: dict[str, str]) -> list[Any]:
    """The runs of the product's path with these tags, newest first."""
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    answer = webserver.ask(RUNS, filter={"pipelineName": deployed.job, "tags": pairs})
    if "results" not in answer:
        raise Unanswerable(f"{webserver.url}: {answer['message']}")
    results: list[Any] = answer["results"]
    return results


def _launch(webserver: Webserver, deployed: DeployedProduct, tags: dict[str, str]) -> str:
    selector = {
        "repositoryLocationName": deployed.location,
        "repositoryName": deployed.repository,
        "jobName": deployed.job,
    }
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    answer = webserver.ask(LAUNCH, run={"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": pairs}})
    if "run" not in answer:
        why = answer.get("message") or answer["__typename"]
        raise Unanswerable(f"{deployed.product}: {webserver.url} does not launch {deployed.job}: {why}")
    run: str = answer["run"]["id"]
    return run


def _adopted(run: Any) -> Launched:
    tags = _tags(run)
    return Launched(tags["dagster/partition"], run["id"], False, tags["ml-assets/stale"])


def _tags(tagged: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in tagged["tags"]}
