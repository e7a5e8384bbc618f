"""Names for the array types of the metric code."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Column: TypeAlias = Any  # whatever polars.Series takes: a Series, an array, a list
Task: TypeAlias = Literal["binary", "regression"]
