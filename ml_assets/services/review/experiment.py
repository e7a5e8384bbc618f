"""An experiment: the work tree, with some keys set otherwise, against a commit, on retired windows. Development evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_assets.core.changes.change import Change
from ml_assets.core.changes.comparison import ProductComparison
from ml_assets.core.changes.declaration_changes import declaration_changes
from ml_assets.core.lineage.stages import SOURCE
from ml_assets.errors import MlAssetsError
from ml_assets.services.review.model_comparison import Question, arena
from ml_assets.services.review.side_process import Say
from ml_assets.services.review.sides import commit_side, tree_side
from ml_assets.spec.key_assignments import with_values
from ml_assets.spec.product import Product
from resources.ast_cache import ast_cache
from resources.git_trees import Repository
from resources.settings import Settings
from resources.tracking.mlflow_catalogue import Logged


class NothingToCompareWith(MlAssetsError):
    """The commit does not have the product, or its declaration cannot be read."""


@dataclass(frozen=True)
class Experiment:
    """An experiment: the change, the commit that it is compared with, and the result. `pictures`: SVG by file name."""

    base: str
    changes: Sequence[Change]
    comparison: ProductComparison
    pictures: Mapping[str, bytes]


def experiment(
    repository: Repository, current: Settings, product: Product, assignments: Sequence[str], *, ref: str, say: Say
) -> Experiment:
    """Try it. Raises ProductError for an assignment that cannot be, GitRefused and NothingToCompareWith for the commit."""
    tried = with_values(product, assignments)
    commit = repository.commit(ref)
    with ast_cache(current.cache / "code.json", SOURCE):
        base = commit_side(repository, commit, current.products, tree_side(repository, current.products, current.cache))
    if product.name not in base.products:
        why = base.problems.get(product.name, "it is not there")
        raise NothingToCompareWith(f"{product.name} in {ref}: {why}; name a commit that has it: --base REF")
    with arena(repository, commit, current, say=say) as both:
        comparison = both.compare(Question(base.products[product.name], tried, (), tuple(assignments)))
        changes = declaration_changes(base.products[product.name], tried)
        return Experiment(commit, changes, comparison, both.pictures)


def logged(tried: Experiment, product: Product, assignments: Sequence[str], page: str) -> Logged:
    """The experiment as a run of MLflow shows it."""
    comparison = tried.comparison
    metrics: dict[str, float] = {}
    parameters: dict[str, Any] = {change.name: change.new for change in tried.changes}
    for metric, estimates in comparison.judged.metrics.items() if comparison.judged else ():
        for role, name in (("candidate", metric), ("difference", f"difference/{metric}")):
            if role in estimates and (value := estimates[role].value) is not None:
                metrics[name] = value
    tags = {"evidence": "development", "product": product.name, "base": tried.base, "outcome": comparison.outcome}
    texts = {"report.md": page} | {name: picture.decode() for name, picture in tried.pictures.items()}
    windows = {"windows": list(comparison.windows), "set": list(assignments)}
    return Logged(parameters, metrics, tags, curves={}, texts=texts, tables={"windows.json": windows})
