"""The run launcher of a home whose runs are made by workers."""

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG


class WorkerLauncher(CeleryRunLauncher):
    """Named in dagster.yaml. Runs that a command made in its own process have no task: their lease in the ledger says whether
    they live, and nobody but their command can end them."""

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Running for a run that no worker was given; of the others what Celery knows.

        A task that the broker knows no more has a lease that says the same, sooner: the run isn't ended twice for it.
        """
        if DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        health = super().check_run_worker_health(run)
        return CheckRunHealthResult(WorkerStatus.RUNNING, health.msg) if health.status == WorkerStatus.UNKNOWN else health

    def terminate(self, run_id: str) -> bool:
        """End the task of a run; False where there is none."""
        run = self._instance.get_run_by_id(run_id)
        return bool(run and DAGSTER_CELERY_TASK_ID_TAG in run.tags) and super().terminate(run_id)

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """The task of a run and its state."""
        if (task := run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)) is None:
            return None
        return f"Celery task {task}: {self.celery.AsyncResult(task).state}"
