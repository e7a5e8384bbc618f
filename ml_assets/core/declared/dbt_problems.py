"""dbt models and sources that are named and missing, found in the text of the files: dbt itself is not asked."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ml_assets.core.declared.label_problem import labels_problem
from ml_assets.spec.derived_parts import RELATIONS, why_not
from ml_assets.spec.product import Product, ProductError
from ml_assets.spec.product_files import FEATURES_FILE
from ml_assets.spec.yaml_file import Loc, Parsed, SpecFileProblems, dotted, parsed, unknown_name

_COMMENT = re.compile(r"\{#.*?#\}|--[^\n]*|/\*.*?\*/", re.DOTALL)
_CALL = re.compile(r"\b(ref|source)\(\s*(['\"])([^'\"]*)\2\s*(?:,\s*(['\"])([^'\"]*)\4\s*)?\)")
_PARTITION = "partition"
_YAML = (".yml", ".yaml")


def dbt_problems(product: Product) -> list[str]:
    """The models that every product has and this one has not; what models read that is not there; what YAML describes in vain."""
    models = {PurePosixPath(file).stem: file for file in product.files.dbt if file.endswith(".sql")}
    missing = list(_missing(product, models))
    described = {file: _read(product, file) for file in product.files.dbt if file.endswith(_YAML)}
    yaml_problems = [problem for result in described.values() if isinstance(result, list) for problem in result]
    contents = {file: result for file, result in described.items() if isinstance(result, Parsed)}
    sources = _sources(product)
    return [
        *missing,
        *yaml_problems,
        *(problem for file, content in contents.items() for problem in _nameless(product, file, content)),
        *_twice(product),
        *_undescribed(product, models, contents, sources),
        *_dangling(product, models, sources, declared=_declared_sources(contents)),
        *(labels_problem(product, models) if f"{product.name}_labels" in models else []),
    ]


def _missing(product: Product, models: Mapping[str, str]) -> Iterator[str]:
    """The models that are not written and do not follow from the contract."""
    names = {f"{product.name}_{relation}": relation for relation in RELATIONS}
    try:
        module = product.contract
    except ProductError:  # its own problems are named: what follows from it is not known
        return
    for name, relation in names.items():
        if name not in models and (reason := why_not(module, product.written, relation)):
            path = f"{product.files.dbt_root / name}.sql"
            yield f"{path}: the dbt model is missing; a product has {', '.join(names)}, and this one doesn't follow: {reason}"


def _twice(product: Product) -> Iterator[str]:
    """Features that are written in two files."""
    name = f"{product.name}_features.sql"
    alone, model = product.files.folder / FEATURES_FILE, product.files.dbt_root / name
    if alone in product.files.content and model in product.files.content:
        yield f"{alone}: {model} makes the features too; delete one of them"


def _sources(product: Product) -> dict[str, set[str]]:
    """The tables of each dbt source."""
    return {"dataset": {*product.delivery.tables, _PARTITION}, "reference": {*product.delivery.reference}}


def _read(product: Product, file: str) -> Parsed | list[str]:
    path = product.files.dbt_path(file)
    try:
        return parsed(path, product.files.dbt[file])
    except SpecFileProblems as error:
        return [str(problem) for problem in error.problems]


def _dangling(
    product: Product, models: Mapping[str, str], sources: Mapping[str, set[str]], *, declared: set[tuple[str, str]]
) -> Iterator[str]:
    """Models and sources that the SQL reads, and that are not there."""
    known = {*models, *(f"{product.name}_{relation}" for relation in RELATIONS)}
    for file in models.values():
        text = _COMMENT.sub(
            lambda comment: re.sub(r"[^\n]", " ", comment.group()), product.files.dbt[file].decode(errors="replace")
        )
        for call in _CALL.finditer(text):
            where = f"{product.files.dbt_path(file)}:{text.count(chr(10), 0, call.start()) + 1}"
            kind, first, second = call.group(1), call.group(3), call.group(5)
            if kind == "ref":
                if (name := second or first) not in known:
                    yield f"{where}: ref('{name}') is not a model of the product; {unknown_name(name, allowed=known)}"
            elif second is None or second not in sources.get(first, set()):
                allowed = [f"{source}.{table}" for source, tables in sources.items() for table in tables]
                name = f"{first}.{second or ''}"
                yield f"{where}: source '{name}' is not a delivered table; {unknown_name(name, allowed=allowed)}"
            elif (first, second) not in declared:
                cure = f"add it to a YAML file there: sources: [{{name: {first}, tables: [{{name: {second}}}]}}]"
                yield f"{where}: source '{first}.{second}' is not declared to dbt; {cure}"


def _undescribed(
    product: Product, models: Mapping[str, str], contents: Mapping[str, Parsed], sources: Mapping[str, set[str]]
) -> Iterator[str]:
    """Models and sources that a YAML file describes, and that are not there."""
    tables = [f"{source}.{table}" for source, names in sources.items() for table in names]
    known = {*models, *(f"{product.name}_{relation}" for relation in RELATIONS)}
    for file, content in contents.items():
        path = product.files.dbt_path(file)
        for number, model in enumerate(_entries(content.content, "models")):
            if (name := str(model.get("name"))) not in known:
                line = content.line_of(("models", number))
                yield f"{path}:{line}: there is no model '{name}'; {unknown_name(name, allowed=known)}"
        for number, source in enumerate(_entries(content.content, "sources")):
            for position, table in enumerate(_entries(source, "tables")):
                if (name := f"{source.get('name')}.{table.get('name')}") not in tables:
                    line = content.line_of(("sources", number, "tables", position))
                    yield f"{path}:{line}: source '{name}' is not a delivered table; {unknown_name(name, allowed=tables)}"


def _declared_sources(contents: Mapping[str, Parsed]) -> set[tuple[str, str]]:
    return {
        (str(source.get("name")), str(table.get("name")))
        for content in contents.values()
        for source in _entries(content.content, "sources")
        for table in _entries(source, "tables")
    }


def _nameless(product: Product, file: str, content: Parsed) -> Iterator[str]:
    """Lists of models, sources, tables and columns that hold something else than entries with a name."""
    top = content.content if isinstance(content.content, dict) else {}
    lists: list[tuple[Loc, Any]] = [((key,), top.get(key)) for key in ("models", "sources")]
    for loc, entries in lists:  # grows: the entries of each list have lists of their own
        if entries is None:
            continue
        if not isinstance(entries, list) or not all(_has_name(entry) for entry in entries):
            where = f"{product.files.dbt_path(file)}:{content.line_of(loc)}"
            yield f"{where}: {dotted(loc)}: dbt takes a list of entries here, each with a name"
            continue
        for number, entry in enumerate(entries):
            lists += [((*loc, number, key), entry.get(key)) for key in ("columns", "tables")]


def _has_name(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def _entries(content: Any, key: str) -> list[dict[str, Any]]:
    """The mappings of a list; what is not a mapping dbt refuses."""
    entries = content.get(key) if isinstance(content, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
