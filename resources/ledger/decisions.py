"""What people decided, in the ledger: approvals and refusals of a release, and overrides of a verdict.

A decision is about exactly the bytes and the evaluation that it names. Belongs here: writing and reading decisions. Does not:
whether one is asked for (ml_assets.services.release_status).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.approvals import Answer, Override, Said, Via, person
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.ledger.ledger import Entry, Ledger, entries_where

LONGEST = 2000
"""Characters that are kept of a name or a reason; longer ones are refused."""


class DecisionRefused(MlAssetsError):
    """A person's decision that cannot count: nameless, without a reason, about nothing that waits, or against a final one."""


@dataclass(frozen=True)
class Decisions:
    """The decisions of every product, in one ledger."""

    ledger: Ledger

    def said(self, release: Manifest, evaluation: Manifest) -> list[Said]:
        """What people said about exactly this release, oldest first."""
        with self.ledger.engine.connect() as connection:
            return _said(connection, release, evaluation)

    def override(self, evaluation: Manifest, model: Manifest) -> Override | None:
        """The newest override of exactly this evaluation of this model."""
        found = [e for e in self._entries("override") if _is_about(e, _overridden(evaluation, model))]
        return _as_override(found[-1]) if found else None

    def answer(
        self, product: Product, release: Manifest, evaluation: Manifest, *, decision: Answer, by: str, reason: str, via: Via
    ) -> Entry:
        """Record that a person approves or refuses the release. Refused is final, and nobody approves twice."""
        who, why = signed(by, reason, what=f"{decision}")
        name = ReleaseFacts.of(release).release
        body = {**_answered(release, evaluation), "manifest": release.id, "name": name}
        body |= {"decision": decision, "by": who, "reason": why, "via": via}

        def may_say(connection: Connection) -> None:
            said = _said(connection, release, evaluation)
            if refused := next((each for each in said if each.decision == "refused"), None):
                raise DecisionRefused(
                    f"{product.name}: release {name} was refused by {refused.by} ({refused.reason}); that is final for this "
                    f"release. A changed candidate is judged anew"
                )
            same = next((each for each in said if person(each.by) == person(who)), None)
            if decision == "approved" and same is not None:
                second = "; four eyes are asked for: somebody else has to" if product.gates.four_eyes else ""
                raise DecisionRefused(f"{product.name}: {same.by} approved release {name} already{second}")

        return self.ledger.append("approval", body, guard=may_say)

    def overrule(
        self, product: Product, evaluation: Manifest, model: Manifest, *, reasons: Sequence[str], by: str, reason: str, via: Via
    ) -> Entry:
        """Record that a person lets the model through in spite of these reasons."""
        who, why = signed(by, reason, what="override")
        body = {**_overridden(evaluation, model), "partition": evaluation.partition, "reasons": list(reasons)}
        body |= {"verdict": EvaluationFacts.of(evaluation).verdict.decision, "by": who, "reason": why, "via": via}
        return self.ledger.append("override", body)

    def told(self) -> list[Entry]:
        """Every decision, oldest first."""
        return self._entries("approval", "override")

    def _entries(self, *kinds: str) -> list[Entry]:
        return self.ledger.entries(schema.entries.c.kind.in_(kinds))


def by_subject(entries: Sequence[Entry]) -> dict[str, list[dict[str, str]]]:
    """Decisions as an audit tells them: of each release by its digest, of each evaluation by its manifest."""
    found: dict[str, list[dict[str, str]]] = {}
    for entry in entries:
        is_override = entry.kind == "override"
        kind = "override" if is_override else entry.body["decision"]
        told = {"kind": kind, "at": entry.at} | {name: entry.body[name] for name in ("by", "reason", "via")}
        found.setdefault(entry.body["evaluation" if is_override else "release"], []).append(told)
    return found


def signed(by: str, reason: str, *, what: str) -> tuple[str, str]:
    """Who and why, trimmed. Raises DecisionRefused where either says nothing."""
    found = {"by": by.strip(), "reason": reason.strip()}
    if empty := [name for name, value in found.items() if not value]:
        raise DecisionRefused(f"{what}: {' and '.join(empty)} must say something; it is recorded who decided, and why")
    if too_long := [name for name, value in found.items() if len(value) > LONGEST]:
        raise DecisionRefused(f"{what}: {' and '.join(too_long)} may have at most {LONGEST} characters")
    return found["by"], found["reason"]


def _answered(release: Manifest, evaluation: Manifest) -> dict[str, str]:
    return {"product": release.recipe.product, "release": release.snapshot, "evaluation": evaluation.id}


def _overridden(evaluation: Manifest, model: Manifest) -> dict[str, str]:
    return {"product": evaluation.recipe.product, "evaluation": evaluation.id, "model": model.data_version}


def _is_about(entry: Entry, subject: Mapping[str, Any]) -> bool:
    return all(entry.body.get(name) == value for name, value in subject.items())


def _said(connection: Connection, release: Manifest, evaluation: Manifest) -> list[Said]:
    entries = entries_where(connection, schema.entries.c.kind == "approval")
    subject = _answered(release, evaluation)
    return [_as_said(entry) for entry in entries if _is_about(entry, subject)]


def _as_said(entry: Entry) -> Said:
    told = {name: entry.body[name] for name in ("decision", "by", "reason", "via")}
    return Said(**told, at=entry.at, entry=entry.hash)


def _as_override(entry: Entry) -> Override:
    told = {name: entry.body[name] for name in ("by", "reason", "via")}
    return Override(**told, reasons=tuple(entry.body["reasons"]), at=entry.at, entry=entry.hash)
