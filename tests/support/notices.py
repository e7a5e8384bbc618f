"""A notice, for tests of what is done with it."""

from ml_assets.core.notices import Notice, cause_id


def notice(number: int = 1, why: str = "because") -> Notice:
    return Notice(
        id=cause_id("broken", "trains", str(number)),
        event="broken",
        severity="error",
        product="trains",
        partition="2013-02",
        title=f"run {number} broke",
        why=why,
        serves="2013-01.0123abcd",
        command="ml-assets run trains -p 2013-02",
        link="http://127.0.0.1:3000/runs/1",
        at="2026-11-29T06:00:00+00:00",
    )
