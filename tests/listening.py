"""A process of ours that says in a line of JSON where it listens: started, asked, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

COMMAND = (sys.executable, "-m", "stream.cli")
WITHIN_S = 60


class ListeningProcess:
    """One that runs and listens; what it logs is in `errors`."""

    def __init__(self, arguments: tuple[str, ...], errors: Path) -> None:
        self.errors = errors
        with errors.open("ab") as file:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments],
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        self.said: dict[str, Any] = json.loads(line)
        self.mllp = int(self.said["mllp"].rpartition(":")[2])
        self.url = f"http://{self.said['http']}"

    def get(self, path: str) -> httpx.Response:
        """Ask over HTTP."""
        return httpx.get(self.url + path, timeout=WITHIN_S, trust_env=False)

    def kill(self) -> None:
        """Kill it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WITHIN_S)

    def stop(self) -> int:
        """Stop it in order; give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    def logs(self) -> list[dict[str, Any]]:
        """Give what it logged: every line is a JSON object."""
        return [json.loads(line) for line in self.errors.read_text().splitlines()]
