"""The past through a policy of retraining: which model would have served when, and what that came to. Pure arithmetic on a table.

Models are fitted once, as of each partition and on several subsamples of the training rows; a policy only chooses among them. A
candidate replaces the model that serves where it is no worse on the partition at hand: gates and their budget are left out, so
differences between policies are those of when they train.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ml_assets.core.metrics.arrays import Floats
from ml_assets.errors import MlAssetsError

Word = Literal["new_partition", "drift", "loss", "schedule", "never"]


class PolicyRefused(MlAssetsError):
    """A policy that says nothing that can be played."""


@dataclass(frozen=True)
class Policy:
    """What asks for a training: each partition, every so many (`schedule`), an alarm of drift, or a metric that dropped by more
    than `max_drop` in `fails` of the last `of` partitions. None begins within `cool_down` partitions of the last."""

    name: str
    on: tuple[Word, ...]
    every: int = 1
    fails: int = 2
    of: int = 3
    max_drop: float = 0.0
    cool_down: int = 0


@dataclass(frozen=True)
class Past:
    """One replicate. `advantage` (models, partitions): how good the model as of one partition is on another, greater is better;
    `worth` the same in value by partition; `alarms` (partitions,); `seconds` (models,) of CPU; `first`: the first model."""

    keys: Sequence[str]
    advantage: Floats
    worth: Floats
    alarms: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
    seconds: Floats
    first: int


@dataclass(frozen=True)
class Played:
    """What a policy came to on one replicate. `later`: the mean advantage on partitions after the model was chosen; `worse`:
    partitions served by a model that was worse there than the newest one that could have been trained."""

    policy: str
    trainings: int
    seconds: float
    alarms: int
    later: float
    worse: int
    worth: float
    partitions: int
    at: tuple[str, ...] = field(default=())


def play(policy: Policy, past: Past) -> Played:
    """Go through the partitions in order. The model as of the first serves first, whatever the policy."""
    serving, last, trained = past.first, past.first, []
    later, worth, worse, dropped = [], 0.0, 0, []
    for now in range(past.first + 1, len(past.keys)):
        later.append(past.advantage[serving, now])
        worth += float(np.nan_to_num(past.worth[serving, now]))
        worse += bool(past.advantage[serving, now] < past.advantage[now - 1, now])
        dropped.append(past.advantage[serving, serving] - past.advantage[serving, now] > policy.max_drop)
        if now - last > policy.cool_down and _asks(policy, past, now, dropped):
            trained.append(now)
            last = now
            if past.advantage[now, now] >= past.advantage[serving, now]:
                serving, dropped = now, []
    alarms = int(past.alarms[past.first + 1 :].sum())
    seconds, at = float(past.seconds[trained].sum()), tuple(past.keys[n] for n in trained)
    return Played(policy.name, len(trained), seconds, alarms, float(np.mean(later)), worse, worth, len(later), at)


def at_random(name: str, trainings: int, past: Past, random: np.random.Generator) -> Played:
    """A schedule with as many trainings, at partitions that are drawn."""
    places = np.arange(past.first + 1, len(past.keys))
    drawn = random.choice(places, size=min(trainings, places.size), replace=False)
    alarms = np.zeros(len(past.keys), dtype=bool)
    alarms[drawn] = True
    played = play(Policy(name, ("drift",)), Past(past.keys, past.advantage, past.worth, alarms, past.seconds, past.first))
    return Played(**{**vars(played), "alarms": 0})


def _asks(policy: Policy, past: Past, now: int, dropped: Sequence[bool]) -> bool:
    asked: Mapping[Word, bool] = {
        "new_partition": True,
        "schedule": (now - past.first) % policy.every == 0,
        "drift": bool(past.alarms[now]),
        "loss": bool(dropped[-1]) and sum(dropped[-policy.of :]) >= policy.fails,
        "never": False,
    }
    return any(asked[word] for word in policy.on)
