"""The application of a worker: `celery --app resources.workers.app worker`, which `ml-assets up --only worker` starts."""

from typing import Any

from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task

from resources.settings import settings

QUEUE = "dagster"

_make_app: Any = make_app  # it has no types
app = _make_app(
    {
        "broker": settings().celery,
        "backend": settings().celery,
        "config_source": {
            "task_default_queue": QUEUE,
            "worker_prefetch_multiplier": 1,
            # one process a run, as with Dagster's own launcher
            "worker_max_tasks_per_child": 1,
            "broker_connection_retry_on_startup": True,
            # a lost broker cancels what it would hand out again: of ours nothing, and without this, a warning each time says so
            "worker_cancel_long_running_tasks_on_connection_loss": True,
        },
    }
)
execute_job = create_execute_job_task(app)


def is_well(name: str, *, seconds: float) -> bool:
    """Whether the worker of this name answers by way of the broker within some seconds."""
    return bool(app.control.ping(destination=[name], timeout=seconds))
