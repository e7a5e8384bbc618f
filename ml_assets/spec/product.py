"""A product: what product.yaml and contract.py of one folder declare. Everything else is derived from it.

Belongs here: loading a declaration and saying all that is wrong with it. Does not: anything that reads data.
"""

import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from ml_assets.errors import MlAssetsError
from ml_assets.spec.arrival_rules import arrival_problem, pooled_problem, window_problem
from ml_assets.spec.automation import LandingSpec, RebuildSpec, RetrainSpec, RetriesSpec
from ml_assets.spec.base_section import Name, Section, as_declared
from ml_assets.spec.contract_problems import contract_problems
from ml_assets.spec.declaration_places import Places
from ml_assets.spec.delivery import DeliverySpec, ReferenceSpec, TableSpec
from ml_assets.spec.derived_parts import Written, completed, declared, derived_dbt, written_models
from ml_assets.spec.gates import GateSpec
from ml_assets.spec.labels import LabelsSpec, ProbationSpec, outcomes_problem
from ml_assets.spec.monitoring import MonitoringSpec, PlausibilitySpec
from ml_assets.spec.partitions import ONE_DELIVERY, PartitionSpec, SplitSpec, WindowSpec
from ml_assets.spec.people import PeopleSpec
from ml_assets.spec.product_files import CONTRACT_FILE, SPEC_FILE, ProductFiles
from ml_assets.spec.sections import (
    CiSpec,
    DecisionSpec,
    EndpointSpec,
    EvaluationSpec,
    FeatureSpec,
    KeysSpec,
    ModelSpec,
    PromoteSpec,
    StagingSpec,
)
from ml_assets.spec.sources import SourceSpec, sources_problem
from ml_assets.spec.task_rules import task_problem
from ml_assets.spec.tasks import Task
from ml_assets.spec.tuning import TuneSpec
from ml_assets.spec.yaml_file import SpecFileProblems, read_model, unknown_name


class ProductError(MlAssetsError):
    """A product folder that cannot be used; lists everything that is wrong with it."""

    def __init__(self, *problems: str) -> None:
        """Join the problems, one a line."""
        self.problems = problems
        super().__init__("\n".join(problems))


class Product(Section):
    """One product. Made by `load`."""

    name: Name
    title: str
    task: Task
    partitions: PartitionSpec
    delivery: DeliverySpec
    features: FeatureSpec
    keys: KeysSpec = KeysSpec()
    labels: LabelsSpec | None = None
    sources: dict[Name, SourceSpec] = Field(default={})
    split: SplitSpec = SplitSpec()
    window: WindowSpec = ONE_DELIVERY
    model: ModelSpec
    decision: DecisionSpec | None = None
    evaluation: EvaluationSpec = EvaluationSpec()
    gates: GateSpec
    endpoint: EndpointSpec
    staging: StagingSpec | None = None
    promote: PromoteSpec | None = None
    people: PeopleSpec | None = None
    monitoring: MonitoringSpec
    plausibility: PlausibilitySpec = PlausibilitySpec()
    probation: ProbationSpec | None = None
    rebuild: RebuildSpec = RebuildSpec()
    landing: LandingSpec = LandingSpec()
    retries: RetriesSpec = RetriesSpec()
    retrain: RetrainSpec = RetrainSpec()
    ci: CiSpec = CiSpec()
    tune: TuneSpec = TuneSpec()
    _files: ProductFiles = PrivateAttr(default_factory=lambda: ProductFiles(Path()))

    @field_validator("delivery", "features", "keys", "split", "gates", "landing")
    @classmethod
    def _fits_how_data_arrives(cls, section: Any, info: ValidationInfo) -> Any:
        if "partitions" not in info.data or (problem := arrival_problem(section, info.data)) == "":
            return section
        raise ValueError(problem)

    @field_validator("sources")
    @classmethod
    def _fits_the_tables(cls, sources: dict[Name, SourceSpec], info: ValidationInfo) -> dict[Name, SourceSpec]:
        if problem := sources_problem(sources, info.data):
            raise ValueError(problem)
        return sources

    @field_validator("features", "decision", "gates", "endpoint", "monitoring")
    @classmethod
    def _fits_the_task(cls, section: Any, info: ValidationInfo) -> Any:
        if problem := task_problem(section, info.data):
            raise ValueError(problem)
        return section

    @model_validator(mode="after")
    def _has_a_window(self) -> Self:
        if problem := window_problem(self.partitions, is_given="window" in self.model_fields_set):
            raise ValueError(f"window: {problem}")
        return self

    @field_validator("labels", "probation")
    @classmethod
    def _fits_outcomes(
        cls, section: LabelsSpec | ProbationSpec | None, info: ValidationInfo
    ) -> LabelsSpec | ProbationSpec | None:
        if problem := outcomes_problem(section, info.data):
            raise ValueError(problem)
        return section

    @model_validator(mode="after")
    def _windows_can_be_pooled(self) -> Self:
        if problem := pooled_problem(self.gates, self.window, is_static=self.partitions.is_static):
            raise ValueError(f"gates.pooled: {problem}")
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Keep the files that the context carries."""
        self._files = (context or {}).get("files", self._files)

    @property
    def folder(self) -> Path:
        """The folder of product.yaml and contract.py."""
        return self._files.folder

    @property
    def files(self) -> ProductFiles:
        """The declaration's bytes as they were when it was loaded."""
        return self._files

    @property
    def tables(self) -> tuple[str, ...]:
        """All delivered tables: the partitioned ones, then the reference tables."""
        return (*self.delivery.tables, *self.delivery.reference)

    def table(self, name: str) -> TableSpec | ReferenceSpec:
        """The declaration of one delivered table."""
        tables: dict[str, TableSpec | ReferenceSpec] = {**self.delivery.tables, **self.delivery.reference}
        if name not in tables:
            raise ProductError(f"{self.name} has no table '{name}'; {unknown_name(name, allowed=tables)}")
        return tables[name]

    @property
    def contract(self) -> ModuleType:
        """The module contract.py: TABLES, Request and Features, executed from the bytes that were loaded. What it leaves out and
        what follows from its one delivered table is filled in."""
        module = completed(_import_contract(self.folder / CONTRACT_FILE, self.files.contract, product=self.name), self.written)
        categories = self.endpoint.unknown_categories
        if problems := contract_problems(
            module, self.delivery, self.labels, self.features, categories=categories, places=Places(self.files)
        ):
            raise ProductError(*problems)
        return module

    @property
    def written(self) -> Written:
        """The declarations that the parts without a file follow from."""
        tables = tuple((name, table.time) for name, table in self.delivery.tables.items())
        spec, models = self.features, written_models(self.files.dbt)
        outcomes = self.labels.outcomes_table if self.labels and self.labels.delivered else ""
        return Written(self.name, tables, spec.key, spec.time, spec.label, models, outcomes, spec.labels)

    @property
    def dbt(self) -> dict[str, bytes]:
        """The files of the dbt project: those that are written and, of the models that are not, those that follow from the
        contract."""
        written = self.written
        if not written.derives:
            return self.files.dbt
        return {**self.files.dbt, **derived_dbt(self.contract, written, known=declared(self.files.dbt))}

    def section(self, *names: str) -> dict[str, Any]:
        """The named sections, or one key of a section ("endpoint.port"), as plain JSON content, defaults filled in: what a config
        digest is taken of."""
        included: dict[str, Any] = {}
        for name in names:
            section, _, key = name.partition(".")
            self._refuse_unknown(section, of=self)
            if key:
                self._refuse_unknown(key, of=getattr(self, section))
            included[section] = {key} if key else True
        dumped = self.model_dump(mode="json", include=included)
        declared = {name: as_declared(getattr(self, name), content) for name, content in dumped.items()}
        return {name: content for name, content in declared.items() if content != {}}

    def _refuse_unknown(self, name: str, *, of: Section) -> None:
        if name not in (fields := type(of).model_fields):
            raise ProductError(f"{SPEC_FILE} has no section or key '{name}'; {unknown_name(name, allowed=fields)}")


