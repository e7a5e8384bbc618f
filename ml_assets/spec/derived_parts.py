"""The parts that follow from the delivered table where a product doesn't write them: the request, the features, and their dbt
models.

Belongs here: which parts can follow, and what they are. Does not: executing contract.py, or running dbt.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandera.polars import Column

RELATIONS = ("requests", "labels", "features")
"""The dbt models that every product has, after its name."""
ENTRIES = (f"{__name__}:completed", f"{__name__}:derived_dbt")
"""The code that computes the parts that follow: of products that have such parts it is code of the stages that use them."""
FOLLOWS = "follows_from_a_table"
"""An attribute of the models that no one wrote."""
_HELD_BY_REQUESTS = ("greater_than_or_equal_to", "less_than_or_equal_to", "isin", "equal_to", "in_range")
_HELD_IF_WHOLE = ("greater_than", "less_than")


@dataclass(frozen=True)
class Written:
    """The parts of product.yaml that others follow from, and the dbt models with a file of their own. `tables`: the delivered
    tables and the column of time of each; `time` is "" where a question has none. `outcomes`: the table that outcomes come in
    where they are delivered apart; `labels`: the label and what else labels have next to the key."""

    product: str
    tables: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    time: str
    label: str
    models: frozenset[str]
    outcomes: str = ""
    labels: tuple[str, ...] = ()

    def has(self, relation: str) -> bool:
        """Whether the dbt model is written."""
        return f"{self.product}_{relation}" in self.models

    @property
    def derives(self) -> bool:
        """Whether anything could follow: a product that writes every model writes its contract too."""
        return not all(self.has(relation) for relation in RELATIONS)


def written_models(files: Iterable[str]) -> frozenset[str]:
    """The names of the dbt models among these files."""
    return frozenset(PurePosixPath(file).stem for file in files if file.endswith(".sql"))


def declared(files: Mapping[str, bytes]) -> frozenset[str]:
    """The names that these YAML files declare to dbt: models by name, tables of a source as "source.table". Of a file that is not
    YAML, nothing."""
    import yaml

    names: set[str] = set()
    for file, text in files.items():
        if file.endswith((".yml", ".yaml")):
            try:
                content = yaml.safe_load(text)
            except yaml.YAMLError:  # the declaration's problems name it
                continue
            names |= {str(model.get("name")) for model in _entries(content, "models")}
            names |= {f"{s.get('name')}.{t.get('name')}" for s in _entries(content, "sources") for t in _entries(s, "tables")}
    return frozenset(names)


def _entries(content: Any, key: str) -> list[dict[str, Any]]:
    entries = content.get(key) if isinstance(content, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


@cache
def completed(module: ModuleType, written: Written) -> ModuleType:
    """contract.py with the `Request` and the `Features` that follow from its one delivered table, as far as they are missing and
    do follow: no model of that name is written, neither in contract.py nor for dbt."""
    parts: dict[str, Any] = {}
    if not hasattr(module, "Request") and not written.has("requests") and _one_table(module, written) is not None:
        parts["Request"] = _request(module, written)
    request = getattr(module, "Request", parts.get("Request"))
    if not hasattr(module, "Features") and not written.has("features") and hasattr(request, "to_schema"):
        parts["Features"] = _features(request, written)
    if not parts:
        return module
    rebuilt = ModuleType(module.__name__)
    vars(rebuilt).update({**vars(module), **parts})
    return rebuilt


def derived_dbt(module: ModuleType, written: Written, *, known: frozenset[str]) -> dict[str, bytes]:
    """The SQL of the models that are not written, and the YAML that declares them to dbt, by file name. `known`: what the
    product's own YAML declares. Models that do not follow are left out; `why_not` says why."""
    files, models = {}, []
    for relation in RELATIONS:
        if written.has(relation) or why_not(module, written, relation):
            continue
        name = f"{written.product}_{relation}"
        files[f"{name}.sql"] = _sql(module, written, relation).encode()
        if name not in known:
            models.append({"name": name, "description": _ABOUT[relation], **_data_tests(written, relation)})
    if files:
        tables = [table for table in (*(name for name, _ in written.tables), "partition") if f"dataset.{table}" not in known]
        sources = [{"name": "dataset", "tables": [{"name": table} for table in tables]}] if tables else []
        content = {"version": 2, "sources": sources, "models": models}
        files[f"{written.product}_derived.yml"] = json.dumps(content, indent=1).encode()
    return files


