"""The wheel that the image is made of: it builds, and has in it what the service reads when it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("events", "features", "models", "guardrails", "alerts", "connectors", "stream")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as the Dockerfile does, and unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *build, "--wheel-dir", str(folder), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("wardstream-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_has_every_file_of_the_packages(unpacked: Path) -> None:
    """The pages, the tables and the model that ships are in the wheel, not the code alone."""
    here = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    there = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert here - there == set()


def test_the_command_runs_from_the_wheel(unpacked: Path) -> None:
    """From the wheel alone, away from the tree, the model that ships is found."""
    code = (
        "import stream; from stream.versions import load_versions; print(stream.__file__, len(load_versions(None)[0]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked.parent,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    path, versions = done.stdout.split()
    assert Path(path).is_relative_to(unpacked)
    assert int(versions) >= 1
