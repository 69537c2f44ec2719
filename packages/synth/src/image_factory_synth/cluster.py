"""A rendered file before a cluster's own judges: its schemas and its admission, by a dry run of kubectl. I/O.

Nothing is changed in the cluster: the API server does all that it does with a resource, and then drops it.
Which cluster that is says the user's own kubectl, with its current context.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta

from image_factory.errors import RemoteError, Unavailable
from image_factory.shell.process import Finished, redact, run_tool
from image_factory_synth.checking import Finding

KUBECTL = (
    *("kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=image-factory-check"),
    *("--dry-run=server", "--validate=strict", "-f", "-"),
)
"""What is run; the file comes by standard input, so that no word of it can become an option.

The server merges, so that it says of each resource in one line what it refuses.
"""
_TIMEOUT = timedelta(minutes=10)
_UNREACHABLE = re.compile(
    r"connection to the server|unable to connect|dial tcp|i/o timeout|no route to host|TLS handshake|x509:"
    r"|get current server API group list|context .* does not exist|invalid configuration|connection refused"
    r"|You must be logged in|asked for the client to provide credentials|failed to download openapi"
    r"|ServiceUnavailable|InternalError|getting credentials",
    re.IGNORECASE,
)
_NO_KIND = re.compile(r'resource mapping not found for name: "(?P<name>[^"]*)".*no matches for kind "(?P<kind>[^"]*)"')
_INVALID = re.compile(r'(?P<kind>[A-Z]\w*)(?:\.[\w.]+)? "(?P<name>[^"]+)" is invalid: (?P<what>.+)')
_UNDECLARED = re.compile(r"typed patch object \([^/]*/(?P<name>[^;]+); [^)]*Kind=(?P<kind>\w+)\): \.(?P<what>.+)")
_ABOUT = re.compile(r'Error from server(?: \((?P<why>\w+)\))?: (?:error when \w+ "STDIN": )?(?P<what>.+)')
_FIELD = re.compile(r"\[?(?P<field>[a-z]\w*(?:[.\[][\w\].]+)+): (?P<what>.+)")
_SHOWN = 400


class NoKubectl(RemoteError):
    """kubectl is not installed, so no cluster can be asked."""


def cluster_findings(text: str) -> Iterator[Finding]:
    """Yield what the cluster of kubectl's current context says against the resources of a YAML stream.

    Raises:
        NoKubectl: it is not on PATH.
        Unavailable: the cluster does not answer, or does not let us in.
    """
    import shutil

    if shutil.which(KUBECTL[0]) is None:
        raise NoKubectl("kubectl is not on PATH, and --server asks the cluster through it", hint="install kubectl")
    # Its environment is the user's own: a kubeconfig may run the cloud's program, which wants its own variables.
    done = run_tool(KUBECTL, stdin=text.encode(), environment=dict(os.environ), timeout=_TIMEOUT, label="kubectl apply")
    if done.is_ok:
        return
    complaints = [line.strip() for line in redact(done.stderr.decode("utf-8", "replace")).splitlines() if line.strip()]
    for line in complaints:
        if _UNREACHABLE.search(line):
            raise Unavailable(
                f"the cluster cannot be asked: {line.removeprefix('error: ')[:_SHOWN]}",
                hint="see which cluster `kubectl config current-context` gives, and whether `kubectl version` answers",
            )
    yield from _findings(complaints, done)


def _findings(complaints: list[str], done: Finished) -> Iterator[Finding]:
    # One namespace that is missing is missing for all that is in it.
    found = dict.fromkeys(finding for line in complaints if (finding := _finding(line)) is not None)
    yield from found
    if not found:
        yield Finding("the file", "", done.complaint())


def _finding(line: str) -> Finding | None:
    """Return what one line of kubectl's complaints is about; None where it is no complaint of its own."""
    if missing := _NO_KIND.search(line):
        hint = "install it in the cluster first: Kargo, or Argo Rollouts for an AnalysisTemplate"
        return Finding(f"{missing['kind']}/{missing['name']}", "kind", "the cluster does not know this kind", hint)
    about = _ABOUT.search(line)
    what = about["what"] if about else line
    if invalid := _INVALID.search(what):
        field = _FIELD.match(invalid["what"])
        return Finding(
            f"{invalid['kind']}/{invalid['name']}",
            field["field"] if field else "",
            (field["what"] if field else invalid["what"])[:_SHOWN],
        )
    if undeclared := _UNDECLARED.search(what):
        where, _, said = undeclared["what"].partition(": ")
        return Finding(f"{undeclared['kind']}/{undeclared['name']}", where, said[:_SHOWN])
    if about is None:
        return None if line.startswith(("Warning:", "W", "ensure CRDs")) else Finding("the file", "", line[:_SHOWN])
    hint = ""
    if about["why"] == "NotFound" and "namespaces" in what:
        hint = "make the namespace first, with its label: nothing in it can be tried before"
    elif about["why"] == "Forbidden" and "cannot" in what:
        hint = "ask with an account that may create these resources"
    return Finding("the file", "", what[:_SHOWN], hint)