def why_not(module: ModuleType, written: Written, relation: str) -> str:
    """The reason why a dbt model doesn't follow from the contract, as a clause; empty if it does."""
    if relation == "features":
        request, features = (_columns(getattr(module, name, None)) for name in ("Request", "Features"))
        extra = [name for name in features if name not in request]
        return f"Features has {', '.join(extra)}, which Request has not" if extra else ""
    table = _one_table(module, written)
    if table is None:
        return f"it follows from one delivered table alone, and there are {len(written.tables)}"
    apart = relation == "labels" and written.outcomes
    needed = [*written.key, *([] if apart else written.labels)]
    needed = needed if relation == "labels" else list(_columns(getattr(module, "Request", None)))
    delivered = _columns(module.TABLES[table])
    if extra := [name for name in needed if name not in delivered]:
        return f"it needs {', '.join(extra)}, which '{table}' has not"
    if relation == "labels" and not apart and written.label not in _known_after(module.TABLES[table]):
        cure = 'declare it: pa.Field(metadata={"known": "after"})'
        return f"'{written.label}' of '{table}' would be known when the question is asked; {cure}"
    return ""


_ABOUT = {
    "requests": "One row per delivered row: what is known when the question is asked.",
    "labels": "The outcome of each delivered row.",
    "features": "The model's input.",
}


def _one_table(module: ModuleType, written: Written) -> str | None:
    """The delivered table that everything follows from; None unless it is the only one and has a model."""
    if len(written.tables) != 1:
        return None
    tables = getattr(module, "TABLES", None)
    name = written.tables[0][0]
    return name if isinstance(tables, dict) and hasattr(tables.get(name), "to_schema") else None


def _columns(model: Any) -> dict[str, "Column"]:
    return dict(model.to_schema().columns) if hasattr(model, "to_schema") else {}


def _known_after(model: Any) -> set[str]:
    return {name for name, column in _columns(model).items() if (column.metadata or {}).get("known") == "after"}


def _request(module: ModuleType, written: Written) -> Any:
    """The columns of a delivered row that are known when the question is asked, with the limits that a request can be held to."""
    table = module.TABLES[written.tables[0][0]]
    later = {*_known_after(table), *written.labels}
    columns = {
        name: column
        for name, column in _columns(table).items()
        if name not in later and (not _is_temporal(column) or _is_moment(column))
    }
    first = [name for name in (*written.key, written.time) if name in columns]
    ordered = {name: columns[name] for name in dict.fromkeys([*first, *columns])}
    requested = {name: _requested(column) for name, column in ordered.items()}
    return _model("Request", table, requested, key=written.key, checks=_rules_about(table, requested))


def _features(request: Any, written: Written) -> Any:
    """Key, time, and the text and numbers of a request."""
    identity = {*written.key, written.time}
    columns = {name: column for name, column in _columns(request).items() if name in identity or not _is_temporal(column)}
    return _model("Features", request, columns, key=written.key)


def _rules_about(table: Any, columns: Mapping[str, "Column"]) -> list[Any]:
    """The rules across columns that judge single rows, as far as these columns are all that they read."""
    import polars as pl

    rows = pl.LazyFrame(schema={name: column.dtype.type for name, column in columns.items() if column.dtype is not None})

    def is_about_these(check: Any) -> bool:
        try:
            check._check_fn(_Data(rows)).collect_schema()
        except Exception:  # noqa: BLE001 - it reads other columns; what else is wrong with it, the declaration's problems say
            return False
        return True

    rules = [check for check in table.to_schema().checks if check._check_kwargs.get("scope") == "rows"]
    return [check for check in rules if is_about_these(check)]


@dataclass(frozen=True)
class _Data:
    """The rows that a check judges, as pandera gives them to it."""

    lazyframe: Any
    key: str = "*"


