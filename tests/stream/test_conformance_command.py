"""`wardstream conformance`: what it writes where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stream.conformance.samples import oru


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", "conformance", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.hl7"
    path.write_bytes(b"\r".join(oru(number=number) for number in range(5)))
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.hl7"
    path.write_bytes(b"\x0b" + oru(pv1="") + b"\x1c\r\x0b" + oru(number=2, pid="") + b"\x1c\r")
    return path


def test_a_good_feed_is_done(good: Path) -> None:
    """A feed without findings exits with 0 and says that it is ready."""
    done = run(str(good))
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "READY")


def test_a_bad_feed_exits_with_three_and_says_what_to_do(bad: Path, tmp_path: Path) -> None:
    """Findings that must be mended exit with 3; terminal, JSON and page say the same ones."""
    done = run(str(bad), "--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert (done.returncode, report["verdict"], report["schema"]) == (3, "not_ready", "conformance.v1")
    names = [finding["name"] for finding in report["findings"] if finding["severity"] == "must"]
    assert names == ["refused.missing_segment", "patients_without_ward"]
    page = (tmp_path / "r.html").read_text()
    assert all(finding["action"].split("'")[0] in page for finding in report["findings"])
    assert "<script" not in page
    assert "http" not in page
    assert "MUST" in done.stdout


def test_json_on_standard_output_stands_alone(bad: Path) -> None:
    """`--json -` puts the report out and nothing else, so that it can be piped."""
    assert json.loads(run(str(bad), "--json", "-").stdout)["account"]["messages"] == 2


def test_strict_fails_on_what_should_be_looked_at(tmp_path: Path) -> None:
    """What should be looked at passes, and with --strict it does not."""
    path = tmp_path / "partial.hl7"
    path.write_bytes(oru("OBX|1|NM|8867-4^HR^LN||72|/min|||||F"))
    assert (run(str(path), "--quiet").returncode, run(str(path), "--quiet", "--strict").returncode) == (0, 3)


def test_a_wrong_source_is_wrong_usage(tmp_path: Path) -> None:
    """A SOURCE that is none exits with 2 and says what would be one."""
    done = run(str(tmp_path / "none.hl7"))
    assert done.returncode == 2
    assert "there is no such file" in done.stderr
