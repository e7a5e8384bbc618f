"""A deployment after a merge, from the commit that it has to report to the outcome of its runs. Clock and words are arguments."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from ml_assets.errors import MlAssetsError
from ml_assets.services.automation.run_outcomes import decided
from ml_assets.services.deployment.locations import Contains, DeployedProduct, Location, locations
from ml_assets.services.deployment.runs import ENDED, Failure, Launched, Unanswerable, failures, launch_stale, status
from resources.http.dagster_webserver import Webserver, WebserverUnreachable

POLL_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
"""How long the webserver may not answer: what ships the code may restart it."""
Say = Callable[[str], None]
Answer = TypeVar("Answer")


class LimitReached(MlAssetsError):
    """The time is over before the deployment reports the commit, or before its runs ended."""


@dataclass(frozen=True)
class DeployOutcome:
    """The outcome of one product. `state`: nothing to do, promoted, withheld, rejected, done (where no release is decided about)
    or failed; `message` says it in words."""

    product: str
    location: str
    state: str
    message: str
    partition: str = ""
    run: str = ""
    page: str = ""
    is_new: bool = False
    failures: Sequence[Failure] = ()

    @property
    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values."""
        return asdict(self)


@dataclass
class Deploy:
    """One deployment: `seconds` are the limit of all that is waited for."""

    webserver: Webserver
    commit: str
    seconds: float
    say: Say
    contains: Contains = lambda commit, other: False
    only: Sequence[str] = ()
    started: float = field(default_factory=time.monotonic)

    def await_commit(self) -> list[DeployedProduct]:
        """Wait until every location reports the commit, or one that contains it; the products. Raises LimitReached, which names
        what each location reports instead."""
        reported: list[str] = []
        while True:
            matching = self._ask(lambda: locations(self.webserver, self.only))
            behind = [why for location in matching if (why := location.behind(self.commit, self.contains))]
            if not matching:
                behind = [f"{self.webserver.url} has no location with a product"]
            for why in behind if behind != reported else []:
                self.say(f"waits: {why}")
            if not behind:
                return [product for location in matching for product in self._reported(location)]
            reported = behind
            self._pause(f"{'; '.join(behind)}; ship the commit and reload the code location, or choose with --location")

    def run_stale(self, products: Sequence[DeployedProduct]) -> Iterator[DeployOutcome]:
        """Launch what became stale of all products, and wait for one after the other. Raises LimitReached."""
        launched = [(product, self._launched(product)) for product in products]
        for product, launch in launched:
            yield launch if isinstance(launch, DeployOutcome) else self._followed(product, launch)

    def _reported(self, location: Location) -> Sequence[DeployedProduct]:
        for product in location.products:
            self.say(f"{product.product}: location {location.name} runs {product.words}")
        return location.products

    def _launched(self, product: DeployedProduct) -> "Launched | DeployOutcome":
        try:
            launched = self._ask(lambda: launch_stale(self.webserver, product))
        except Unanswerable as error:
            return self._say_outcome(DeployOutcome(product.product, product.location, "failed", str(error)))
        if not launched.run:
            return self._say_outcome(DeployOutcome(product.product, product.location, "nothing to do", launched.message))
        how = "launched" if launched.is_new else "goes on or succeeded before"
        self.say(f"{launched.message}\n{product.product} {launched.partition}: run {launched.run} {how}: {self._page(launched)}")
        return launched

    def _followed(self, product: DeployedProduct, launched: Launched) -> DeployOutcome:
        known = ""
        while True:
            now, shown = self._ask(lambda: status(self.webserver, launched.run))
            if now != known:
                self.say(f"{product.product} {launched.partition}: {now.lower()}")
            if now in ENDED:
                break
            known = now
            self._pause(f"{product.product} {launched.partition}: run {launched.run} is {now.lower()}: {self._page(launched)}")
        is_good = now == "SUCCESS"
        state, message = (
            _decided(shown) if is_good else ("failed", f"run {launched.run} ended with {now}: {self._page(launched)}")
        )
        outcome = DeployOutcome(
            product=product.product,
            location=product.location,
            state=state,
            message=message,
            partition=launched.partition,
            run=launched.run,
            page=self._page(launched),
            is_new=launched.is_new,
            failures=() if is_good else self._ask(lambda: failures(self.webserver, launched.run)),
        )
        return self._say_outcome(outcome)

    def _say_outcome(self, outcome: DeployOutcome) -> DeployOutcome:
        self.say(f"{f'{outcome.product} {outcome.partition}'.strip()}: {outcome.state}: {outcome.message}")
        for failure in outcome.failures:
            self.say(f"  {failure.step}: {failure.error}")
        return outcome

    def _page(self, launched: Launched) -> str:
        return self.webserver.run_page(launched.run)

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask again for a while where the webserver does not answer."""
        until = min(time.monotonic() + PATIENCE_SECONDS, self.started + self.seconds)
        while True:
            try:
                return question()
            except WebserverUnreachable as error:
                if time.monotonic() >= until:
                    raise
                self.say(f"waits: {error}")
                time.sleep(POLL_SECONDS)

    def _pause(self, why: str) -> None:
        if time.monotonic() - self.started >= self.seconds:
            raise LimitReached(f"after {self.seconds:g} s: {why}")
        time.sleep(POLL_SECONDS)


def _decided(shown: dict[str, dict[str, str]]) -> tuple[str, str]:
    """State and message of a run that succeeded, by what it materialized."""
    outcome = decided(shown)
    if outcome.kind == "withheld" and outcome.reason.startswith("REJECT"):
        return "rejected", outcome.reason
    return {"kept": "withheld", "no candidate": "done"}.get(outcome.kind, outcome.kind), outcome.reason
