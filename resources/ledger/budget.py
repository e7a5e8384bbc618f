"""The looks at each test window and their verdicts. A look is charged in the ledger before its verdict is known.

A window is the partitions that are tested, whatever their content: a redelivery gives no fresh rows to choose on. The same
comparison again is free. A window is retired when its looks or its promotions are used up; the next partition opens another.
Another `window.test` opens none: what windows of another length were asked is charged to the partitions that they share. A window
keeps the least that was declared at any of its looks: raising `looks` or `ships` afterwards grants none. Where windows are pooled
for a candidate that is kept, the partitions pay that it was not asked on before; and there windows of one length that overlap
charge each other too, so that a window has left what its most charged partition has left.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy import Connection, select

from ml_assets.core.gates.levels import look_level
from ml_assets.core.gates.records import LookRecord, RestorationRecord, VerdictRecord
from ml_assets.core.gates.verdict import Decision
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.ledger.append_once import append_once
from resources.ledger.ledger import Entry, Ledger, entries_where
from resources.ledger.records import Record, read, stored

_Record: TypeAlias = Record[LookRecord] | Record[VerdictRecord]


class WindowRetired(MlAssetsError):
    """The test window has had as many looks, or as many promotions, as the product allows."""


@dataclass(frozen=True)
class Look:
    """One charged comparison: the `number`-th of a window, in an entry of the ledger (0: of none). `decision` is None until its
    verdict is recorded. `charged` are the partitions that paid (the window where empty), `most_looks` and `most_ships` the limits
    that were declared then."""

    window: tuple[str, ...]
    comparison: str
    number: int
    gate: str
    at: str
    run: str
    decision: str | None = None
    entry: int = 0
    charged: tuple[str, ...] = ()
    most_looks: int | None = None
    most_ships: int | None = None

    @property
    def paid(self) -> tuple[str, ...]:
        """The partitions that were charged."""
        return self.charged or self.window


@dataclass(frozen=True)
class BudgetWindow:
    """The looks at one test window, oldest first, and its limits; `closed` is why it is retired whatever it was asked. `before`:
    looks at windows of another length, and at pooled ones, that its most charged partition had, and `ships_before` what they let
    through. `declared`: the looks that product.yaml grants now, where they are more than the window keeps."""

    partitions: tuple[str, ...]
    looks: tuple[Look, ...]
    most_looks: int
    most_ships: int
    level: float
    closed: str = ""
    before: int = 0
    ships_before: int = 0
    declared: int = 0

    @property
    def is_pooled(self) -> bool:
        """Whether these are several windows that were pooled for a candidate that was kept."""
        return any(look.charged for look in self.looks)

    @property
    def ships(self) -> int:
        """The number of promotions from this window and from those that share a partition with it."""
        return self.ships_before + sum(look.decision == "ACCEPT" for look in self.looks)

    @property
    def left(self) -> int:
        """The number of looks that are left."""
        return 0 if self.closed or self.ships >= self.most_ships else max(0, self.most_looks - self.before - len(self.looks))

    @property
    def why_retired(self) -> str:
        """The reason why no look is left; empty while there is one."""
        if self.closed:
            return self.closed
        if self.ships >= self.most_ships:
            return f"it let through {self.ships} of at most {self.most_ships}"
        elsewhere = f", {self.before} of them at other windows that hold its rows" if self.before else ""
        raised = f"; that {self.declared} are declared now grants it none" if self.declared > self.most_looks else ""
        return "" if self.left else f"{self.before + len(self.looks)} of {self.most_looks} looks are used{elsewhere}{raised}"


@dataclass(frozen=True)
class Budget:
    """The budget of every product, in one ledger."""

    ledger: Ledger

    def charge(
        self, product: Product, *, tested: Sequence[str], comparison: str, gate: str, run: str, paid_by: Sequence[str] = ()
    ) -> Look:
        """Charge a look at the window, or return the one that the same comparison was charged before. `paid_by`: of windows that
        are pooled, the partitions that the candidate was not asked on before. Raises WindowRetired."""
        budget = product.gates.budget
        body = LookRecord(
            product=product.name,
            window=tuple(tested),
            comparison=comparison,
            gate=gate,
            run=run,
            looks=budget.looks,
            ships=budget.ships,
            charged=tuple(paid_by) or None,
        )

        def is_charged(connection: Connection) -> bool:
            entries, restored = _entries(connection, product.name, tested), _restored(connection)
            window = _charged(product, tuple(tested), entries, restored, paid_by=paid_by)
            if any(look.comparison == comparison for look in window.looks):
                return True  # free, and returned below
            if window.why_retired:
                raise WindowRetired(_retired(product, window))
            return False

        try:
            append_once(self.ledger, "look", body, is_recorded=is_charged)
        except WindowRetired as error:
            refusal = {**stored(body), "stage": "evaluation", "partition": tested[-1], "reasons": [str(error)]}
            self.ledger.append("refusal", refusal)
            raise
        return next(look for look in self.window(product, tested).looks if look.comparison == comparison)

    def settle(self, product: Product, look: Look, decision: Decision) -> None:
        """Record the verdict of a look, once."""
        body = VerdictRecord(product=product.name, window=look.window, comparison=look.comparison, decision=decision)

        def is_settled(connection: Connection) -> bool:
            earlier = _charged(product, look.window, _entries(connection, product.name, look.window), []).looks
            return any(one.comparison == look.comparison and one.decision == decision for one in earlier)

        append_once(self.ledger, "verdict", body, is_recorded=is_settled)

    def window(self, product: Product, tested: Sequence[str]) -> BudgetWindow:
        """The window of these partitions."""
        with self.ledger.engine.connect() as connection:
            return _charged(product, tuple(tested), _entries(connection, product.name, tested), _restored(connection))

    def was_charged(self, product: str, tested: Sequence[str], comparison: str) -> bool:
        """Whether a look at this window was charged for the comparison: one row, however many looks there were."""
        looks, entries = schema.looks.c, schema.entries.c
        where = (looks.product == product, looks.window == schema.window_key(tested), looks.comparison == comparison)
        query = select(looks.seq).join(schema.entries, entries.seq == looks.seq).where(*where, entries.kind == "look").limit(1)
        with self.ledger.engine.connect() as connection:
            return connection.scalar(query) is not None

    def charged(self, product: str) -> set[tuple[str, str]]:
        """The window, as `window_key` writes it, and the comparison of every look that was charged."""
        looks, entries = schema.looks.c, schema.entries.c
        query = select(looks.window, looks.comparison).join(schema.entries, entries.seq == looks.seq)
        with self.ledger.engine.connect() as connection:
            rows = connection.execute(query.where(looks.product == product, entries.kind == "look"))
            return {(row.window, row.comparison) for row in rows}

    def windows(self, product: Product) -> list[BudgetWindow]:
        """Every window with a look, in the order of the last partitions."""
        with self.ledger.engine.connect() as connection:
            restored, look_entries = _restored(connection), _LookEntries.of(connection, product.name)
            ordered = sorted(look_entries.seqs, key=lambda window: window[-1])
            return [_charged(product, window, look_entries.entries(connection, window), restored) for window in ordered]


@dataclass(frozen=True)
class _LookEntries:
    """The entries of each window of a product by number, and how long windows are."""

    seqs: Mapping[tuple[str, ...], Sequence[int]]
    lengths: frozenset[int]

    @classmethod
    def of(cls, connection: Connection, product: str) -> "_LookEntries":
        """Those of a product."""
        columns = schema.looks.c
        seqs: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for row in connection.execute(select(columns.seq, columns.window).where(columns.product == product)):
            seqs[schema.window_of(row.window)].append(row.seq)
        return cls(seqs, frozenset(map(len, seqs)))

    def entries(self, connection: Connection, tested: Sequence[str]) -> list[_Record]:
        """Looks at a window and at those of another length that share a partition with it, and their verdicts."""
        own = schema.window_of(schema.window_key(tested))
        others = [window for window in self.seqs if window != own] if len(own) > 1 or self.lengths - {len(own)} else []
        charged = [window for window in others if not set(own).isdisjoint(window)]
        seqs = [seq for window in (own, *charged) for seq in self.seqs.get(window, ())]
        return [_record(entry) for entry in entries_where(connection, schema.entries.c.seq.in_(seqs))]


def _entries(connection: Connection, product: str, tested: Sequence[str]) -> list[_Record]:
    return _LookEntries.of(connection, product).entries(connection, tested)


def _record(entry: Entry) -> _Record:
    if entry.kind == "look":
        return read(entry, LookRecord)
    return read(entry, VerdictRecord)


def _restored(connection: Connection) -> list[Record[RestorationRecord]]:
    return [read(entry, RestorationRecord) for entry in entries_where(connection, schema.entries.c.kind == "restoration")]


def _charged(
    product: Product,
    tested: tuple[str, ...],
    entries: Sequence[_Record],
    restored: Sequence[Record[RestorationRecord]],
    *,
    paid_by: Sequence[str] = (),
) -> BudgetWindow:
    """The state of a window; `entries` are those that may be charged to its partitions, `paid_by` are those that pay for a look
    at pooled windows."""
    own = schema.window_of(schema.window_key(tested))
    others: dict[tuple[str, ...], list[_Record]] = {}
    for entry in entries:
        others.setdefault(schema.window_of(schema.window_key(entry.body.window)), []).append(entry)
    looks = _looks(tested, others.pop(own, []))
    payers = set(paid_by) or {key for look in looks for key in look.paid} or set(own)
    is_pooled = bool(paid_by) or any(look.charged for look in looks) or product.gates.pooled is not None
    shared = [
        look
        for window, records in others.items()
        for look in _looks(window, records)
        # nothing is pooled: windows of one length overlap, and keep budgets of their own
        if is_pooled or look.charged or len(window) != len(own)
    ]
    budget = product.gates.budget
    counted = [look for look in shared if payers & set(look.paid)]
    limits = [(look.most_looks or budget.looks, look.most_ships or budget.ships) for look in (*looks, *counted)]
    lost = next((record for record in restored if max(tested) <= record.body.closed.get(product.name, "")), None)
    return BudgetWindow(
        tested,
        looks,
        min([budget.looks, *(most for most, _ in limits)]),
        min([budget.ships, *(most for _, most in limits)]),
        look_level(product.gates),
        f"the ledger was restored on {lost.at[:10]}, and what it was asked before is not known" if lost else "",
        before=max(sum(key in look.paid for look in shared) for key in payers),
        ships_before=max(sum(key in look.window and look.decision == "ACCEPT" for look in shared) for key in own),
        declared=budget.looks,
    )


def _looks(tested: tuple[str, ...], entries: Iterable[_Record]) -> tuple[Look, ...]:
    """Those at one window. A verdict that was an ACCEPT once stays a promotion used, whatever came later."""
    looks: dict[str, Look] = {}
    for entry in entries:
        body, known = entry.body, looks.get(entry.body.comparison)
        if isinstance(body, LookRecord):
            if known is None:
                looks[body.comparison] = Look(
                    tested,
                    body.comparison,
                    len(looks) + 1,
                    body.gate,
                    entry.at,
                    body.run,
                    entry=entry.seq,
                    charged=body.charged or (),
                    most_looks=body.looks,
                    most_ships=body.ships,
                )
        elif known is not None and known.decision != "ACCEPT":
            looks[body.comparison] = replace(known, decision=body.decision)
    return tuple(looks.values())


def _retired(product: Product, window: BudgetWindow) -> str:
    return (
        f"{product.name}: the test window {' to '.join(dict.fromkeys((window.partitions[0], window.partitions[-1])))} is "
        f"retired: {window.why_retired}. A new partition opens a new one; `ml-assets gates budget {product.name}`"
    )
