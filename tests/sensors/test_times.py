"""Times of acquisition as one text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.sensors.times import utc_text


@pytest.mark.parametrize(("spelled", "expected"), [
    ("2022-08-27T06:07:53+0000", "2022-08-27T06:07:53Z"),
    ("2025-11-11T13:52:58.132Z", "2025-11-11T13:52:58.132Z"),
    (" 2024-10-06 15:41:16 ", "2024-10-06T15:41:16Z"),
    ("20220827T060753", "2022-08-27T06:07:53Z"),
    ("2024-04-02T10:28:37.123456789Z", "2024-04-02T10:28:37.123456Z"),
    ("2022-08-27T08:07:53+02:00", "2022-08-27T06:07:53Z"),
    ("", ""), ("yesterday", ""), ("2022-13-01T00:00:00", ""),
])  # fmt: skip
def test_spellings(spelled: str, expected: str) -> None:
    assert utc_text(spelled) == expected


@given(st.datetimes(datetime(1950, 1, 2), datetime(2100, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_the_moment_stays_the_same(moment: datetime, minutes: int) -> None:
    told = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = utc_text(told.isoformat())
    assert found.endswith("Z")
    assert datetime.fromisoformat(found) == told.astimezone(UTC)
