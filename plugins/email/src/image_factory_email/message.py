"""Events as one mail: a subject of one line, text, and HTML with everything escaped. Pure.

Sources: RFC 5322 (messages), RFC 2046 section 5.1.4 (alternatives), RFC 3834 (`Auto-Submitted`, so
that nobody's absence note answers). What does not fit is counted in the mail.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import quote, urlsplit

from image_factory.model.event import Event, one_line, shorten, tally

MAX_EVENTS = 200
"""Events told one by one; a mail with more is read by nobody."""
MAX_CHARACTERS = 200_000
"""Of the text; HTML is at most some five times that, in all far below the 10 MB that most servers take."""
MAX_FACTS = 20
MAX_SUBJECT = 150


def build_message(
    events: Sequence[Event], sender: Address, recipients: Sequence[Address], now: datetime
) -> EmailMessage:
    """Return one mail that tells all of `events`, or counts those that do not fit.

    The same events make the same Message-ID, by which a mail that was sent twice is known.
    """
    shown = _fitting(events)
    left_out = events[len(shown) :]
    message = EmailMessage(policy=SMTP)
    message["Subject"] = _subject(events)
    message["From"] = sender
    message["To"] = tuple(recipients)
    message["Date"] = format_datetime(now)
    said = hashlib.sha256(repr([now.date(), *events]).encode("utf-8", "replace")).hexdigest()
    message["Message-ID"] = f"<{said[:40]}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    more = f"{len(left_out)} more events are left out here: {tally(left_out)}" if left_out else ""
    message.set_content("\n\n".join([*map(_text, shown), *([more] if more else [])]) + "\n")
    message.add_alternative(_page([*map(_html, shown), *([f"<p>{html.escape(more)}</p>"] if more else [])]), "html")
    return message


def _fitting(events: Sequence[Event]) -> Sequence[Event]:
    room = MAX_CHARACTERS
    for number, event in enumerate(events[:MAX_EVENTS]):
        room -= len(_text(event))
        if room < 0:
            return events[:number]
    return events[:MAX_EVENTS]


def _subject(events: Sequence[Event]) -> str:
    if len(events) == 1:
        (event,) = events
        return shorten(f"{event.kind.headline}: {one_line(event.image)}", MAX_SUBJECT)
    return shorten(f"Image Factory: {tally(events)}", MAX_SUBJECT)


def _head(event: Event) -> str:
    return f"{event.kind.headline}: {shorten(one_line(event.image), 300)} ({event.at:%Y-%m-%d %H:%M} UTC)"


def _facts(event: Event) -> list[tuple[str, str]]:
    facts = [(shorten(one_line(name), 100), shorten(one_line(value), 2_000)) for name, value in event.facts.items()]
    more = len(facts) - MAX_FACTS
    return facts[:MAX_FACTS] + ([("…", f"{more} more facts are left out here")] if more > 0 else [])


def _summary(event: Event) -> str:
    return shorten(one_line(event.summary), 2_000)


def _text(event: Event) -> str:
    url = _web_address(event.url)
    facts = [f"  {name}: {value}" for name, value in _facts(event)]
    return "\n".join([_head(event), _summary(event), *facts, *([f"  {url}"] if url else [])])


def _html(event: Event) -> str:
    url = _web_address(event.url)
    rows = "".join(
        f"<tr><th align='left' valign='top'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in _facts(event)
    )
    parts = [f"<h3>{html.escape(_head(event))}</h3>", f"<p>{html.escape(_summary(event))}</p>"]
    parts += [f"<table>{rows}</table>"] if rows else []
    parts += [f'<p><a href="{html.escape(url)}">{html.escape(url)}</a></p>'] if url else []
    return "\n".join(parts)


def _page(parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return f'<!doctype html>\n<html><head><meta charset="utf-8"></head><body>\n{body}\n</body></html>\n'


def _web_address(url: str | None) -> str:
    """Return an address that a browser may be sent to, or nothing."""
    if url is None:
        return ""
    try:
        split = urlsplit(url)
        is_web = split.scheme in ("http", "https") and bool(split.hostname) and split.password is None
    except ValueError:
        return ""
    quoted = quote(url, safe="%/:?#[]@!$&'()*+,;=~-._")
    return quoted if is_web and len(quoted) <= 2_000 else ""
