"""Building each output once: look a recipe up, compute only if its output is missing or damaged, record the manifest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache as memoize
from pathlib import Path
from typing import cast

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage import stages
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Input, Manifest, Output, Recipe
from ml_assets.core.lineage.source import Source
from ml_assets.core.release.promotion import stack
from ml_assets.errors import MlAssetsError
from ml_assets.first_party import CodeChanged
from ml_assets.spec.product import Product
from resources.ast_cache import ast_cache
from resources.endpoints.moves import as_move
from resources.ledger import recalls
from resources.ledger.identity import refuse_another_store
from resources.ledger.ledger import Ledger
from resources.source_changes import changed_since_start
from resources.stopwatch import Stopwatch
from resources.store.snapshots import Snapshots

LABELLED = ("features", "outcomes")
"""Stages whose rows may be trained and tested on; a product has one of them for it."""


class NotMaterialized(MlAssetsError):
    """A stage reads a partition that was never built."""


class NotProven(MlAssetsError):
    """An input lacks a passing result of a claim that must hold before it may be used."""


@dataclass(frozen=True)
class Build:
    """The current manifest of an asset's partition, and whether it was reused."""

    manifest: Manifest
    reused: bool


@dataclass(frozen=True)
class Baselines:
    """The releases that a candidate is compared with; both are None until a first release serves."""

    champion: Manifest | None
    anchor: Manifest | None

    @property
    def by_role(self) -> dict[str, Manifest]:
        """Those that exist, by role."""
        named = {"champion": self.champion, "anchor": self.anchor}
        return {role: release for role, release in named.items() if release is not None}


