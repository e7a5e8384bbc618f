"""Products that cannot run: what is written otherwise in the files of `shop`, and what the refusal says."""
# ruff: noqa: E501 - a table, one line a product

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.homes.shop import SHOP


@dataclass(frozen=True)
class Broken:
    """`edits`: pairs of old and new text by file; None removes the file. `where`: the file that the refusal names, and the text
    on its line (of the edited file, or of the one that is right). `says`: parts of the refusal."""

    edits: Mapping[str, tuple[str, str] | None]
    where: tuple[str, str]
    says: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """Write the product into a new folder below this one."""
        product = folder / "shop"
        for source in (path for path in SHOP.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            target = product / source.relative_to(SHOP)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        for name, edit in self.edits.items():
            self._edit(product / name, edit)
        return product

    def _edit(self, file: Path, edit: tuple[str, str] | None) -> None:
        if edit is None:
            file.unlink()
            return
        text = file.read_text()
        assert edit[0] in text, f"{edit[0]!r} is not in {file}"
        file.write_text(text.replace(edit[0], edit[1], 1))

    def place(self, product: Path) -> str:
        """The file and line that the refusal names."""
        file, text = product / self.where[0], self.where[1]
        if not text:
            return f"{file}"
        lines = file.read_text().splitlines()
        return f"{file}:{next(number for number, line in enumerate(lines, start=1) if text in line)}"


def spec(old: str, new: str, *says: str, line: str = "") -> Broken:
    return Broken({"product.yaml": (old, new)}, ("product.yaml", line or new), says)


def contract(old: str, new: str, *says: str, line: str = "") -> Broken:
    return Broken({"contract.py": (old, new)}, ("contract.py", line or new.splitlines()[0]), says)


def dbt(file: str, old: str, new: str, *says: str, line: str = "") -> Broken:
    return Broken({f"dbt/{file}": (old, new)}, (f"dbt/{file}", line or new.splitlines()[0]), says)


_IN_FEATURES = "    hour: int = pa.Field(ge=0, le=23)"
_CONFIG = """
    class Config:
        strict = True
        unique = ["id"]
"""
_END_OF_ORDERS = _CONFIG + "        metadata"
_END_OF_REQUEST = _CONFIG + "\n\nclass Features"


def _rule(scope: str, judged: str) -> str:
    return f"\n    @pa.dataframe_check{scope}\n    def held(cls, data):\n        return {judged}\n"


BROKEN: Mapping[str, Broken] = {
    "an unknown label": spec("label: came_back", "label: came_bakc", "features.label", "did you mean 'came_back'?"),
    "an unknown key": spec("key: [id]", "key: [order]", "features.key[0]: 'order' is not a column of Request", "allowed: amount"),
    "an unknown time of a question": spec("placed_at, label", "placed, label", "features.time", "did you mean 'placed_at'?"),
    "an unknown time of a table": spec("time: placed_at}", "time: placed}", "delivery.tables.orders.time", "did you mean 'placed_at'?"),
    "an unknown slice": spec("slices: [city]", "slices: [citty]", "evaluation.slices[0]", "did you mean 'city'?"),
    "an unknown ignored column": spec("max_drop: 1}", "max_drop: 1, ignore: [hours]}", "monitoring.ignore[0]", "did you mean 'hour'?"),
    "an unknown unit of the gates": spec("unit: row", "unit: customer", "gates.unit: 'customer' is neither a unit of time nor"),
    "a claim on an unknown slice": spec("roc_auc(candidate) > 0.05", '"roc_auc(candidate, town=Bonn) > 0.05"', "gates.claims[0]: 'town'", line="town"),
    "an unknown column of a baseline": spec(
        "gates:", "gates:\n  baselines: {baseline: {linear: [hours]}}", "gates.baselines.baseline: 'hours'", "did you mean 'hour'?", line="linear: [hours]"
    ),
    "a misspelt key": spec("threads: 1", "treads: 1", "model.treads: unknown key; did you mean 'threads'?"),
    "a misspelt parameter": spec("threads: 1}", "threads: 1, params: {l2_leaf_rag: 3}}", "model.params.l2_leaf_rag", "did you mean 'l2_leaf_reg'?"),
    "a parameter that the project sets": spec("threads: 1}", "threads: 1, params: {verbose: 1}}", "model.params.verbose", "leave it out"),
    "a parameter given twice": spec("threads: 1}", "threads: 1, params: {eta: 1}}", "model.params.eta", "learning_rate"),
    "a table without a contract": spec("    orders:", "    refunds: {format: csv, time: placed_at}\n    orders:", "delivery.tables.refunds", "no contract in TABLES", line="refunds"),
    "a contract without a table": contract('{"orders": Orders}', '{"orders": Orders, "refunds": Orders}', "TABLES['refunds'] is not a table", line='"refunds"'),
    "no contract": Broken({"contract.py": None}, ("contract.py", ""), ("the file is missing", "TABLES, Request and Features")),
    "no TABLES": contract("TABLES = ", "TABELS = ", "TABLES is missing", line='"""What a day'),
    "no Features": contract("class Features", "class Feature", "Features is missing", line='"""What a day'),
    "a syntax error": contract("class Request(pa", "class Request((pa", "is not Python"),
    "an import error": contract("import pandera.polars as pa", "import panderra.polars as pa", "cannot be imported: ModuleNotFoundError: No module named 'panderra'"),
    "an exit in the contract": contract("TABLES = ", "raise SystemExit('no')\nTABLES = ", "cannot be imported: SystemExit: no"),
    "a type that pandera does not know": contract("    city: str", "    city: Exception", "TABLES['orders'] cannot be read", line="class Orders"),
    "a misspelt rule": contract('"min_rows": 5', '"min_row": 5', "unknown metadata 'min_row'; did you mean 'min_rows'?", line="class Orders"),
    "a time that is text": contract("    placed_at: datetime", "    placed_at: str", "'placed_at' is the time of a row and String here; declare it as datetime"),
    "a datetime among the features": contract(_IN_FEATURES, "    hour: datetime", "feature 'hour' is Datetime", "epoch("),
    "a feature that is a list": contract(_IN_FEATURES, "    hour: list[int]", "feature 'hour' is List(Int64); allowed: str, int, float, bool"),
    "the label among the features": contract(_IN_FEATURES, _IN_FEATURES + "\n    came_back: float", "'came_back' is the label", line="    came_back: float"),
    "no outcome": Broken({"contract.py": (', metadata={"known": "after"}', "")}, ("contract.py", "TABLES = "), ("no column of a delivered table is an outcome", '"known": "after"')),
    "a field that a request cannot have": Broken({"contract.py": ("class Request(pa.DataFrameModel):\n", "class Request(pa.DataFrameModel):\n    rows: int\n")}, ("contract.py", "    rows: int"), ("call the field something else",)),
    "a rule that a request cannot be held to": Broken({"contract.py": ('when it is placed."""\n\n    id: str', 'when it is placed."""\n\n    id: str = pa.Field(str_matches="x")')}, ("contract.py", "str_matches"), ("the endpoint cannot hold a request to the check 'str_matches'",)),
    "a rule across columns without a scope": contract(_END_OF_ORDERS, _rule("", "data.lazyframe.select(data.key)") + _END_OF_ORDERS, "does not say what it judges; write @pa.dataframe_check(scope=", line="def held"),
    "a rule about rows that judges the table": contract(_END_OF_ORDERS, _rule('(scope="rows")', 'data.lazyframe.select(__import__("polars").col("items").max() > 1)') + _END_OF_ORDERS, 'write scope="partition"', line="def held"),
    "a rule about a column that is not there": contract(_END_OF_ORDERS, _rule('(scope="rows")', 'data.lazyframe.select("sold")') + _END_OF_ORDERS, "cannot judge rows of the model: ColumnNotFoundError", line="def held"),
    "a rule that the endpoint cannot hold a request to": contract(_END_OF_REQUEST, _rule('(scope="rows")', 'data.lazyframe.select(__import__("polars").col("city").str.len_chars() > 1)') + _END_OF_REQUEST, "the endpoint cannot hold a request to this rule: it uses StringExpr", line="def held"),
    "a rule about a partition of requests": contract(_END_OF_REQUEST, _rule('(scope="partition")', "True") + _END_OF_REQUEST, "a request is held to rules about its own row", line="def held"),
    "no dbt models": Broken({f"dbt/shop_{name}.sql": None for name in ("requests", "labels", "features")}, ("dbt/shop_features.sql", ""), ("the dbt model is missing", "Features has hour, which Request has not")),
    "no labels": Broken({"dbt/shop_labels.sql": None, "product.yaml": ("label: came_back", "label: is_back")}, ("dbt/shop_labels.sql", ""), ("the dbt model is missing; a product has shop_requests, shop_labels", "it needs is_back, which 'orders' has not")),
    "a model that is not there": dbt("shop_features.sql", "'shop_requests'", "'shop_request'", "ref('shop_request') is not a model", "did you mean 'shop_requests'?"),
    "a source that is not delivered": dbt("shop_labels.sql", "'orders'", "'order'", "source 'dataset.order' is not a delivered table; did you mean 'dataset.orders'?"),
    "a source that dbt does not know": Broken({"dbt/sources.yml": ("      - name: orders\n", "")}, ("dbt/shop_requests.sql", "source("), ("source 'dataset.orders' is not declared to dbt; add it",)),
    "a described model that is not there": dbt("schema.yml", "- name: shop_labels", "- name: shop_label", "there is no model 'shop_label'; did you mean 'shop_labels'?"),
    "a data test without a name": Broken({"dbt/schema.yml": ("unique: {name: labels_are_unique}", "unique")}, ("dbt/schema.yml", ""), ("shop_labels.id: the data test unique has no `name:`",)),
    "YAML of dbt that is not YAML": dbt("schema.yml", "version: 2", "version: [2", "is not YAML", line="models:"),
    "models that are not a list": dbt("sources.yml", "sources:", "models: 5\nsources:", "models: dbt takes a list of entries here"),
}  # fmt: skip
