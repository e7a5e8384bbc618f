"""The names of CatBoost's parameters as a module of the project. `python -m tests.support.catboost_parameters` prints it."""

import inspect
import sys
import textwrap

from catboost import CatBoostClassifier, CatBoostRegressor

_MODULE = '''\
"""CatBoost's own names of its parameters, so that a misspelt one is refused without importing CatBoost.

Generated: `python -m tests.support.catboost_parameters > ml_assets/spec/model/catboost_parameters.py`.
"""

SHARED = frozenset(
    """
{shared}
    """.split()  # noqa: SIM905
)
"""Taken by classifiers and regressors."""
CLASSIFIER = frozenset(
    """
{classifier}
    """.split()  # noqa: SIM905
)
"""Taken by classifiers alone."""
'''


def module() -> str:
    classifier, regressor = (_names(kind) for kind in (CatBoostClassifier, CatBoostRegressor))
    return _MODULE.format(shared=_lines(classifier & regressor), classifier=_lines(classifier - regressor))


def _names(kind: type) -> set[str]:
    return set(inspect.signature(kind.__init__).parameters) - {"self"}


def _lines(names: set[str]) -> str:
    return textwrap.fill(" ".join(sorted(names)), width=118, initial_indent=" " * 4, subsequent_indent=" " * 4)


if __name__ == "__main__":
    sys.stdout.write(module())
