"""People's decisions in the ledger: approvals and refusals of a release, and overrides of a verdict.

A decision is about exactly the bytes and the evaluation that it names. Belongs here: writing and reading decisions. Does not:
whether one is required (ml_assets.services.release_status).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.approvals import Answer, Override, PersonDecision, Via, person, scripts
from ml_assets.core.release.identity import By, Identity, counts, name_of, proof_of
from ml_assets.core.release.records import ApprovalRecord, OverrideRecord
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.ledger.ledger import Entry, Ledger, entries_where
from resources.ledger.records import Record, read

Decided: TypeAlias = Record[ApprovalRecord] | Record[OverrideRecord]
LONGEST = 2000
"""Characters that are kept of a name or a reason; longer ones are refused."""


class DecisionRefused(MlAssetsError):
    """A person's decision that cannot count: nameless, without a reason, about nothing that waits, or against a final one."""


@dataclass(frozen=True)
class Decisions:
    """The decisions of every product, in one ledger."""

    ledger: Ledger

    def statements(self, product: Product, release: Manifest, evaluation: Manifest) -> list[PersonDecision]:
        """The approvals and refusals of exactly this release and evaluation, oldest first. Approvals by people whom the product
        doesn't name for them, or who were not known, are left out."""
        with self.ledger.engine.connect() as connection:
            return _statements(connection, product, release, evaluation)

    def override(self, product: Product, evaluation: Manifest, model: Manifest) -> Override | None:
        """The newest override of exactly this evaluation of this model, by somebody who may override."""
        subject = (evaluation.recipe.product, evaluation.id, model.data_version)
        overrides = self.ledger.records(OverrideRecord, schema.entries.c.kind == "override")
        matching = [e for e in overrides if (e.body.product, e.body.evaluation, e.body.model) == subject]
        matching = [e for e in matching if counts(product, "override", person=e.body.by, proof=e.body.proof)]
        return _as_override(matching[-1]) if matching else None

    def answer(
        self, product: Product, release: Manifest, evaluation: Manifest, *, decision: Answer, by: By, reason: str, via: Via
    ) -> Record[ApprovalRecord]:
        """Record that a person approves or refuses the release. A refusal is final, and no one approves twice."""
        who, why = signed(by, reason, what=f"{decision}")
        name = ReleaseFacts.of(release).release
        body = ApprovalRecord(
            product=release.recipe.product,
            bundle=release.snapshot,
            release=name,
            manifest=release.id,
            evaluation=evaluation.id,
            decision=decision,
            by=name_of(who),
            reason=why,
            via=via,
            proof=proof_of(who),
        )

        def may_say(connection: Connection) -> None:
            statements = _statements(connection, product, release, evaluation)
            if refused := next((statement for statement in statements if statement.decision == "refused"), None):
                raise DecisionRefused(
                    f"{product.name}: release {name} was refused by {refused.by} ({refused.reason}); that is final for this "
                    f"release. A changed candidate is judged again"
                )
            same = next((statement for statement in statements if person(statement.by) == person(name_of(who))), None)
            if decision == "approved" and same is not None:
                second = "; four eyes are required: somebody else has to" if product.gates.four_eyes else ""
                raise DecisionRefused(f"{product.name}: {same.by} approved release {name} already{second}")

        return read(self.ledger.append("approval", body, guard=may_say), ApprovalRecord)

    def overrule(
        self, product: Product, evaluation: Manifest, model: Manifest, *, reasons: Sequence[str], by: By, reason: str, via: Via
    ) -> Record[OverrideRecord]:
        """Record that a person overrides a verdict in spite of these reasons. Raises DecisionRefused."""
        who, why = signed(by, reason, what="override")
        body = OverrideRecord(
            product=evaluation.recipe.product,
            evaluation=evaluation.id,
            model=model.data_version,
            partition=evaluation.partition,
            reasons=tuple(reasons),
            verdict=EvaluationFacts.of(evaluation).verdict.decision,
            by=name_of(who),
            reason=why,
            via=via,
            proof=proof_of(who),
        )
        return read(self.ledger.append("override", body), OverrideRecord)

    def history(self) -> list[Decided]:
        """Every decision, oldest first."""
        entries = self.ledger.entries(schema.entries.c.kind.in_(("approval", "override")))
        return [_decided(entry) for entry in entries]


def by_subject(decisions: Sequence[Decided]) -> dict[str, list[dict[str, str]]]:
    """Decisions as an audit shows them: those about a release by its digest, those about an evaluation by its manifest."""
    rows: dict[str, list[dict[str, str]]] = {}
    for decision in decisions:
        body = decision.body
        kind, subject = ("override", body.evaluation) if isinstance(body, OverrideRecord) else (body.decision, body.bundle)
        row = {"kind": kind, "at": decision.at, "by": body.by, "reason": body.reason, "via": body.via}
        row |= {"proof": body.proof} if body.proof else {}
        rows.setdefault(subject, []).append(row)
    return rows


def signed(by: By, reason: str, *, what: str) -> tuple[By, str]:
    """Return who and why, trimmed. Raises DecisionRefused if either shows nothing or is longer than LONGEST characters, and for
    a name in which letters of another script replace those that they look like."""
    fields = {"by": name_of(by).strip(), "reason": reason.strip()}
    if empty := [name for name, value in fields.items() if not person(value)]:
        raise DecisionRefused(f"{what}: {' and '.join(empty)} must not be empty; who decided, and why, is recorded")
    if too_long := [name for name, value in fields.items() if len(value) > LONGEST]:
        raise DecisionRefused(f"{what}: {' and '.join(too_long)} may have at most {LONGEST} characters")
    if len(mixed := scripts(fields["by"])) > 1:
        raise DecisionRefused(
            f"{what}: by mixes letters of {' and '.join(sorted(mixed))}, which look alike; write it in one script"
        )
    return Identity(fields["by"], by.proof) if isinstance(by, Identity) else fields["by"], fields["reason"]


def _statements(connection: Connection, product: Product, release: Manifest, evaluation: Manifest) -> list[PersonDecision]:
    subject = (release.recipe.product, release.snapshot, evaluation.id)
    approvals = (read(entry, ApprovalRecord) for entry in entries_where(connection, schema.entries.c.kind == "approval"))
    about = [e for e in approvals if (e.body.product, e.body.bundle, e.body.evaluation) == subject]
    return [_as_statement(e) for e in about if e.body.decision == "refused" or _counts(product, e)]


def _counts(product: Product, entry: Record[ApprovalRecord]) -> bool:
    return counts(product, "approve", person=entry.body.by, proof=entry.body.proof)


def _decided(entry: Entry) -> Decided:
    if entry.kind == "approval":
        return read(entry, ApprovalRecord)
    return read(entry, OverrideRecord)


def _as_statement(entry: Record[ApprovalRecord]) -> PersonDecision:
    body = entry.body
    about = {"by": body.by, "reason": body.reason, "proof": body.proof}
    return PersonDecision(decision=body.decision, **about, via=body.via, at=entry.at, entry=entry.hash)


def _as_override(entry: Record[OverrideRecord]) -> Override:
    body = entry.body
    about = {"by": body.by, "reason": body.reason, "proof": body.proof}
    return Override(reasons=body.reasons, **about, via=body.via, at=entry.at, entry=entry.hash)
