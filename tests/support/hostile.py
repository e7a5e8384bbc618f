"""Hostile requests: a corpus of bodies, values and bytes on the wire, and requests generated from it with a seed."""

import json
import random
from collections.abc import Callable
from typing import Any

from tests.support.serving_store import payload, requests

FRAME = requests(40, seed=31)
ROWS = payload(FRAME)
GOOD = ROWS[0]
PIECES = [b"{", b"[", b'"', b",", b":", b"\\", b"null", b'"rows":', b"\\ud83d", b" ", b'"carrier":"AA",']
DEEP, WIDE = b"[" * 5000, b'{"rows":[' + b",".join([b"{}"] * 5000) + b"]}"
LITERALS = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "-0.0", "0x10", "01", "1.", ".5", "+1", "1e", "9" * 400,
    "1" + "0" * 5000, "9223372036854775808", "18446744073709551616", "true", "false", "null", '"1"', '"ZZ"', '""',
    '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\x"', '"' + "a" * 100_000 + '"', "[]", "{}", '["AA"]', '{"$ne":1}',
    "[" * 60 + "]" * 60, '{"a":' * 60 + "1" + "}" * 60, '"2013-02-30T00:00:00"', '"2013-01-01T24:00:00"', '"0000-01-01T00:00:00"',
    '"9999-12-31T23:59:59.999999999"', '"2013-01-01T10:00:00+25:00"', '"2013-01-01"', "'a'", "undefined", "/**/1", "1_000",
    '"AA\'; drop table planes; --"',
]  # fmt: skip
BODIES = [
    b"", b" ", b"\x00", b"\xff\xfe{\x00", b"\xef\xbb\xbf{}", b"null", b"{", b"}", b'{"rows"', b'{"rows":[', DEEP, WIDE,
    b'{"rows":[{}],"rows":[{}]}', b'{"rows":[],"x":1}', b'{"' + b"k" * 100_000 + b'":1}', b"[1,2" * 1000, b'"\\ud800"',
    json.dumps(GOOD).encode() * 2, json.dumps(GOOD).encode() + b"\x00", json.dumps([GOOD]).encode(),
    json.dumps(GOOD).encode("utf-16"), json.dumps(GOOD).encode("utf-32"),
    b'{"__proto__":{}}', b'{"rows":{"0":{}}}', b"a=1&b=2", b"<xml/>", b"\r\n" * 1000, b'{"a":1}' + b"}" * 1000,
]  # fmt: skip
HUGE = [
    b'{"rows":[' + b",".join([b"{}"] * 300_000) + b"]}",
    json.dumps({"rows": ROWS * 7500}).encode(),
    json.dumps({"rows": ROWS * 26}).encode(),
    b"[" * 1_900_000,
    b'{"rows":' * 200_000,
    b'{"carrier":"' + b"\\ud800" * 300_000 + b'"}',
    b'{"distance":1' + b"0" * 1_900_000 + b"}",
]
"""300,000 rows of nothing and of flights, more than 1000, and little else but depth or length."""
HEADERS = [
    {"content-type": "text/plain"}, {"content-type": "application/json; charset=utf-16"}, {"content-encoding": "gzip"},
    {"expect": "100-continue"}, {"authorization": "Bearer " + "x" * 5000}, {"authorization": "\xff\xfe"},
    {"x-forwarded-for": "127.0.0.1, ::1, '"}, {"accept": "*/*;q=x"}, {"range": "bytes=0-1"},
    {"cookie": "a=" + "b" * 20_000}, {f"x-{number}": "y" * 50 for number in range(90)}, {"host": "\xff..:99999999"},
]  # fmt: skip
TARGETS = [
    b"/predict",
    b"/predict?a=%ff&b[]=%00",
    b"/predict/",
    b"//predict",
    b"/predict%00",
    b"*",
    b"http://x/predict",
    b"/%2e%2e/",
]


def body(rng: random.Random) -> bytes:
    """A body: of the corpus, or a good one with something changed."""
    if rng.random() < 0.1:
        return rng.choice(BODIES)
    if rng.random() < 0.002:
        return rng.choice(HUGE)
    return rng.choice(_BENT)(rng)


def _good(rng: random.Random) -> str:
    rows = rng.choices(ROWS, k=rng.choice([1, 1, 1, 2, 5]))
    return json.dumps({"rows": rows} if rng.random() < 0.5 else rows[0])


def _other_value(rng: random.Random) -> bytes:
    row: dict[str, Any] = {**rng.choice(ROWS), rng.choice(list(GOOD)): "PLACE"}
    text = json.dumps(row if rng.random() < 0.5 else {"rows": [GOOD, row]})
    return text.replace('"PLACE"', rng.choice(LITERALS)).encode()


def _other_fields(rng: random.Random) -> bytes:
    """A field twice, one more, one less, or with a name like another's."""
    fields = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in rng.choice(ROWS).items()]
    field = rng.choice(fields)
    changed = [
        [*fields, field],
        [*fields, f'"extra": {rng.choice(LITERALS)}'],
        [field_ for field_ in fields if field_ != field],
        [field_.replace('"', '"\\u0000', 1) if field_ == field else field_ for field_ in fields],
        [field_.upper() if field_ == field else field_ for field_ in fields],
        [field_.replace(field[1], f"\\u{ord(field[1]):04x}", 1) if field_ == field else field_ for field_ in fields] + [field],
    ]
    return ("{" + ", ".join(rng.choice(changed)) + "}").encode()


def _other_bytes(rng: random.Random) -> bytes:
    raw = bytearray(_good(rng).encode())
    for _ in range(rng.choice([1, 1, 3, 20])):
        place = rng.randrange(len(raw) or 1)
        match rng.randrange(5):
            case 0:
                raw[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                del raw[place : place + rng.randrange(40)]
            case 2:
                raw[place:place] = rng.choice(PIECES)
            case 3:
                raw[place:place] = raw[rng.randrange(len(raw) or 1) :][:60]
            case 4:
                del raw[place:]
    return bytes(raw)


_BENT: list[Callable[[random.Random], bytes]] = [_other_value, _other_fields, _other_bytes, _other_bytes]


def wire(rng: random.Random) -> bytes:
    """What a client sends that does not keep to HTTP, or asks for much at once; the last of it asks to close."""
    content = body(rng)[:50_000]
    length = rng.choice([len(content)] * 4 + [0, len(content) // 2, len(content) + 7, -1, 10**25])
    lines = [b"POST %b HTTP/1.1" % rng.choice(TARGETS), b"host: x", b"content-length: %d" % length]
    junk = [
        b"\x00", b"x", b": y", b"x : y", b"x: \x00", b"x: \xff\xfe", b" folded", b"x: " + b"y" * 70_000, b"content-length: 3",
        b"transfer-encoding: chunked", b"transfer-encoding: gzip, chunked", b"host: a\r\nhost: b", b"connection: \xff",
        b"connection: upgrade\r\nupgrade: h2c", b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x",
    ]  # fmt: skip
    if rng.random() < 0.5:
        lines.insert(rng.randrange(1, len(lines) + 1), rng.choice(junk))
    if rng.random() < 0.1:
        lines[0] = rng.choice(
            [b"", b"GET", b"POST /predict", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0", b"POST /predict HTTP/0.9"]
        )
    request = b"\r\n".join([*lines, b"", content])
    last = b"POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    return request * rng.choice([1, 1, 2, 30]) + last