@dataclass(frozen=True)
class Lineage:
    """The store and the ledger together. In its methods `run` is the Dagster run id that is recorded; `sources` returns the
    commits of a product's code and declaration. `upstream` is the ledger of a home that is only read, whose snapshots are
    among `snapshots`: what was made there is not made again."""

    snapshots: Snapshots
    ledger: Ledger
    sources: Callable[[str], Source | None] = lambda product: None
    upstream: Ledger | None = None

    def current(self, product: Product, stage: str, partition: str = "") -> Manifest:
        """The current manifest of the asset's partition, to be used. Raises NotMaterialized with the next command, or Recalled
        if it comes from something that was declared bad."""
        manifest = self.ledger.current(product.name, stage, partition)
        if manifest is None:
            raise NotMaterialized(
                f"{product.name}/{stage} has nothing for {partition or 'the product'} yet; "
                f"materialize it first: {_command('run', product.name, partition)}"
            )
        recalls.refuse(self.ledger, [manifest])
        return manifest

    def reads(self, product: Product, stage: str, partition: str) -> list[Manifest]:
        """The manifests that a stage reads for one partition, as core.lineage.stages declares them. Recalled ones are left out
        where a stage takes what is available, and refused where it requires them. Raises NotMaterialized and Recalled."""
        usable: dict[tuple[str, str], Manifest] = {}
        declared = stages.reads(product, stage, partition, self._keep_usable(product, usable))
        required = [self.current(product, name, key) for name, key in declared.required]
        return [usable[asset] for asset in declared.available] + required

    def usable(self, product: Product, assets: Sequence[tuple[str, str]]) -> list[str]:
        """Of these (stage, partition) pairs, the partitions that are there and do not come from anything recalled, in order."""
        is_usable = self._keep_usable(product, {})
        return [key for stage, key in assets if is_usable((stage, key))]

    def _keep_usable(self, product: Product, usable: dict[tuple[str, str], Manifest]) -> Callable[[tuple[str, str]], bool]:
        """Whether an asset's partition can be read; the manifests of those that can are added to `usable`."""
        bad = memoize(lambda: recalls.derived(self.ledger, product.name))

        def is_usable(asset: tuple[str, str]) -> bool:
            manifest = self.ledger.current(product.name, *asset)
            if manifest is None or manifest.id in bad():
                return False
            usable[asset] = manifest
            return True

        return is_usable

    def served(self, product: Product, *, before: str) -> Manifest | None:
        """The release that served when the partition came in: the last in production as of an earlier one."""
        move = self.ledger.pointer(product.name, "production", before=before)
        return self.ledger.manifest(move.body.manifest) if move else None

    def scorer(self, product: Product, stage: str, partition: str) -> Manifest | None:
        """The release that monitoring or predictions of a partition go by: the one that they were made with, which is a fact of
        that time, unless it was recalled since; where there is none, the one that served when the partition came in."""
        current = self.ledger.current(product.name, stage, partition)
        recorded = self.made_from(current).get("release") if current else None
        if recorded is not None and recorded.id not in recalls.derived(self.ledger, product.name):
            return recorded
        return self.served(product, before=partition)

    def baselines(self, product: Product, partition: str, *, question: str) -> Baselines:
        """The releases that a candidate as of `partition` is compared with. The champion is the last that production moved
        to and did not roll back, of those as of this partition or an earlier one, recalled or not: what serves is what a
        candidate has to be as good as. The anchor is the last of them that was proven better than the anchor before it, and
        neither recalled nor made from what was; the champion where there is none.

        `question` is the evaluation's recipe key without them. A release that came out of this very question is skipped:
        the same question again has the same answer. So is a release as of this partition of a candidate that was kept: it was let
        through after the partition's own candidate was asked.
        """
        entries = self.ledger.moves(product.name, "production")
        manifests = {entry.body.bundle: entry.body.manifest for entry in entries}
        bad = recalls.derived(self.ledger, product.name) if entries else {}
        champion: Manifest | None = None
        for move in reversed(stack([as_move(entry) for entry in entries])):
            if champion is not None and not move.is_proven:
                continue
            release = self.ledger.manifest(manifests[move.bundle])
            if release is None or release.partition > partition:
                continue
            judged = EvaluationFacts.of(self.made_from(release)["evaluation"])
            if judged.question == question or (judged.kept_since and release.partition == partition):
                continue
            champion = champion or release
            if move.is_proven and release.id not in bad:
                return Baselines(champion, release)
        return Baselines(champion, champion)

    def inputs(self, manifest: Manifest) -> list[Manifest]:
        """The manifests of its inputs, in the order read; delivered files have none."""
        named = [i.manifest for i in manifest.recipe.inputs if i.manifest]
        recorded = self.ledger.manifests(named)
        return [recorded[id] for id in named if id in recorded]

    def made_from(self, manifest: Manifest) -> dict[str, Manifest]:
        """The manifests of its inputs by stage; of several partitions of a stage, the last."""
        return {source.recipe.stage: source for source in self.inputs(manifest)}

    def tested(self, evaluation: Manifest) -> list[Manifest]:
        """The features of the test window, in order; an evaluation also reads those of the partitions before it."""
        keys = EvaluationFacts.of(evaluation).tested
        by_partition = {m.partition: m for m in self.inputs(evaluation) if m.recipe.stage in LABELLED}
        return [by_partition[key] for key in keys]

    def features_behind(self, labelled: Sequence[Manifest]) -> list[Manifest]:
        """The features that rows with labels were made from, where these are `outcomes`; else they themselves."""
        return [m if m.recipe.stage == "features" else self.made_from(m)["features"] for m in labelled]

    def handle(self, manifest: Manifest) -> Handle:
        """The snapshot as a builder reads it. Raises BlobDamaged when a byte of it is missing or changed."""
        return Handle(manifest, self.snapshots.paths(manifest.snapshot))

    def recipe(self, product: Product, stage: str, partition: str, inputs: Sequence[Input]) -> Recipe:
        """The recipe of a stage's partition from what is declared and these inputs. Raises CodeChanged when code or declaration
        are not what this process started with, because the recipe would then name code that doesn't run."""
        if changes := changed_since_start(product):
            raise CodeChanged(changes)
        spec = stages.STAGES[stage]
        config = stages.stage_config(product, spec)
        code = stages.stage_code_parts(product, spec)
        details = {"config": config, "environment": stages.environment(spec), "code": code}
        fitted = {"seed": product.model.seed, "threads": product.model.threads} if stage == "model" else {}
        return Recipe(
            product=product.name,
            stage=stage,
            partition=partition,
            code=stages.stage_code(product, spec),
            config=digest_json(config),
            environment=stages.environment_digest(spec),
            inputs=tuple(inputs),
            details=details,
            **fitted,
        )

    def make(
        self,
        recipe: Recipe,
        build: Callable[[], Output],
        *,
        run: str,
        may_reuse: Callable[[Manifest], bool] = lambda _: True,
        is_current: bool = True,
    ) -> Build:
        """Reuse the recipe's output if it is recorded and intact, and `may_reuse`; otherwise build, store, record and publish.
        Unless `is_current`, what was current of the asset's partition stays so."""
        known = self.ledger.by_key(recipe.key) or self._taken_over(recipe)
        if known and may_reuse(known) and self._stands_for(known, recipe) and self.snapshots.is_intact(known.snapshot):
            if is_current:
                self.ledger.publish(known, run=run)
            return Build(known, reused=True)
        self._refuse_another_store()
        clock = Stopwatch()
        output = build()
        seconds = clock.seconds()
        snapshot = self.snapshots.write(output.files)
        manifest = Manifest(recipe, snapshot.digest, output.data_version or snapshot.digest, output.facts)
        source = self.sources(recipe.product)
        self.ledger.publish(manifest, run=run, source=source, seconds=seconds, is_current=is_current)
        return Build(manifest, reused=False)

    def _refuse_another_store(self) -> None:
        """Raise AnotherStore where the snapshots would go to a store that others who share the ledger do not read."""
        if self.ledger.belonging is not None:
            refuse_another_store(self.ledger.belonging, self.ledger.engine, self.snapshots.blobs)

    def _taken_over(self, recipe: Recipe) -> Manifest | None:
        """The manifest that upstream made by this recipe, of the stages before a verdict; None if it is recalled there."""
        if self.upstream is None or recipe.stage not in stages.UNJUDGED:
            return None
        known = self.upstream.by_key(recipe.key)
        if known is None or known.id in recalls.derived(self.upstream, recipe.product):
            return None
        self.take_over(known, self.upstream)
        return known

    def take_over(self, manifest: Manifest, there: Ledger, *, is_current: bool = True) -> None:
        """Record what another ledger does, under the run and the source that it names, with what was shown there about data and
        model. What was shown about an evaluation or a release has to be shown here: a promotion rests on it."""
        record = there.record_of(manifest).body
        source = cast("Source | None", record.source)
        self.ledger.publish(manifest, run=record.run, source=source, seconds=record.seconds, is_current=is_current)
        if manifest.recipe.stage in stages.UNJUDGED:
            for evidence in there.evidence(manifest.id).values():
                self.ledger.append("evidence", evidence.body)

    def _stands_for(self, known: Manifest, recipe: Recipe) -> bool:
        """Whether a recorded manifest can be this recipe's output: not if its equal content comes from a recalled source."""
        same = set(known.recipe.inputs) == set(recipe.inputs)
        return same or known.id not in recalls.derived(self.ledger, recipe.product)

    def require_proven(self, manifests: Sequence[Manifest], claims: Sequence[str], *, may_warn: Sequence[str] = ()) -> None:
        """Record a refusal and raise NotProven, unless the ledger holds a PASS of every claim, or a WARN of those that may warn,
        for exactly these manifests."""
        lacking = [(m, missing) for m in manifests if (missing := self.unproven(m, claims, may_warn=may_warn))]
        reasons = [reason for _, missing in lacking for reason in missing]
        if reasons:
            unproven = [{"stage": m.recipe.stage, "partition": m.partition, "manifest": m.id} for m, _ in lacking]
            product = manifests[0].recipe.product
            self.ledger.append("refusal", {"product": product, **unproven[0], "unproven": unproven, "reasons": reasons})
            raise NotProven("; ".join(reasons))

    def unproven(self, manifest: Manifest, claims: Sequence[str], *, may_warn: Sequence[str] = ()) -> list[str]:
        """One sentence for each claim that is not proven for this manifest; none if all passed, or warned where they may."""
        evidence = self.ledger.evidence(manifest.id)
        command = _command("check", manifest.recipe.product, manifest.partition)
        subject = f"{manifest.asset} {manifest.partition}".strip()
        reasons = []
        for claim in claims:
            if claim not in evidence:
                reasons.append(f"{subject}: {claim} was never checked for this content; {command}")
            elif not (evidence[claim].body.passed or (claim in may_warn and evidence[claim].body.details.severity == "WARN")):
                reasons.append(f"{subject}: {claim} failed; {command}")
        return reasons


def open_lineage(
    snapshots: Snapshots, ledger: Ledger, sources: Callable[[str], Source | None], *, cache: Path, upstream: str = ""
) -> Lineage:
    """The lineage of a store and a ledger, with the code of every stage read; what it was taken apart into is kept in `cache`.
    `upstream` is the URL of the ledger next to it that is only read."""
    with ast_cache(cache / "code.json", stages.SOURCE):
        for stage in stages.STAGES.values():
            stages.closure(*stage.builders)
    return Lineage(snapshots, ledger, sources, Ledger(upstream, is_read_only=True) if upstream else None)


def _command(verb: str, product: str, partition: str) -> str:
    at = f" --partition {partition}" if partition else ""
    return f"`ml-assets {verb} {product}{at}`"