def _model(name: str, parent: Any, columns: Mapping[str, "Column"], *, key: tuple[str, ...], checks: Iterable[Any] = ()) -> Any:
    """A pandera model of these columns. It derives from its parent, so that errors name the lines where columns are declared."""
    import pandera.polars as pa

    unique = [column for column in key if column in columns]
    schema = pa.DataFrameSchema(dict(columns), name=name, strict=True, unique=unique or None, checks=[*checks])
    config = type("Config", (), {"strict": True, "unique": unique, "metadata": None})
    about = f"{name}, as it follows from {parent.__name__}."
    parts = {"__doc__": about, "Config": config, "to_schema": classmethod(lambda _: schema), FOLLOWS: True}
    return type(name, (parent,), parts)


def _requested(column: "Column") -> "Column":
    """A column with those of its checks that the endpoint can hold a request to."""
    import copy

    relaxed = copy.deepcopy(column)
    relaxed.checks = [check for check in relaxed.checks if _is_held(check, column)]
    relaxed.metadata, relaxed.unique = None, False
    return relaxed


def _is_held(check: Any, column: "Column") -> bool:
    statistics = check.statistics or {}
    whole = column.dtype is not None and column.dtype.type.is_integer()
    includes = statistics.get("include_min", True) and statistics.get("include_max", True)
    return (check.name in _HELD_BY_REQUESTS and includes) or (check.name in _HELD_IF_WHOLE and whole)


def _is_temporal(column: "Column") -> bool:
    return column.dtype is not None and bool(column.dtype.type.is_temporal())


def _is_moment(column: "Column") -> bool:
    import polars as pl

    return column.dtype is not None and bool(column.dtype.type == pl.Datetime)


def _sql(module: ModuleType, written: Written, relation: str) -> str:
    """The query of a model."""
    if relation == "features":
        requests = f"{{{{ ref('{written.product}_requests') }}}}"
        return f"select {_named(_columns(module.Features))}\nfrom {requests}\n"
    table, time = written.tables[0]
    is_unknown = relation == "labels" and bool(written.outcomes)
    columns = _columns(module.Request) if relation == "requests" else (*written.key, *([] if is_unknown else written.labels))
    unknown = f", {_unknown(module, written)}" if is_unknown else ""
    query = f"select {_named(columns, of='delivered.')}{unknown}\nfrom {{{{ source('dataset', '{table}') }}}} as delivered\n"
    if not time:
        return query
    moment = f"delivered.{_quoted(time)}"
    of_partition = f"where {moment} >= part.starts_at and {moment} < part.ends_at"
    return f"{query}cross join {{{{ source('dataset', 'partition') }}}} as part\n{of_partition}\n"


def _unknown(module: ModuleType, written: Written) -> str:
    """The label of a question whose outcome comes in a table of its own: of its type, and not known."""
    column = _columns(module.TABLES.get(written.outcomes)).get(written.label)
    dtype = None if column is None or column.dtype is None else column.dtype.type
    kinds = [("is_integer", "bigint"), ("is_float", "double")]
    kind = next((sql for name, sql in kinds if dtype is not None and getattr(dtype, name)()), "varchar")
    kind = "boolean" if str(dtype) == "Boolean" else kind
    return f"cast(null as {kind}) as {_as_it_is(_quoted(written.label))}"


def _named(columns: Iterable[str], *, of: str = "") -> str:
    return ", ".join(f"{of}{_as_it_is(_quoted(name))}" for name in columns)


def _as_it_is(text: str) -> str:
    """SQL that Jinja does not look at: a name may have braces."""
    return f"{{% raw %}}{text}{{% endraw %}}" if "{" in text else text


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _data_tests(written: Written, relation: str) -> dict[str, Any]:
    """One row per key; a request has every part of it."""
    arguments = {"columns": [_quoted(name) for name in written.key]}
    tests = {"data_tests": [{"unique_together": {"name": f"{relation}_are_unique", "arguments": arguments}}]}
    return tests | ({"columns": list(_present(written.key))} if relation == "requests" else {})


def _present(key: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for number, name in enumerate(key):
        claim = "requests_have_a_key" if not number else f"requests_have_part_{number + 1}_of_the_key"
        yield {"name": name, "quote": True, "data_tests": [{"not_null": {"name": claim}}]}
