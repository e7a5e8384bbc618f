"""Notices' texts: each says product, partition, what, why, what serves, command and link, and others' text has no power in it."""

import json

import pytest
from msgspec.structs import replace

from ml_assets.core.notices import Notice, as_json, cause_id, log_line, message_key, plain_text, subject
from ml_assets.core.slack_message import LONGEST_HEADER, slack_message

REFUSED = Notice(
    id=cause_id("data_refused", "flights", "2013-05", "ab12"),
    event="data_refused",
    severity="error",
    product="flights",
    partition="2013-05",
    title="the delivery is refused",
    why="flights.csv: 12 % of the rows were refused, at most 5 % may be\nweather.csv: no such column: wind_dir",
    serves="2013-04.9626f46e",
    command="ml-assets check flights -p 2013-05",
    link="http://127.0.0.1:3000/runs/7?a=1&b=2",
    at="2026-11-29T06:00:00+00:00",
)
PROMOTED = replace(
    REFUSED, id=cause_id("promoted", "flights", "x"), event="promoted", severity="info", title="2013-06 serves", why=""
)
OVER = replace(REFUSED, is_over=True, title="the corrected delivery is taken")
EVERYTHING = ("flights", "2013-05", "the delivery is refused", "12 %", "2013-04.9626f46e", "ml-assets check flights", "/runs/7")


@pytest.mark.parametrize("text", [plain_text([REFUSED]), log_line(REFUSED), json.dumps(as_json([REFUSED]))])
def test_each_text_says_everything(text: str) -> None:
    assert all(part in text for part in EVERYTHING)
    assert REFUSED.id in text


def test_slack_says_everything() -> None:
    message = json.dumps(slack_message([REFUSED]))
    assert all(part in message for part in EVERYTHING)
    assert "flights 2013-05" in slack_message([REFUSED])["text"]


def test_the_same_cause_is_the_same_notice_and_another_is_not() -> None:
    assert cause_id("late", "flights", "2013-05") == cause_id("late", "flights", "2013-05")
    ids = [
        cause_id("late", "flights", "2013-05"),
        cause_id("late", "flights", "2013-06"),
        cause_id("broken", "flights", "2013-05"),
    ]
    assert len({*ids, cause_id("late", "fl", "ights2013-05")}) == 4


def test_what_is_over_is_another_message_of_the_same_notice() -> None:
    assert OVER.id == REFUSED.id
    assert message_key([OVER]) != message_key([REFUSED])
    assert message_key([replace(REFUSED, at="2026-12-01T00:00:00+00:00")]) != message_key([REFUSED]), "it came a second time"
    assert OVER.subject == "[resolved] flights 2013-05: the corrected delivery is taken"


def test_a_digest_has_a_key_of_its_own_that_does_not_depend_on_the_order() -> None:
    assert message_key([REFUSED, PROMOTED]) == message_key([PROMOTED, REFUSED])
    assert message_key([REFUSED, PROMOTED]) not in {REFUSED.key, PROMOTED.key, message_key([REFUSED, OVER])}


def test_a_digest_counts_and_shows_the_worst_first() -> None:
    text = plain_text([OVER, PROMOTED, REFUSED])
    assert subject([OVER, PROMOTED, REFUSED]) == "3 notices of 2026-11-29: 1 error, 1 info, 1 resolved"
    assert text.index("[error]") < text.index("[info]") < text.index("[resolved]")
    blocks = slack_message([REFUSED] * 30)["blocks"]
    assert len(blocks) <= 50
    assert blocks[-1]["elements"][0]["text"] == "and 10 more"


def test_no_text_of_others_begins_a_line_a_mention_or_a_link() -> None:
    hostile = replace(
        REFUSED,
        title="<!channel> fine\n2026-11-29T07:00:00+00:00 promoted",
        why="<@U1> & <https://bad.example|good>\x1b[2J",
        partition="`2013`",
        link="https://host/a|b>c",
    )
    assert log_line(hostile).count("\n") == 0
    assert "\n" not in hostile.subject
    assert "\x1b" not in plain_text([hostile])
    message = slack_message([hostile])
    marked = [
        t["text"] for b in message["blocks"] for t in [*b.get("fields", []), *b.get("elements", [])] if t["type"] == "mrkdwn"
    ]
    assert not any("<!" in text or "<@" in text for text in [*marked, message["text"]])
    assert "<https://host/a%7Cb%3Ec|Open>" in marked[-1]
    assert "*Partition*\n`ˋ2013ˋ`" in marked


def test_a_link_that_is_no_web_address_is_none() -> None:
    assert "javascript" not in json.dumps(slack_message([replace(REFUSED, link="javascript:alert(1)")]))


def test_slack_takes_its_longest_text() -> None:
    blocks = slack_message([replace(REFUSED, title="x" * 999, why="y" * 9999, command="&" * 999, serves="&" * 9999)])["blocks"]
    assert len(blocks[0]["text"]["text"]) == LONGEST_HEADER
    assert len(blocks[1]["text"]["text"]) == 3000
    assert all(len(field["text"]) <= 2000 for field in blocks[2]["fields"])


def test_a_notice_about_the_machine_names_no_product() -> None:
    notice = replace(REFUSED, product="", partition="", serves="", command="", link="", title="the disk is full", why="")
    assert notice.subject == "[error] the disk is full"
    assert "serves" not in plain_text([notice])
    assert [block["type"] for block in slack_message([notice])["blocks"]] == ["header", "context"]
