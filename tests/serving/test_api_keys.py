"""Admission: API keys, their scopes, and the limit on one client's requests under way."""

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.serving.serve import configured_keys
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.http.api_keys import KeysRefused, matching_key, new_key, parse_keys
from ml_assets.serving.http.body_io import AsgiRequest
from ml_assets.serving.requests.refusals import BadRequest

PREDICT, PREDICT_LINE = new_key("predict")
ADMIN, ADMIN_LINE = new_key("admin")
KEYS = parse_keys(f"{PREDICT_LINE}:web  # the site\n\n# more\n{ADMIN_LINE}\n")


def request(authorization: str | None = None, *, address: str = "127.0.0.1") -> AsgiRequest:
    headers = [(b"authorization", authorization.encode())] if authorization else []
    return AsgiRequest({"type": "http", "headers": headers, "client": (address, 1)}, None)


def status(admission: Admission, asking: AsgiRequest, scope: str) -> int:
    try:
        admission.admit(asking, scope)  # type: ignore[arg-type]
    except BadRequest as refused:
        return refused.status
    return 200


def test_only_hashes_are_configured_and_keys_differ() -> None:
    assert PREDICT not in PREDICT_LINE
    assert PREDICT != ADMIN
    assert len(PREDICT) > 40
    assert [(key.scope, key.name) for key in KEYS] == [("predict", "web"), ("admin", ADMIN_LINE[6:14])]


@pytest.mark.parametrize(
    ("authorization", "predict", "admin"),
    [
        (f"Bearer {PREDICT}", 200, 403),
        (f"bearer {ADMIN}", 200, 200),
        (f"Bearer {PREDICT[:-1]}", 401, 401),
        (f"Bearer {PREDICT}x", 401, 401),
        (f"Basic {PREDICT}", 401, 401),
        (PREDICT, 401, 401),
        (f"Bearer {PREDICT_LINE.partition(':')[2]}", 401, 401),
        ("Bearer ", 401, 401),
        (None, 401, 401),
    ],
    ids=range(9),
)
def test_a_key_allows_its_scope_and_nothing_else_does(authorization: str | None, predict: int, admin: int) -> None:
    admission = Admission(KEYS)
    asking = request(authorization)
    assert (status(admission, asking, "predict"), status(admission, asking, "admin")) == (predict, admin)


@pytest.mark.parametrize(("address", "admin"), [("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 403), ("unknown", 403)])
def test_without_keys_anyone_may_predict_and_only_this_machine_may_move_the_endpoint(address: str, admin: int) -> None:
    asking = request(address=address)
    assert (status(Admission(), asking, "predict"), status(Admission(), asking, "admin")) == (200, admin)


def test_a_client_has_a_limit_and_others_do_not_feel_it() -> None:
    admission = Admission(most_per_client=2)
    admission.enter("a")
    admission.enter("a")
    with pytest.raises(BadRequest) as refused:
        admission.enter("a")
    assert (refused.value.status, refused.value.reason) == (429, "client_quota")
    admission.enter("b")
    admission.leave("a")
    admission.enter("a")
    for client in ("a", "a", "b"):
        admission.leave(client)
    assert not admission.under_way


@pytest.mark.parametrize("text", ["nonsense", PREDICT, f"root:{'0' * 64}", "predict:0", f"{PREDICT_LINE}:a:b"], ids=range(5))
def test_lines_that_are_no_keys_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(KeysRefused, match="line 1") as refused:
        parse_keys(text)
    assert text not in str(refused.value)


def test_every_hash_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    monkeypatch.setattr("hmac.compare_digest", lambda one, other: compared.append(one) or one == other)
    assert matching_key(KEYS, f"Bearer {PREDICT}".encode()) == KEYS[0]
    assert compared == [key.digest for key in KEYS]


def test_keys_come_from_the_setting_or_the_file_that_it_names(tmp_path: "object") -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "keys"
    file.write_text(PREDICT_LINE)
    assert configured_keys("") == ()
    assert configured_keys(PREDICT_LINE) == configured_keys(str(file)) == parse_keys(PREDICT_LINE)
    for content in ("", "# none\n"):
        file.write_text(content)
        with pytest.raises(KeysRefused, match="no key"):
            configured_keys(str(file))
    with pytest.raises(KeysRefused, match="cannot be read"):
        configured_keys(str(file.parent / "absent"))


def test_a_new_key_is_printed_once_with_the_line_that_configures_it() -> None:
    result = CliRunner().invoke(cli, ["serve", "--new-key", "admin"])
    assert result.exit_code == 0
    key, line = (row.split()[-1] for row in result.output.splitlines())
    assert matching_key(parse_keys(line), f"Bearer {key}".encode())
