"""The status of a release: everything that is recorded about it, recomputed, and what follows from it now.

One place for the endpoint, the commands, the jobs and the sensors, so that none of them lets through what another refuses.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.approvals import Answer, Approvals, Override, Via, approvals, person
from ml_assets.core.release.identity import By, name_of, recorded
from ml_assets.core.release.promotion import SHORTEST_PREFIX, Decision, decide
from ml_assets.core.release.records import ApprovalRecord, OverrideRecord
from ml_assets.services.claims import release_claims
from ml_assets.services.governed_gates import weakened_after_a_look
from ml_assets.services.people.permission import require
from ml_assets.services.promotion_policy import withheld_by_commit
from ml_assets.services.proofs.latency_evidence import latency_outdated
from ml_assets.spec.product import Product
from resources.endpoints.moves import moves_about, recalled_bundles
from resources.ledger import recalls
from resources.ledger.budget import Budget
from resources.ledger.decisions import DecisionRefused, Decisions, signed
from resources.ledger.ledger import Ledger
from resources.ledger.partition_reads import manifests_of
from resources.ledger.records import Record
from resources.ledger.triggers import frozen
from resources.lineage import Lineage

if TYPE_CHECKING:
    from ml_assets.core.release.clearance import Clearance


@dataclass(frozen=True)
class ReleaseStatus:
    """A release with its evaluation, what the verdict lets it do, what people said, and what to do with it now."""

    release: Manifest
    evaluation: Manifest
    override: Override | None
    clearance: "Clearance"
    approvals: Approvals
    decision: Decision

    @property
    def name(self) -> str:
        """The name of the release."""
        return ReleaseFacts.of(self.release).release

    @cached_property
    def is_proven(self) -> bool:
        """Whether it becomes an anchor when it is promoted: shown to be better by its verdict alone."""
        return self.clearance.is_proven and EvaluationFacts.of(self.evaluation).verdict.is_better


def release_status(lineage: Lineage, product: Product, release: Manifest) -> ReleaseStatus:
    """Recompute from the record whether the release may serve: its verdict, what people decided, and what serves now."""
    from ml_assets.core.release.clearance import clearance

    inputs = lineage.made_from(release)
    evaluation, model = inputs["evaluation"], inputs["model"]
    facts = EvaluationFacts.of(evaluation)
    override = Decisions(lineage.ledger).override(product, evaluation, model)
    permit = clearance(product, facts.verdict, has_champion=facts.champion is not None, override=override)
    reasons = [*permit.reasons, *unrecorded(lineage, product, evaluation)]
    if facts.candidate != model.data_version:
        reasons.append(f"the verdict is about model {facts.candidate[:12]}, not {model.data_version[:12]}")
    overrode = override.by if override and permit.overridden else ""
    askers = _askers(lineage.ledger, product, release, evaluation, model)
    statements = [
        statement
        for statement in Decisions(lineage.ledger).statements(product, release, evaluation)
        if statement.decision == "refused" or person(statement.by) not in askers
    ]
    approval_reason = permit.approval_reason or weakened_after_a_look(lineage, product, evaluation)
    approved = approvals(statements, approval_reason=approval_reason, four_eyes=product.gates.four_eyes, overridden_by=overrode)
    moves = moves_about(lineage.ledger, product.name, "production", release.snapshot)
    serving = manifests_of(lineage.ledger, moves[-1].bundle) if moves else []
    decision = decide(
        bundle=release.snapshot,
        as_of=release.partition,
        champion=facts.compared.get("champion"),
        moves=moves,
        unproven=[
            *reasons,
            *lineage.unproven(release, release_claims(product)),
            *latency_outdated(lineage.ledger, product, release),
        ],
        withheld=withheld_by_commit(lineage, product, release),
        recalled=recalled_bundles(lineage.ledger, product.name, "production"),
        approvals=approved,
        is_verdict_used=any(
            served.partition == release.partition and evaluation.id in [given.manifest for given in served.recipe.inputs]
            for served in serving
        ),
    )
    if decision.action == "promote" and (why := frozen(lineage.ledger, product.name, datetime.now(UTC))):
        decision = Decision("keep", (why,))
    return ReleaseStatus(release, evaluation, override if permit.overridden else None, permit, approved, decision)


def unrecorded(lineage: Lineage, product: Product, evaluation: Manifest) -> list[str]:
    """The reason why the verdict that an evaluation names is not the one that was given; no person's decision can fix that."""
    facts = EvaluationFacts.of(evaluation)
    reasons = []
    given = json.loads(lineage.snapshots.read(evaluation.snapshot, "verdict.json"))
    if digest_json(given) != digest_json(evaluation.facts["verdict"]):
        reasons.append("the verdict is not the one in the evaluation's snapshot")
    looks = Budget(lineage.ledger).window(product, facts.tested).looks
    charged = {look.decision for look in looks if look.comparison == facts.look.comparison}
    if not charged & {facts.verdict.decision, "ACCEPT"}:
        reasons.append(f"no look at this test window was charged that gave {facts.verdict.decision}")
    return reasons


