"""The dbt models of a draft and their YAML, by file name."""

import re

from ml_assets.core.draft.column_roles import digest_sql
from ml_assets.core.draft.columns import quoted
from ml_assets.core.draft.draft import Draft

_RELATION = re.compile(r"\{\{\s*(?:source\('dataset',\s*'(\w+)'\)|ref\('(\w+)'\))\s*\}\}")


def dbt_files(draft: Draft) -> dict[str, str]:
    """The text of each file of the product's `dbt` folder."""
    return {
        f"{draft.relation('requests')}.sql": _requests(draft),
        f"{draft.relation('labels')}.sql": _labels(draft),
        f"{draft.relation('features')}.sql": _features(draft),
        "schema.yml": _schema(draft),
        "sources.yml": _sources(draft),
    }


def plain(sql: str) -> str:
    """The SQL with each dbt relation by its bare name, as DuckDB runs it without dbt."""
    return _RELATION.sub(lambda match: quoted(match[1] or match[2]), sql)


def _requests(draft: Draft) -> str:
    key, time = draft.roles.key, draft.roles.time
    columns = [*(_named(sql, name) for name, sql in key.selected.items()), *([_named(time.sql, time.field)] if time else [])]
    columns += [_named(c.sql, c.field) for c in draft.roles.inputs if c.field not in key.fields]
    head = "-- One row a question, with what is known when it is asked: these are the fields of a request.\n"
    return head + _select(draft, columns, "")


def _labels(draft: Draft) -> str:
    key, label = draft.roles.key, draft.roles.label
    columns = [*(_named(sql, name) for name, sql in key.selected.items()), _named(label.sql, label.field)]
    what = f"-- The answer: {label.field}" + (f", {draft.roles.positive!r} is the yes" if draft.roles.positive else "")
    return f"{what}. Null while it is not known.\n{_select(draft, columns, f' order by {label.sql}')}"


def _select(draft: Draft, columns: list[str], order: str) -> str:
    source = f"{{{{ source('dataset', '{draft.table}') }}}}"
    chosen = ",\n    ".join(columns)
    if not draft.roles.key.is_counted:
        return f"select\n    {chosen}\nfrom {source}\n"
    return (
        "-- No column names a row: the key is a digest of all that a request knows, and a number for rows that are alike in it.\n"
        f"with digests as (\n    select *, {digest_sql(draft.roles.key)} as row_digest\n    from {source}\n),\n\n"
        f"numbered as (\n    select *, row_number() over (partition by row_digest{order}) as row_number\n    from digests\n)\n\n"
        f"select\n    {chosen}\nfrom numbered\n"
    )


def _features(draft: Draft) -> str:
    identity = [*draft.roles.key.fields, *([draft.roles.time.field] if draft.roles.time else [])]
    columns = [*map(quoted, identity), *(_named(feature.sql, feature.name) for feature in draft.features)]
    head = "-- The model's input. Reads requests and lookups only: this compiled SQL also serves, on one request at a time.\n"
    return f"{head}select\n    " + ",\n    ".join(columns) + f"\nfrom {{{{ ref('{draft.relation('requests')}') }}}}\n"


def _schema(draft: Draft) -> str:
    key = draft.roles.key.field
    lines = ["version: 2", "", "models:"]
    lines += [
        *_model(draft.relation("requests"), "One row a question, with what is known when it is asked."),
        f"      - name: {key}",
    ]
    lines += [
        "        data_tests:",
        "          - unique: {name: requests_are_unique}",
        "          - not_null: {name: requests_have_a_key}",
        "",
    ]
    lines += [*_model(draft.relation("labels"), "The outcome."), f"      - name: {key}", "        data_tests:"]
    lines += ["          - unique: {name: labels_are_unique}", ""]
    lines += [*_model(draft.relation("features"), "The model's input."), f"      - name: {key}"]
    lines += ["        data_tests:", "          - unique: {name: features_are_unique}"]
    lines += [f"      - {{name: {feature.name}, description: '{feature.about}'}}" for feature in draft.features]
    return "\n".join(lines) + "\n"


def _model(name: str, about: str) -> list[str]:
    return [f"  - name: {name}", f"    description: {about}", "    columns:"]


def _sources(draft: Draft) -> str:
    return (
        "version: 2\n\nsources:\n  - name: dataset\n    description: Rows that keep the contract.\n    tables:\n"
        f"      - name: {draft.table}\n"
        "      - name: partition\n        description: One row, the partition's key, start and end.\n"
    )


def _named(sql: str, name: str) -> str:
    own = quoted(name)
    return sql if sql == own else f"{sql} as {own}"
