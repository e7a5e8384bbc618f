"""A review as JUnit XML, which every CI service lists: a test for each change, claim and check that has something to say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from ml_assets.core.changes.comparison import ProductComparison
from ml_assets.core.changes.review import Review, change_id


@dataclass(frozen=True)
class JunitCase:
    """One test. `failure` and `skipped` say why it did not pass; both empty if it did."""

    suite: str
    name: str
    failure: str = ""
    skipped: str = ""


def junit(review: Review) -> bytes:
    """The XML document: suites `changes` and, for each product that was compared, `<product> claims` and `<product> checks`."""
    root = ElementTree.Element("testsuites", {"name": "ml-assets ci"})
    cases = [*_cases(review)]
    for suite in dict.fromkeys(case.suite for case in cases):
        _add_suite(root, suite, [case for case in cases if case.suite == suite])
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _cases(review: Review) -> Iterator[JunitCase]:
    failure = "; ".join(review.reasons) if review.exit_code else ""
    yield JunitCase("verdict", review.outcome, failure)
    given = {f"{item.product}/{item.name}" for item in review.acknowledged}
    for change in review.changes:
        is_open = change.effect == "weakened" and change_id(change) not in given
        failure = f"weakened, and no commit says why it may be: {change.reason or change.new}" if is_open else ""
        yield JunitCase("changes", f"{change_id(change)}: {change.effect}", failure)
    for comparison in review.comparisons:
        yield from _compared(comparison)


def _compared(comparison: ProductComparison) -> Iterator[JunitCase]:
    for claim in comparison.judged.verdict.claims if comparison.judged else ():
        failure = claim.message if claim.outcome == "FAIL" else ""
        skipped = claim.message if claim.outcome == "UNDECIDED" else ""
        yield JunitCase(f"{comparison.product} claims", f"{claim.name}: {claim.kind} {claim.text}", failure, skipped)
    for checks, is_failure in ((comparison.failed, True), (comparison.failed_before, False)):
        for check in checks:
            name = f"{check.stage} {check.partition}: {check.claim or 'contract'}"
            message = check.description or "it failed"
            skipped = "" if is_failure else f"it fails in base too: {message}"
            yield JunitCase(f"{comparison.product} checks", name, message if is_failure else "", skipped)


def _add_suite(root: ElementTree.Element, name: str, cases: Sequence[JunitCase]) -> None:
    counts = {
        "name": _text(name),
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "skipped": str(sum(bool(case.skipped) for case in cases)),
    }
    suite = ElementTree.SubElement(root, "testsuite", counts)
    for case in cases:
        test = ElementTree.SubElement(suite, "testcase", {"classname": _text(case.suite), "name": _text(case.name)})
        for kind, message in (("failure", case.failure), ("skipped", case.skipped)):
            if message:
                ElementTree.SubElement(test, kind, {"message": _text(message)})


def _text(value: str) -> str:
    """Without the control characters that XML has no way to write."""
    return "".join(character if character.isprintable() else " " for character in value)
