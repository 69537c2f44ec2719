"""Counters as values, and as the text that Prometheus reads. Pure, and without global state.

What happened is counted where it is known: a use-case's result yields samples, and whoever runs it
adds them up. The text is Prometheus' text-based format 0.0.4
(https://prometheus.io/docs/instrumenting/exposition_formats/), as the node exporter's textfile
collector reads it. Since every run is a process of its own, a file's counts are added to, not begun
anew: `parse_samples` reads what `format_samples` wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image_factory.errors import Location, UserError


@dataclass(frozen=True, slots=True)
class Counter:
    """Something that is counted; its number only grows."""

    name: str
    """With the suffix `_total`, as Prometheus' naming has it."""
    help: str
    """One sentence."""
    labels: tuple[str, ...] = ()
    """Their names, in the order in which they are written."""


LIFECYCLE_TRANSITIONS = Counter(
    "image_factory_lifecycle_transitions_total",
    "Images that became something else: external, managed, base or archived.",
    ("from", "to"),
)

EMERGENCY_REBUILDS = Counter(
    "image_factory_emergency_rebuilds_total",
    "Orders of emergency rebuilds, by what became of them: granted or refused.",
    ("outcome",),
)

COUNTERS: Mapping[str, Counter] = {counter.name: counter for counter in (LIFECYCLE_TRANSITIONS, EMERGENCY_REBUILDS)}
"""All that we count, by name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How often something happened, for one set of labels."""

    counter: str
    labels: tuple[tuple[str, str], ...] = ()
    value: float = 1


def count(counter: Counter, labels: Mapping[str, str] | None = None, *, value: float = 1) -> Sample:
    """Return that something happened, once where nothing else is said.

    Raises:
        ValueError: the labels are not those of the counter.
    """
    given = labels or {}
    if set(given) != set(counter.labels):
        raise ValueError(f"{counter.name} has the labels {counter.labels}, not {tuple(given)}")
    return Sample(counter.name, tuple((name, given[name]) for name in counter.labels), value)


def add_samples(*groups: Iterable[Sample]) -> tuple[Sample, ...]:
    """Return one sample for each counter and set of labels, in the order in which they are first met."""
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for group in groups:
        for sample in group:
            key = (sample.counter, sample.labels)
            sums[key] = sums.get(key, 0) + sample.value
    return tuple(Sample(name, labels, value) for (name, labels), value in sums.items())


def format_samples(samples: Iterable[Sample]) -> str:
    """Return the text of samples, those of one counter together below what it counts."""
    by_counter: dict[str, list[Sample]] = {}
    for sample in add_samples(samples):
        by_counter.setdefault(sample.counter, []).append(sample)
    lines = []
    for name in sorted(by_counter):
        counter = COUNTERS.get(name)
        if counter is not None:
            escaped = counter.help.replace("\\", "\\\\").replace("\n", "\\n")
            lines.append(f"# HELP {name} {escaped}")
        lines.append(f"# TYPE {name} counter")
        lines += [_line(sample) for sample in sorted(by_counter[name], key=lambda sample: sample.labels)]
    return "".join(f"{line}\n" for line in lines)


def _line(sample: Sample) -> str:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
    value = int(sample.value) if sample.value == int(sample.value) else sample.value
    return f"{sample.counter}{{{labels}}} {value}" if labels else f"{sample.counter} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>[0-9.eE+]+)\Z")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|\Z)')
_ESCAPE = re.compile(r"\\(.)")


def parse_samples(text: str, source: str = "") -> tuple[Sample, ...]:
    """Return the samples of a text that `format_samples` wrote.

    Raises:
        UserError: a line is none of ours.
    """
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        sample = _parsed(line.rstrip("\r"))
        if sample is None:
            raise UserError(
                f"not a count: {line[:80]!r}",
                hint="give --metrics-file a file of its own, which image-factory alone writes",
                location=Location(source, number),
            )
        found.append(sample)
    return tuple(found)


def _parsed(line: str) -> Sample | None:
    match = _SAMPLE.match(line)
    if match is None:
        return None
    written = match["labels"] or ""
    labels = tuple((name, _ESCAPE.sub(_unescaped, value)) for name, value in _LABEL.findall(written))
    if _LABEL.sub("", written):
        return None
    try:
        value = float(match["value"])
    except ValueError:
        return None
    return Sample(match["name"], labels, value)


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
