"""The sides of a review: the work tree as this process runs it, and commits of the same repository, which are only read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ml_assets.checkout import DBT_MODELS
from ml_assets.core.changes.commit_side import Side
from ml_assets.core.changes.locked_libraries import LOCKS, libraries
from ml_assets.core.code.closure import Code
from ml_assets.core.code.exempt_functions import EXEMPT
from ml_assets.core.lineage.stages import SOURCE
from ml_assets.first_party import PACKAGES, TREE
from ml_assets.services.runnable_products import checked
from ml_assets.spec.product import Product, ProductError, load
from ml_assets.spec.product_files import SHARED_DBT, SPEC_FILE, ProductFiles, shared_dbt_files
from resources.git_trees import Repository

Read = Callable[[Path, ProductFiles | None], Product]


def tree_side(repository: Repository, roots: Sequence[Path], cache: Path) -> Side:
    """The work tree, whose contracts are executed. What of it lies outside of the repository is the same on all sides."""
    folders = [file.parent for root in roots for file in sorted(root.glob(f"*/{SPEC_FILE}"))]
    products, problems = _loaded(dict.fromkeys(folders), lambda folder, _: checked(load(folder), cache))
    return Side(SOURCE, products, problems, shared_dbt_files(), libraries(lock_files(repository.root)))


def commit_side(repository: Repository, commit: str, roots: Sequence[Path], tree: Side) -> Side:
    """The files of a commit. `tree` is the work tree's side."""
    code = [TREE.root / package for package in PACKAGES]
    inside = [root for root in roots if repository.holds(root)]
    files = repository.files(commit, [*code, *inside, DBT_MODELS, *SHARED_DBT, *(repository.root / name for name in LOCKS)])
    folders = {path.parent for path in files if path.name == SPEC_FILE and path.parent.parent in inside}
    outside = {name: product for name, product in tree.products.items() if not repository.holds(product.folder)}
    products, problems = _loaded({folder: ProductFiles.among(files, folder) for folder in sorted(folders)}, load)
    return Side(
        code=_code(files) if repository.holds(code[0]) else SOURCE,
        products=outside | products,
        problems=problems,
        shared_dbt=_shared(files) if repository.holds(DBT_MODELS) else tree.shared_dbt,
        libraries=libraries({path.name: text for path, text in files.items() if path.parent == repository.root}),
    )


def lock_files(root: Path) -> dict[str, bytes]:
    """The lock files of a work tree, by name."""
    return {name: (root / name).read_bytes() for name in LOCKS if (root / name).is_file()}


def _code(files: Mapping[Path, bytes]) -> Code:
    """The Python modules among the files. What was taken apart of a text that both sides have is known already."""
    texts: dict[str, bytes] = {}
    for path, content in files.items():
        if path.suffix == ".py" and path.is_relative_to(TREE.root):
            parts = path.relative_to(TREE.root).with_suffix("").parts
            if parts[0] in PACKAGES:
                texts[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = content
    return Code(texts, frozenset(EXEMPT), known=SOURCE.known)


def _shared(files: Mapping[Path, bytes]) -> dict[str, bytes]:
    root = DBT_MODELS.parent
    suffixes = (".sql", ".yml", ".yaml")
    shared = {path: text for path, text in files.items() if any(path.is_relative_to(place) for place in SHARED_DBT)}
    return {path.relative_to(root).as_posix(): text for path, text in shared.items() if path.suffix in suffixes}


def _loaded(folders: Mapping[Path, ProductFiles | None], read: Read) -> tuple[dict[str, Product], dict[str, str]]:
    products: dict[str, Product] = {}
    problems: dict[str, str] = {}
    for folder, files in folders.items():
        try:
            product = read(folder, files)
        except ProductError as error:
            problems[folder.name] = str(error)
        else:
            products[product.name] = product
    return products, problems
