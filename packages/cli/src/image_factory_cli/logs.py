"""Logs on standard error: lines for people, or a JSON object a line with `image`, `op` and `input`."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, `image`, `op` and `input` (null where they mean nothing).

    `input` is what was read or asked: a file, a reference, a workflow. Then come the fields of the event.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        fields.pop("reported", None)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            "image": fields.pop("image", None),
            "op": fields.pop("op", None),
            "input": fields.pop("input", None),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """`level image: event (field=value …)`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        fields.pop("reported", None)
        for name in ("op", "input"):  # the message shows them
            fields.pop(name, None)
        image = fields.pop("image", None)
        hint = fields.pop("hint", None)
        shown = " ".join(f"{key}={value}" for key, value in fields.items() if value not in (None, ""))
        text = f"{record.levelname.lower()}: {f'{image}: ' if image else ''}{record.getMessage()}"
        text += f" ({shown})" if shown else ""
        text += f"\n  hint: {hint}" if hint else ""
        return text + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


def is_for_a_program() -> bool:
    """Whether what is logged is JSON, so that nothing else may stand between its lines."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def configure_logs(log_format: LogFormat, level: str | None) -> None:
    """Send our own logs to standard error; those of libraries only where they fail.

    Args:
        level: without one, a program's log (json) tells all that happens, a person's only what to mind.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    if log_format == "text":
        # What the command shows among its outcomes need not be said twice.
        handler.addFilter(lambda record: not getattr(record, "reported", False))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    logging.getLogger("image_factory").setLevel((level or ("info" if log_format == "json" else "warning")).upper())
