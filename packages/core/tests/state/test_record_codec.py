"""Requests and holds: text to record and back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from image_factory.errors import InvalidState
from image_factory.model.enrollment import Record
from image_factory.model.hold import Hold
from image_factory.model.request import Dispatch, RebuildCause, RebuildRequest, RequestStatus
from image_factory.state.record_codec import SECTIONS, dump_record, read_record, update_record

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = f"sha256:{1:064x}", f"sha256:{2:064x}"
REQUEST = RebuildRequest(
    name="web",
    request_id="web-20260301T120000Z-00000001",
    requested_at=AT,
    reason="due",
    causes=(RebuildCause(base="node-22", from_digest=OLD, to=NEW, seen_at=AT),),
    dispatch=Dispatch(at=AT, by="run-1"),
)
HOLD = Hold(name="web", image="web", reason="release freeze of the shop", at=AT)


@pytest.mark.parametrize("record", [REQUEST, HOLD], ids=["request", "hold"])
def test_what_is_written_is_read_back(record: Record) -> None:
    text = dump_record(record)

    assert read_record(text, "web.yaml", type(record)) == record
    assert update_record(text, record) == text


@pytest.mark.parametrize("model", SECTIONS, ids=lambda model: model.__name__)
def test_each_field_has_one_place(model: type[Record]) -> None:
    placed = Counter(key for section in SECTIONS[model] for key in section.keys)

    assert placed == Counter(field.alias or name for name, field in model.model_fields.items())


def test_a_request_always_says_its_status() -> None:
    assert "\nstatus: requested\n" in dump_record(REQUEST)


def test_a_change_keeps_comments_and_unknown_keys() -> None:
    text = dump_record(REQUEST).replace("reason: due", "reason: due  # as told to Ann\nticket: OPS-7")
    known = read_record(text, "web.yaml", RebuildRequest)

    changed = update_record(text, known.model_copy(update={"status": RequestStatus.DISPATCHED}))

    assert "status: dispatched" in changed
    assert "# as told to Ann\nticket: OPS-7" in changed


@pytest.mark.parametrize(
    ("written", "told"),
    [
        pytest.param("status: requested", "status: running", id="no-such-status"),
        pytest.param("requestId: web-20260301T120000Z-00000001\n", "", id="no-id"),
        pytest.param(f"to: {NEW}", "to: latest", id="no-digest"),
    ],
)
def test_a_file_that_was_edited_wrongly_says_where(written: str, told: str) -> None:
    text = dump_record(REQUEST)
    assert written in text

    with pytest.raises(InvalidState) as caught:
        read_record(text.replace(written, told), "state/rebuild-requests/web.yaml", RebuildRequest)

    assert caught.value.location is not None
    assert caught.value.hint


def test_a_file_without_a_record_is_refused() -> None:
    with pytest.raises(InvalidState, match="holds no record"):
        read_record("- a\n", "web.yaml", Hold)
