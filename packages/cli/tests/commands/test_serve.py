"""`serve`: a process that listens, answers, and ends in order; without its package, what to install."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

needs_the_server = pytest.mark.skipif(
    importlib.util.find_spec("image_factory_server") is None,
    reason="image-factory-server is not installed",
)
PROGRAM = "from image_factory_cli.main import main; main()"


@pytest.fixture
def served(folder: Any) -> Iterator[subprocess.Popen[str]]:
    folder.service("web", "FROM node:22\n")
    folder.managed("web")
    words = [sys.executable, "-c", PROGRAM, "serve", "--port", "0"]
    process = subprocess.Popen(words, cwd=folder.checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@needs_the_server
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_answers_and_ends_with_0(served: Any, how: signal.Signals) -> None:
    line = served.stdout.readline()
    found = re.search(r"at (http://127\.0\.0\.1:\d+/api/image-factory)$", line)
    assert found, line + served.stderr.read()

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{found[1]}/health", timeout=30) as answer:
        assert (answer.status, json.load(answer)["status"]) == (200, "ok")
    os.kill(served.pid, how)

    assert served.wait(30) == 0
    assert served.stderr.read() == ""


@needs_the_server
def test_a_folder_without_images_yaml_is_an_error_before_it_listens(folder: Any) -> None:
    ran = folder.run("serve", "--port", "0")

    assert ran.code == 2
    assert "images.yaml" in ran.err


def test_without_its_package_it_says_what_to_install(folder: Any) -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('image_factory_server'):\n"
        "            raise ModuleNotFoundError(name, name='image_factory_server')\n"
        "sys.meta_path.insert(0, Missing())\n"
        "sys.argv = ['image-factory', 'serve']\n" + PROGRAM
    )

    ran = subprocess.run([sys.executable, "-c", code], cwd=folder.checkout, capture_output=True, text=True, timeout=60)

    assert ran.returncode == 2
    assert "the server is not installed" in ran.stderr
    assert "pip install 'image-factory[server]'" in ran.stderr


def test_the_command_alone_imports_no_server() -> None:
    code = "import sys, image_factory_cli.commands.serve; print('fastapi' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert ran.stdout.strip() == "False"
