"""A step that meets a fault that passes is tried again by Dagster, in the same run, with growing waits and a limit; the run's
page shows each try. What the step recorded before the fault is recorded once: snapshots by their recipe, looks by what they
compare.
"""

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import dagster as dg

from resources.passing_faults import passing_fault

MOST_RETRIES = 4
FIRST_WAIT_SECONDS = 2.0
"""Doubled each time: half a minute in all. A run that breaks after that is run again by its sensor, as product.yaml's `retries`
says."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def retried(compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let Dagster try the step again that this function computes, where a fault passes; its first argument is the context."""
    if inspect.isgeneratorfunction(compute):

        @wraps(compute)
        def steps(*arguments: Arguments.args, **resources: Arguments.kwargs) -> Generator[Any, None, None]:
            with _asking_again(cast("_Context", arguments[0])):
                yield from cast("Iterator[Any]", compute(*arguments, **resources))

        return cast("Callable[Arguments, Result]", steps)

    @wraps(compute)
    def step(*arguments: Arguments.args, **resources: Arguments.kwargs) -> Result:
        with _asking_again(cast("_Context", arguments[0])):
            return compute(*arguments, **resources)

    return step


_Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


@contextmanager
def _asking_again(context: _Context) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        tries = context.retry_number
        if tries >= MOST_RETRIES or not (why := passing_fault(error)):
            raise
        wait = FIRST_WAIT_SECONDS * 2**tries
        context.log.warning(f"{why}; the step is tried again in {wait:g} s ({tries + 1} of {MOST_RETRIES} times)")
        raise dg.RetryRequested(max_retries=MOST_RETRIES, seconds_to_wait=wait) from error
