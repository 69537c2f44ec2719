"""Events as one Slack message: Block Kit blocks with escaped text, within Slack's limits. Pure.

Sources: docs.slack.dev/reference/block-kit/blocks (50 blocks, 3,000 characters a section, 150 a
header), docs.slack.dev/messaging/formatting-message-text (escaping). What does not fit is counted
in the message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from image_factory.model.event import Event, EventKind, one_line, tally

MAX_SECTIONS = 46
"""Of 50 blocks, what is left beside the header and the line of what was left out."""
MAX_SECTION = 2_900
"""Characters of a section; Slack takes 3,000, and counts some characters twice."""
MAX_ALL_BLOCKS = 12_000
"""Characters of all blocks as JSON. Not documented: msg_blocks_too_long begins near 13,200
(github.com/slackapi/bolt-js/issues/2509)."""
MAX_FALLBACK = 2_000

_EMOJI = {
    EventKind.BASE_MOVED: ":arrows_counterclockwise:",
    EventKind.EXTERNAL_MOVED: ":new:",
    EventKind.TAG_VANISHED: ":ghost:",
    EventKind.ANALYSIS_FAILED: ":warning:",
    EventKind.REBUILD_REQUESTED: ":hammer:",
    EventKind.REBUILD_SUCCEEDED: ":white_check_mark:",
    EventKind.REBUILD_FAILED: ":x:",
    EventKind.CONSUMER_UPDATED: ":package:",
    EventKind.CONSUMER_FAILED: ":no_entry_sign:",
    EventKind.EMERGENCY_REQUESTED: ":rotating_light:",
    EventKind.EMERGENCY_FINISHED: ":checkered_flag:",
    EventKind.EMERGENCY_ALARM: ":bell:",
}


def build_message(events: Sequence[Event]) -> dict[str, Any]:
    """Return the payload of one message that tells all of `events`, or counts those that do not fit."""
    blocks: list[dict[str, Any]] = []
    if len(events) > 1:
        title = {"type": "plain_text", "text": f"Image Factory: {len(events)} events"}
        blocks.append({"type": "header", "text": title})
    room = MAX_ALL_BLOCKS - 1_000
    shown = 0
    for event in events[:MAX_SECTIONS]:
        section = {"type": "section", "text": {"type": "mrkdwn", "text": _section(event), "verbatim": True}}
        room -= len(json.dumps(section, ensure_ascii=False))
        if room < 0:
            break
        blocks.append(section)
        shown += 1
    left_out = events[shown:]
    if left_out:
        text = f"{len(left_out)} more events are left out here: {tally(left_out)}"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
    return {"text": _fallback(events), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def escape(text: str) -> str:
    """Return `text` with the three characters escaped by which Slack's mentions and links begin."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fit(text: str, limit: int) -> str:
    """Return `text` in one line, escaped, within `limit` characters (64 or more), saying what was left out."""
    line = one_line(text)
    escaped = escape(line)
    if len(escaped) <= limit:
        return escaped
    kept, size = 0, 0
    for character in line:
        size += len(escape(character))
        if size > limit - 40:
            break
        kept += 1
    return f"{escape(line[:kept])}… ({len(line) - kept} characters left out)"


def _section(event: Event) -> str:
    title = f"{_EMOJI[event.kind]} *{event.kind.headline}* · `{_uncoded(fit(event.image, 200))}`"
    lines = [f"{title} · {event.at:%Y-%m-%d %H:%M} UTC", _literal(fit(event.summary, 800))]
    link = _link(event.url)
    room = MAX_SECTION - sum(len(line) + 1 for line in lines) - len(link) - 64
    left_out = 0
    for name, value in event.facts.items():
        fact = f"• {_uncoded(fit(name, 64))}: {_literal(fit(value, 500))}"
        room -= len(fact) + 1
        if left_out or room < 0:
            left_out += 1
            continue
        lines.append(fact)
    if left_out:
        lines.append(f"• {left_out} more facts are left out here")
    return "\n".join([*lines, *([link] if link else [])])


def _literal(escaped: str) -> str:
    """Return text that Slack draws as it stands: as code where it holds what draws otherwise."""
    is_plain = " " in escaped and not set("*_~`:") & set(escaped) and not escaped.startswith("&gt;")
    return escaped if is_plain or not escaped else f"`{_uncoded(escaped)}`"


def _uncoded(escaped: str) -> str:
    """Return text that ends no code: Slack knows no escape for a backtick."""
    return escaped.replace("`", "'")


def _link(url: str | None) -> str:
    """Return a link that shows its address, or nothing where it is none for a browser."""
    if url is None:
        return ""
    try:
        split = urlsplit(url)
        is_web = split.scheme in ("http", "https") and bool(split.hostname) and split.password is None
    except ValueError:
        return ""
    quoted = quote(url, safe="%/:?#[]@!$&'()*+,;=~-._")
    return f"<{escape(quoted)}|Look>" if is_web and len(quoted) <= 500 else ""


def _fallback(events: Sequence[Event]) -> str:
    """Return what a notification shows, where there are no blocks."""
    if len(events) == 1:
        (event,) = events
        return f"{event.kind.headline}: {fit(event.summary, MAX_FALLBACK)}"
    return f"Image Factory: {tally(events)}"
