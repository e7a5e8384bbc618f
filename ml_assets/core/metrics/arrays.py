"""Names for the array types of the metric code."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml_assets.spec import tasks

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Task: TypeAlias = tasks.Task
Column: TypeAlias = Any  # whatever polars.Series takes: a Series, an array, a list