def release_statuses(lineage: Lineage, product: Product) -> list[ReleaseStatus]:
    """The releases that could still come to serve, oldest partition first: the current one of each partition that is not before
    the release that serves, without those that were recalled."""
    now = lineage.ledger.pointer(product.name, "production")
    keys = [key for key in lineage.ledger.partitions(product.name, "release") if now is None or key >= now.body.as_of]
    bad = recalls.derived(lineage.ledger, product.name) if keys else {}
    releases = [lineage.ledger.current(product.name, "release", key) for key in keys]
    return [release_status(lineage, product, release) for release in releases if release is not None and release.id not in bad]


def withheld(lineage: Lineage, product: Product) -> list[ReleaseStatus]:
    """The releases that the product keeps out of production only for the commit that they come from."""
    statuses = release_statuses(lineage, product)
    return [s for s in statuses if set(s.decision.reasons) & {*withheld_by_commit(lineage, product, s.release)}]


def waiting(lineage: Lineage, product: Product) -> list[ReleaseStatus]:
    """The releases that only lack a person's approval."""
    return [status for status in release_statuses(lineage, product) if status.decision.action == "wait"]


def answer(
    lineage: Lineage, product: Product, named: str, *, decision: Answer, by: By, reason: str, via: Via
) -> tuple[ReleaseStatus, Record[ApprovalRecord]]:
    """Approve or refuse the waiting release of this name or digest, and record it; what cannot count is recorded as a refusal."""
    signed(by, reason, what=decision)
    require(lineage.ledger, product, "approve", by)
    attempt = {"stage": "approval", "release": named, "decision": decision}
    try:
        status = _answerable(lineage, product, named, decision)
        _refuse_own(lineage, product, status, decision, by)
        entry = Decisions(lineage.ledger).answer(
            product, status.release, status.evaluation, decision=decision, by=by, reason=reason, via=via
        )
    except DecisionRefused as error:
        _refuse(lineage.ledger, product, {**attempt, **recorded(by), "via": via}, error)
        raise
    return release_status(lineage, product, status.release), entry


def overrule(lineage: Lineage, product: Product, partition: str, *, by: By, reason: str, via: Via) -> Record[OverrideRecord]:
    """Override what the partition's verdict lacks, and record it; what no person can fix is recorded as a refusal."""
    from ml_assets.core.release.clearance import clearance

    signed(by, reason, what="override")
    require(lineage.ledger, product, "override", by)
    evaluation = lineage.current(product, "evaluation", partition)
    model = lineage.current(product, "model", partition)
    try:
        _refuse_unmendable(lineage, product, evaluation=evaluation, model=model)
        facts = EvaluationFacts.of(evaluation)
        lacking = clearance(product, facts.verdict, has_champion=facts.champion is not None).reasons
        if not lacking:
            why = f"its verdict lets it through{_hint(lineage, product)}"
            raise DecisionRefused(f"{product.name} {partition}: nothing to override: {why}")
        return Decisions(lineage.ledger).overrule(product, evaluation, model, reasons=lacking, by=by, reason=reason, via=via)
    except DecisionRefused as error:
        attempt = {"stage": "override", "partition": partition, "evaluation": evaluation.id, **recorded(by), "via": via}
        _refuse(lineage.ledger, product, attempt, error)
        raise


