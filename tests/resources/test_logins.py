"""A login counts from the proxy alone, and a run's tags count for that run alone."""

import pytest

from ml_assets.core.release.identity import Identity
from resources.logins.proxy import SECRET_HEADER, LoginRefused, login
from resources.logins.run_tags import PERSON_TAG, SIGNATURE_TAG, IdentityForged, person_of, signed_tags

SECRET, HEADER = "correct horse battery staple", "X-Forwarded-User"


def asker(headers: dict[str, str], *, address: str | None = "127.0.0.1", secret: str = SECRET) -> str:
    return login(headers.get, address, name=HEADER, secret=secret)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.4.5", "::1", None])
def test_a_login_with_the_proxys_secret_counts_from_this_machine(address: str | None) -> None:
    assert asker({HEADER: "ana", SECRET_HEADER: SECRET}, address=address) == "ana"


@pytest.mark.parametrize("address", ["192.0.2.2", "10.0.0.7", "::ffff:10.0.0.7", "fd00::2", "testclient", "localhost", ""])
def test_a_login_from_another_address_is_refused_even_with_the_secret(address: str) -> None:
    with pytest.raises(LoginRefused, match="'ana'; logins are taken from a proxy on this machine alone: log in there"):
        asker({HEADER: "ana", SECRET_HEADER: SECRET}, address=address)


@pytest.mark.parametrize("shown", [None, "", "wrong", SECRET[:-1], f"{SECRET} ", SECRET.upper(), "\u00e9"])
def test_a_login_without_the_secret_is_refused(shown: str | None) -> None:
    headers = {HEADER: "ana"} | ({SECRET_HEADER: shown} if shown is not None else {})
    with pytest.raises(LoginRefused, match=f"that it is 'ana', with .* secret of a proxy; log in at the proxy.*{SECRET_HEADER}"):
        asker(headers)


@pytest.mark.parametrize("name", ["ana ben", "ana,ben", "\u0430na", "x" * 65, "ana\n"])
def test_a_login_that_could_be_taken_for_another_is_refused(name: str) -> None:
    with pytest.raises(LoginRefused, match="have the proxy send such a one"):
        asker({HEADER: name, SECRET_HEADER: SECRET})


def test_nobody_is_known_without_a_login_and_without_a_secret_of_our_own() -> None:
    assert asker({}) == asker({SECRET_HEADER: SECRET}) == ""
    assert asker({HEADER: "ana", SECRET_HEADER: SECRET}, secret="") == asker({HEADER: "ana", SECRET_HEADER: ""}, secret="") == ""


def test_tags_name_who_launched_exactly_this_run() -> None:
    tags = signed_tags("ana", run="run-1", secret=SECRET)
    assert person_of(tags, run="run-1", secret=SECRET) == Identity("ana", "login, run run-1")
    assert person_of({}, run="run-1", secret=SECRET) is None
    forged = [
        (tags, "run-2", SECRET),
        (tags | {PERSON_TAG: "ben"}, "run-1", SECRET),
        ({PERSON_TAG: "ana"}, "run-1", SECRET),
        ({PERSON_TAG: "ana", SIGNATURE_TAG: "0" * 64}, "run-1", SECRET),
        (tags, "run-1", "another secret"),
        (signed_tags("ana", run="run-1", secret=""), "run-1", SECRET),
    ]
    for given, run, secret in forged:
        with pytest.raises(IdentityForged, match=rf"run {run}: its tag {PERSON_TAG} says '\w+', and is not signed for this run"):
            person_of(given, run=run, secret=secret)
    with pytest.raises(IdentityForged, match="set ML_ASSETS_PROXY_SECRET, as the webserver has it, where runs are executed"):
        person_of(tags, run="run-1", secret="")
