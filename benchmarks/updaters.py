"""How long `scan` takes over a tree of deployments, beside reading it and searching it for the names."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Figure, Job, Room, Skipped, growth, program, python

SIZES = (5_000, 50_000)
IMAGES = 100
"""Managed images that are looked for."""
NAMED = 20
"""One file in so many names one of them."""

# A deployment as people have them, with its service: 60 lines, 2 KB.
_DEPLOYMENT = """\
# the {number}th service
apiVersion: apps/v1
kind: Deployment
metadata:
  name: service-{number}
  labels: {{app.kubernetes.io/name: service-{number}, app.kubernetes.io/part-of: shop}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app.kubernetes.io/name: service-{number}}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: service-{number}}}
    spec:
      initContainers:
        - name: migrate
          image: {image}
          command: ["/bin/migrate", "--all"]
      containers:
        - name: web
          image: {image}
          imagePullPolicy: IfNotPresent
          ports: [{{name: http, containerPort: 8080}}]
          env:
{env}
          resources:
            requests: {{cpu: 100m, memory: 128Mi}}
            limits: {{memory: 256Mi}}
          readinessProbe:
            httpGet: {{path: /healthz, port: http}}
          securityContext: {{runAsNonRoot: true, readOnlyRootFilesystem: true}}
---
apiVersion: v1
kind: Service
metadata: {{name: service-{number}}}
spec:
  selector: {{app.kubernetes.io/name: service-{number}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
"""
_ENVIRONMENT = "".join(f'            - {{name: SETTING_{n}, value: "the value of setting {n}"}}\n' for n in range(20))

# The yardstick: every file read, and searched for every name.
_YARDSTICK = """
import os, sys
names = [f"acme/image-{number:03d}".encode() for number in range(int(sys.argv[2]))]
found = 0
for folder, folders, files in os.walk(sys.argv[1]):
    for file in files:
        with open(os.path.join(folder, file), "rb") as opened:
            data = opened.read()
        found += sum(name in data for name in names)
print(found)
"""


def run(room: Room) -> Iterator[Figure]:
    """Yield a figure a size and one for the growth between two of them."""
    _check_plugin()
    figures = []
    for size in room.sizes:
        folder = room.folder / str(size)
        _plant(folder, size)
        ours = Job(program("scan", str(folder / "tree"), "--image-factory-dir", str(folder / "factory"), "--json"))
        _check(ours, size)
        theirs = Job(python(_YARDSTICK, str(folder / "tree"), str(IMAGES)))
        figures.append(room.compare("scan --json", size, ours=ours, yardstick=theirs, limit=2))
        yield figures[-1]
    for small, large in itertools.pairwise(figures):
        yield growth("scan --json, the larger tree beside the smaller", small, large)


def _plant(folder: Path, size: int) -> None:
    """Write `size` files, fifty to a folder, and an image-factory folder with the images."""
    (folder / "factory").mkdir(parents=True)
    (folder / "factory/images.yaml").write_text(
        "".join(
            f"- name: image-{number:03d}\n  registry: ghcr.io\n  repository: acme/image-{number:03d}\n"
            f"  source: {{repo: acme/image-{number:03d}}}\n"
            for number in range(IMAGES)
        )
    )
    for number in range(size):
        below = folder / "tree" / f"team-{number // 50:04d}"
        if number % 50 == 0:
            below.mkdir(parents=True)
        name = f"ghcr.io/acme/image-{number // NAMED % IMAGES:03d}" if number % NAMED == 0 else "ghcr.io/acme/other"
        text = _DEPLOYMENT.format(number=number, image=f"{name}:1.{number % 9}", env=_ENVIRONMENT.rstrip())
        (below / f"service-{number:05d}.yaml").write_text(text)


def _check(job: Job, size: int) -> None:
    """Fail where the answer is not what the tree holds."""
    found = json.loads(subprocess.run(list(job.command), capture_output=True, check=True).stdout)
    if len(found["places"]) != 2 * -(-size // NAMED):
        raise RuntimeError(f"scan found {len(found['places'])} places in {size} files")


def _check_plugin() -> None:
    listed = json.loads(subprocess.run(program("plugins", "--json"), capture_output=True, check=True).stdout)
    if not any(plugin["name"] == "yaml" for plugin in listed):
        raise Skipped("the plugin yaml is not installed")