def schema() -> dict[str, Any]:
    """The JSON Schema of product.yaml. What it cannot say (a claim's language, what goes with what) `load` checks."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Product.model_json_schema()}


def load(folder: Path, files: ProductFiles | None = None) -> Product:
    """The product that a folder declares, or that `files` say it did."""
    files = files or ProductFiles.read(folder.resolve())
    try:
        product = read_model(folder / SPEC_FILE, Product, content=files.spec, context={"files": files})
    except SpecFileProblems as error:
        raise ProductError(*map(str, error.problems)) from None
    if problem := _python_problem(folder / CONTRACT_FILE, files.contract):
        raise ProductError(problem)
    if product.name != folder.resolve().name:
        raise ProductError(
            f"{folder / SPEC_FILE}: name: '{product.name}' must be the name of its folder, '{folder.resolve().name}'"
        )
    return product


def _python_problem(file: Path, content: bytes | None) -> str | None:
    """The place of a syntax error; None without one. A file is parsed for a digest long before it is executed."""
    try:
        compile(content or b"", str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{file}:{error.lineno or 1}: is not Python: {error.msg}"
    except ValueError as error:  # a null byte
        return f"{file}: is not Python: {error}"
    return None


def load_all(roots: Iterable[Path]) -> dict[str, Product]:
    """Every product below the roots, by name; the problems of all of them in one error."""
    products, problems = load_each(roots)
    if problems:
        raise ProductError(*problems)
    return products


def load_each(roots: Iterable[Path]) -> tuple[dict[str, Product], list[str]]:
    """The products below the roots that can be loaded, by name, and what is wrong with the others and with the roots."""
    products: dict[str, Product] = {}
    folders = list(roots)
    problems = [problem for root in folders if (problem := _root_problem(root))]
    for file in (file for root in folders for file in sorted(root.glob(f"*/{SPEC_FILE}"))):
        try:
            product = load(file.parent)
        except ProductError as error:
            problems += error.problems
            continue
        if product.name in products:
            problems.append(f"{file}: name: '{product.name}' is taken by {products[product.name].folder / SPEC_FILE}")
        products.setdefault(product.name, product)
    return products, problems


def _root_problem(root: Path) -> str | None:
    """The reason why no product is found below a folder that ML_ASSETS_PRODUCTS names."""
    holds = "it names folders that hold one folder for each product"
    if not root.is_dir():
        return f"ML_ASSETS_PRODUCTS: {root} is not a folder; {holds}"
    if (root / SPEC_FILE).is_file():
        return f"ML_ASSETS_PRODUCTS: {root} is a product's own folder; {holds}: {root.parent}"
    return None


@cache
def _import_contract(file: Path, content: bytes | None, *, product: str) -> ModuleType:
    if content is None:
        raise ProductError(f"{file}: the file is missing; the contract of '{product}' declares TABLES, Request and Features")
    name = f"ml_assets_contract_{product}_{hashlib.sha256(str(file).encode() + content).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # pandera resolves a model's annotations through its module
    try:
        exec(compile(content, str(file), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        line = next((frame.lineno for frame in reversed(extract_tb(error.__traceback__)) if frame.filename == str(file)), 1)
        words = " ".join(str(error).split())
        raise ProductError(f"{file}:{line}: cannot be imported: {type(error).__name__}: {words}") from error
    return module
