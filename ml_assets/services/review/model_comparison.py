"""The models of both sides on the same past rows: each side walked, and judged, in processes of its own."""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ml_assets.core.changes.acknowledged_gates import acknowledged_gates, own_gates
from ml_assets.core.changes.comparison import ProductComparison, compared, not_compared
from ml_assets.core.changes.comparison_pictures import pictures
from ml_assets.core.changes.feature_movement import movements
from ml_assets.core.changes.head_against_base import NotComparable
from ml_assets.core.changes.locked_libraries import libraries
from ml_assets.core.changes.walk_protocol import JUDGED, PRODUCTION, PROTOCOL, WALKED, HeadVerdict, Production, ReplacedGates
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.first_party import TREE
from ml_assets.services.review.protocol_files import read_record, read_walk, take_walk
from ml_assets.services.review.side_process import Ended, Say, SideProcess, this_python
from ml_assets.services.review.sides import lock_files
from ml_assets.services.review.trial_windows import retired_windows
from ml_assets.spec.product import Product
from resources.git_trees import Repository
from resources.ledger.ledger import Ledger
from resources.python_environments import environment_of
from resources.settings import Settings


@dataclass(frozen=True)
class Question:
    """One product on both sides, and what of its gates the change acknowledges that it weakens. `assignments` make head of what
    its product.yaml says (spec.key_assignments)."""

    base: Product
    head: Product
    acknowledged: Collection[str]
    assignments: tuple[str, ...] = ()

    @property
    def head_options(self) -> list[str]:
        """The assignments as options of a command."""
        return [f"--set={assignment}" for assignment in self.assignments]


@dataclass(frozen=True)
class Arena:
    """The place of comparisons: both sides' processes, the ledger that says what was delivered, a folder for their files.
    `walked` has what head's walks wrote on another machine, by product: head is then not run. Its walks are copied to `kept`.
    `pictures` gets what is drawn, by file name."""

    base: SideProcess
    head: SideProcess
    source: Ledger
    folder: Path
    say: Say
    walked: Path | None = None
    kept: Path | None = None
    pictures: dict[str, bytes] = field(default_factory=dict)

    def compare(self, question: Question) -> ProductComparison:
        """Walk both sides over the retired windows and judge them. What keeps it from a verdict is among its reasons."""
        name = question.base.name
        windows = retired_windows(self.source, question.base)
        if not windows:
            reason = "no past window whose outcomes are known is retired, so there is none to compare the models on; "
            reason += "after the merge, promotion decides"
            if not self.source.partitions(name, "raw"):
                reason = "the home has no data to compare the models on; name one that has: ML_ASSETS_UPSTREAM=FOLDER"
            return not_compared(name, "INCONCLUSIVE", reason)
        self.say(f"{name}: comparing on {', '.join(windows)}")
        gates = acknowledged_gates(question.base, question.head, question.acknowledged)
        (gates_file := self.folder / f"{name}.gates.json").write_bytes(msgspec.json.encode(gates))
        head = self._walk(self.head, name, windows, *question.head_options) if self.walked is None else self._taken(name)
        judging = () if head.code else (f"--head={self._folder(self.head, name)}", f"--gates={gates_file}")
        base = self._walk(self.base, name, windows, *judging)
        if base.code and not (self._folder(self.base, name) / WALKED).is_file():
            return not_compared(name, "INCONCLUSIVE", _why_not(base), windows=windows)
        if head.code or base.code:
            problem = f"trained and scored: {head.problem}" if head.code else f"judged: {base.problem}"
            return not_compared(name, "REJECT", f"head cannot be {problem}", windows=windows)
        try:
            return self._compared(question, gates)
        except NotComparable as error:
            return not_compared(name, "INCONCLUSIVE", str(error), windows=windows)

    def _taken(self, product: str) -> Ended:
        assert self.walked is not None
        try:
            take_walk(self.walked / product, self._folder(self.head, product))
        except NotComparable as error:
            return Ended(1, (f"its run left no walk that can be read: {error}",))
        return Ended(0, ())

    def _walk(self, side: SideProcess, product: str, windows: Collection[str], *more: str) -> Ended:
        windows_options = [f"--window={window}" for window in windows]
        return side.run(
            "walk", product, *_PROTOCOL, *windows_options, f"--output={self._folder(side, product)}", *more, say=self.say
        )

    def _compared(self, question: Question, gates: ReplacedGates) -> ProductComparison:
        name = question.base.name
        base, head = (read_walk(self._folder(side, name)) for side in (self.base, self.head))
        judged = read_record(self._folder(self.base, name) / JUDGED, HeadVerdict)
        if self.kept:
            take_walk(self._folder(self.head, name), self.kept / name)
        moved = movements(base, head, question.base)
        own = own_gates(question.head)
        drawn = pictures(judged)
        self.pictures.update(drawn)
        by_head = None if own == gates or self.walked else self._by_head(question)
        result = compared(base.walked, head.walked, judged=judged, by_head=by_head, moved=moved)
        production = read_record(self._folder(self.base, name) / PRODUCTION, Production)
        return msgspec.structs.replace(result, pictures=tuple(drawn), production=production)

    def _by_head(self, question: Question) -> VerdictFacts | None:
        """The verdict of head's own gates; None where its code cannot judge."""
        product = question.base.name
        file = self.folder / f"{product}.{JUDGED}"
        walks = [f"--{side.name}={self._folder(side, product)}" for side in (self.base, self.head)]
        ended = self.head.run("judge", product, *_PROTOCOL, *walks, f"--output={file}", *question.head_options, say=self.say)
        return None if ended.code else read_record(file, HeadVerdict).verdict

    def _folder(self, side: SideProcess, product: str) -> Path:
        return self.folder / product / side.name


def _why_not(ended: Ended) -> str:
    if ended.code == 2 and any("No such command" in line for line in ended.lines):
        return "base is older than the comparison of models and cannot be walked; after the merge, promotion decides"
    return f"base cannot be trained and scored: {ended.problem}"


_PROTOCOL = ("--protocol", str(PROTOCOL))


@contextmanager
def arena(
    repository: Repository, commit: str, current: Settings, *, say: Say, walked: Path | None = None, kept: Path | None = None
) -> Iterator[Arena]:
    """Both sides of a comparison: the work tree, or what was `walked` elsewhere; and a commit in a work tree of its own. Raises
    EnvironmentNotMade."""
    upstream = current.recorded
    place = current.home / "ci"
    with repository.worktree(commit, place / "trees") as tree, tempfile.TemporaryDirectory(dir=place) as folder:

        def there(path: Path) -> Path:
            return tree / path.relative_to(repository.root) if repository.holds(path) else path

        products = tuple(map(there, current.products))
        python = _python(repository, tree, place / "environments", say)
        yield Arena(
            base=SideProcess("base", there(TREE.root), python, products, place / "base", upstream),
            head=SideProcess("head", TREE.root, this_python(), current.products, place / "head", upstream),
            source=Ledger(upstream["ledger"], is_read_only=True),
            folder=Path(folder),
            say=say,
            walked=walked,
            kept=kept,
        )


def _python(repository: Repository, tree: Path, folder: Path, say: Say) -> Path:
    """The interpreter with base's libraries: this one, unless the change locks others."""
    was, now = (lock_files(root) for root in (tree, repository.root))
    if not was or libraries(was) == libraries(now):
        return this_python()
    say("base: installing the libraries that base locks")
    return environment_of(tree / next(iter(was)), folder=folder)
