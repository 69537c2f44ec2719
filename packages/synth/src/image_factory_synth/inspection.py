"""The use-case `synth --check`: a rendered file against our rules, a release's schemas, and a cluster. I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_factory.errors import NotFound, UserError
from image_factory.model.settings import Settings
from image_factory.shell.regular_file import read_regular
from image_factory.state.layout import OUTPUT_FILE
from image_factory_synth.checking import Finding, Rendered, check, load_stream
from image_factory_synth.versions import KargoVersion


@dataclass(frozen=True, slots=True)
class Inspection:
    """What became of a check."""

    output: Path
    version: KargoVersion
    resources: int
    against: tuple[str, ...]
    """What the file was checked against, in words."""
    findings: tuple[Finding, ...]

    def report(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "output": str(self.output),
            "kargoVersion": str(self.version),
            "resources": self.resources,
            "against": list(self.against),
            "findings": [
                {
                    "resource": found.resource,
                    "field": found.field,
                    "message": found.message,
                    "hint": found.hint,
                    "line": found.line,
                }
                for found in self.findings
            ],
        }


def inspect_file(
    root: Path, settings: Settings, *, kargo_version: str | None = None, crds: Path | None = None, server: bool = False
) -> Inspection:
    """Check the folder's file as it lies there; nothing is rendered, and nothing is written.

    Args:
        kargo_version: such as `1.11`; the settings' where it is None.
        crds: the folder of one release's schemas.
        server: ask the cluster of kubectl's current context, too.

    Raises:
        NotFound: there is no such file, or no schema in `crds`.
        UserError: the file is no YAML stream of resources.
        NoKubectl, Unavailable: the cluster cannot be asked.
    """
    output = root / settings.dist_dir / OUTPUT_FILE
    try:
        text = read_regular(output).decode("utf-8")
    except FileNotFoundError:
        raise NotFound(f"no file to check: {output}", hint="image-factory synth writes it") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{output}: not UTF-8", hint="run image-factory synth again") from error
    version = KargoVersion.parse(kargo_version or settings.kargo.version)
    return inspect_text(text, output, version, crds=crds, server=server)


def inspect_text(
    text: str, output: Path, version: KargoVersion, *, crds: Path | None = None, server: bool = False
) -> Inspection:
    """Check what is, or would be, the text of `output`; otherwise as `inspect_file`."""
    try:
        resources = load_stream(text)
    except UserError as error:
        raise type(error)(f"{output}: {error.message}", hint=error.hint) from error
    against = [f"Kargo {version}"]
    findings = list(check(resources, version))
    if crds is not None:
        against.append(f"the schemas in {crds}")
        findings += _beyond(findings, _schema_findings(resources, crds))
    if server:
        from image_factory_synth.cluster import cluster_findings

        against.append("the cluster")
        findings += _beyond(findings, _placed(cluster_findings(text), resources))
    return Inspection(output, version, len(resources), tuple(against), tuple(findings))


def _schema_findings(resources: Sequence[Rendered], folder: Path) -> Iterable[Finding]:
    from image_factory_synth.schemas import load_schemas, violations

    schemas = load_schemas(folder)
    for each in resources:
        for at, message in violations(each.document, schemas):
            yield each.finding(at, message, "choose the Kargo version that these schemas are of")


def _beyond(known: Iterable[Finding], found: Iterable[Finding]) -> list[Finding]:
    """Return what is not known yet: who is told of a field once need not be told twice."""
    places = {(each.resource, each.field) for each in known}
    return [each for each in found if not each.field or (each.resource, each.field) not in places]


def _placed(found: Iterable[Finding], resources: Iterable[Rendered]) -> Iterable[Finding]:
    """Give each finding the line where its resource begins."""
    lines: Mapping[str, int] = {f"{each.kind}/{each.name}": each.node.start_mark.line + 1 for each in resources}
    for each in found:
        yield Finding(each.resource, each.field, each.message, each.hint, lines.get(each.resource))
