"""The libraries of a process: what the release requires, wherever that stands, and a digest that moves with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.libraries import libraries, libraries_digest


def install(folder: Path, name: str, version: str, *requires: str) -> None:
    """Write what an installer leaves of a package."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
    (place / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that packages are found in."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_what_is_required_by_what_is_required_counts(site: Path) -> None:
    """Through a circle too; what is not installed, or wanted by an extra alone, does not."""
    install(site, "made-ward", "1", "Made.One>=2 ; python_version > '3'", "made-gone", "made-tool ; extra == 'dev'")
    install(site, "made_one", "2.5", "made-two[fast]==3")
    install(site, "made-two", "3", "made-ward")
    install(site, "made-tool", "9")
    assert libraries("made-ward") == {"made-one": "2.5", "made-two": "3"}


def test_another_version_of_any_gives_another_digest(site: Path) -> None:
    """And the same ones the same, in whatever order they were found."""
    install(site, "made-a", "1", "made-x", "made-y")
    install(site, "made-b", "1", "made-y", "made-x")
    install(site, "made-c", "1", "made-x", "made-z")
    for name in "xyz":
        install(site, f"made-{name}", "1")
    before = libraries_digest("made-a")
    assert before == libraries_digest("made-b") != libraries_digest("made-c")
    (site / "made_y-1.dist-info" / "METADATA").write_text("Name: made-y\nVersion: 1.0.1\n")
    assert libraries("made-a") == {"made-x": "1", "made-y": "1.0.1"}
    assert libraries_digest("made-a") != before