def _refuse_unmendable(lineage: Lineage, product: Product, *, evaluation: Manifest, model: Manifest) -> None:
    """Refuse where the evaluation is about another model or other releases, or is not what was recorded."""
    from ml_assets.core.release.clearance import misaddressed

    baselines = lineage.baselines(product, evaluation.partition, question=EvaluationFacts.of(evaluation).question)
    compared = {role: release.snapshot for role, release in baselines.by_role.items()}
    wrong = misaddressed(model=model, evaluation=evaluation, compared=compared) + unrecorded(lineage, product, evaluation)
    if wrong:
        raise DecisionRefused(
            f"{product.name} {evaluation.partition}: no override mends this: {'; '.join(wrong)}; evaluate again: "
            f"`ml-assets run {product.name} --partition {evaluation.partition}`"
        )


def _answerable(lineage: Lineage, product: Product, named: str, decision: Answer) -> ReleaseStatus:
    """The release that waits under this name; to be refused, also one that was approved and does not serve yet."""
    statuses = release_statuses(lineage, product)
    chosen = next((status for status in statuses if _is_named(status.release, named)), None)
    hint = _hint(lineage, product, statuses)
    if chosen is None:
        raise DecisionRefused(f"{product.name}: no release {named!r} waits for approval{hint}")
    may_refuse = decision == "refused" and chosen.approvals.state == "approved" and chosen.decision.action == "promote"
    if chosen.decision.action == "wait" or chosen.approvals.state == "refused" or may_refuse:
        return chosen
    why = "; ".join(chosen.decision.reasons) or "it needs no approval any more"
    raise DecisionRefused(f"{product.name}: release {chosen.name} does not wait for approval: {why}{hint}")


def _askers(ledger: Ledger, product: Product, *manifests: Manifest) -> frozenset[str]:
    """The people who asked for the runs that made these, where four eyes of people who are named are required: another one has to
    approve what they made."""
    if product.people is None or not product.gates.four_eyes:
        return frozenset()
    return frozenset(person(ledger.record_of(manifest).body.by) for manifest in manifests) - {""}


def _refuse_own(lineage: Lineage, product: Product, status: ReleaseStatus, decision: Answer, by: By) -> None:
    manifests = (status.release, status.evaluation, lineage.made_from(status.release)["model"])
    if decision == "approved" and person(name_of(by)) in _askers(lineage.ledger, product, *manifests):
        raise DecisionRefused(
            f"{product.name}: {name_of(by)} asked for the run that made release {status.name}, and four eyes are required: "
            "somebody else whom people.approve names has to approve it"
        )


def _hint(lineage: Lineage, product: Product, statuses: list[ReleaseStatus] | None = None) -> str:
    names = [
        status.name
        for status in (release_statuses(lineage, product) if statuses is None else statuses)
        if status.decision.action == "wait"
    ]
    if names:
        return f". Waiting: {', '.join(names)}"
    return f". Nothing waits; `ml-assets status {product.name}` shows what serves, and why"


def _is_named(release: Manifest, name: str) -> bool:
    return name == ReleaseFacts.of(release).release or (len(name) >= SHORTEST_PREFIX and release.snapshot.startswith(name))


def _refuse(ledger: Ledger, product: Product, attempt: Mapping[str, Any], error: DecisionRefused) -> None:
    ledger.append("refusal", {"product": product.name, **attempt, "reasons": [str(error)]})
