"""The processes of a live installation in tests: started, killed, frozen, stopped, and asked how they are.

Owns them and what they say of themselves. Must not know a topic, nor what is sent: see `tests.live.cluster`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from connectors.local.ports import free_ports
from tests.live.deaths import Death, read_death

LOOK_S = 0.25
HEALTHY_S = 30.0
"""Within which the service must be healthy after a fault, or say that it is not."""
RECOVERED_S = 150.0
"""Until all is well again: a producer that lost its broker is replaced after a minute, on a busy machine later."""
ASK_S = 3.0
"""For an answer that is asked for again: whoever is frozen gives none."""
ANSWER_S = 30.0
"""For one that is asked for once, on a machine however busy."""
BEHIND = "wardstream_stage_behind_records"
AT_WORK_S, AT_WORK_LOOK_S = 1.5, 0.01
"""For how long, and how often, a worker is looked at until it has something to do."""


class Health(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    answered: bool
    well: bool = False
    problems: tuple[str, ...] = ()


class Processes:
    """Workers, and a learner, of one installation. `stop` ends whatever runs."""

    def __init__(self, folder: Path, config: Path, prefix: str, build: str = "") -> None:
        """`prefix` is that of the topics; `build` the release that the processes say they are."""
        self.folder = folder
        self.config = config
        self.prefix = prefix
        self._environment = {**os.environ, **({"WARDSTREAM_BUILD": build} if build else {})}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}
        self._stages: dict[str, str] = {}
        self._commands: dict[str, str] = {}
        self._told_to_stop: set[str] = set()
        self._killed: set[str] = set()
        """Those whose end is ours, or noted."""
        self._own: dict[str, Mapping[str, str]] = {}
        self.ended: list[Death] = []
        """Those that ended by themselves and were started again."""
        self._began: dict[str, int] = {}
        """Where in its log each process began."""

    # -- processes --------------------------------------------------------------------------------------------------

    def start(
        self,
        name: str,
        stages: str = "parse,patient,ward",
        environment: Mapping[str, str] | None = None,
        *,
        command: str = "worker",
    ) -> None:
        """Start a worker (or a learner), or start it again; with more in its environment, which a restart keeps."""
        assert name not in self.processes or self.processes[name].poll() is not None, f"{name} runs already"
        self._told_to_stop.discard(name)
        self._killed.discard(name)
        self._stages[name] = stages
        self._commands.setdefault(name, command)
        self._own[name] = self._own.get(name, {}) if environment is None else environment
        port = self.ports.setdefault(name, free_ports(1)[0])
        log = (self.folder / f"{name}.log").open("ab")
        self._began[name] = log.tell()
        words = ["-m", "stream.cli", self._commands[name], "--config", str(self.config), "--health-port", str(port)]
        if self._commands[name] == "worker":
            words += ["--name", name, "--stages", stages]
        self.processes[name] = subprocess.Popen(
            [sys.executable, *words],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env={**self._environment, **self._own[name]},
            start_new_session=True,
        )
        log.close()

    def kill(self, name: str) -> None:
        """Kill -9; one that had ended by itself is noted."""
        process = self.processes[name]
        self._note_end(name)
        self._killed.add(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def freeze(self, name: str) -> None:
        """Stop a worker in the middle of whatever it does."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on, as if no time had passed."""
        self.processes[name].send_signal(signal.SIGCONT)

    def terminate(self, name: str, timeout_s: float = 30.0) -> int:
        """Stop a worker in order; give its exit code. It stays so until it is started again."""
        self._note_end(name)
        self._told_to_stop.add(name)
        self.processes[name].terminate()
        return self.processes[name].wait(timeout_s)

    def supervise(self) -> None:
        """Start again what has ended by itself, as a supervisor does."""
        for name in list(self.processes):
            if self._note_end(name):
                self.start(name, self._stages[name], self._own[name])

    def _note_end(self, name: str) -> bool:
        """Say whether one has ended that was not told to; note it where nobody killed it either."""
        code = self.processes[name].poll()
        if code is None or name in self._told_to_stop:
            return False
        if name not in self._killed:
            self.ended.append(read_death(name, code, self.log_of(name, self._began[name])))
            self._killed.add(name)
        return True

    @property
    def deaths(self) -> int:
        """How many ended by themselves."""
        return len(self.ended)

    def restart(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a worker again as it was, or with another environment."""
        self.start(name, self._stages[name], environment)

    def stop(self) -> None:
        """End every process at once."""
        for name, process in self.processes.items():
            if process.poll() is None:
                self.thaw(name)
                self.kill(name)

    def log_of(self, name: str, begin: int = 0) -> str:
        """Give what a worker wrote, from a byte on."""
        return (self.folder / f"{name}.log").read_bytes()[begin:].decode("utf-8", "replace")

    def log_size(self, name: str) -> int:
        """Give how much a worker has written."""
        return (self.folder / f"{name}.log").stat().st_size

    # -- how it is ---------------------------------------------------------------------------------------------------

    def health(self, name: str, kind: str = "ready", within_s: float = ASK_S) -> Health:
        """Ask a worker how it is; `kind` is `ready` or `live`."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name]}/health/{kind}", timeout=within_s, trust_env=False)
        except httpx.HTTPError:
            return Health(answered=False)
        said = answer.json()
        return Health(answered=True, well=answer.status_code == 200, problems=tuple(said["problems"]))

    async def healths(self) -> dict[str, Health]:
        """Ask every worker."""
        found = await asyncio.gather(*(asyncio.to_thread(self.health, name) for name in self.processes))
        return dict(zip(self.processes, found, strict=True))

    def metrics(self, name: str, within_s: float = ANSWER_S) -> list[Sample]:
        """Give what a worker counts; nothing where it does not answer."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name]}/metrics", timeout=within_s, trust_env=False)
        except httpx.HTTPError:
            return []
        families = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call] # the library's own gap
        return [sample for family in families for sample in family.samples]

    def behind_by(self, name: str) -> dict[tuple[str, int], int]:
        """Give how many records a worker has taken on and not folded yet, by topic (its own name) and partition."""
        return {
            (one.labels["topic"].removeprefix(self.prefix), int(one.labels["partition"])): int(one.value)
            for one in self.metrics(name, ASK_S)
            if one.name == BEHIND
        }

    async def until_at_work(self, name: str, within_s: float = AT_WORK_S) -> dict[tuple[str, int], int]:
        """Wait until a worker says that it has records to fold, for a moment; give how many of what it held."""
        deadline = time.monotonic() + within_s
        held: dict[tuple[str, int], int] = {}
        while time.monotonic() < deadline:
            held = await asyncio.to_thread(self.behind_by, name)
            if any(held.values()):
                break
            await asyncio.sleep(AT_WORK_LOOK_S)
        return held

    async def until_one_at_work(self, within_s: float) -> str:
        """Wait until any worker says that it has records to fold, for so long; give its name, or else the first one."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for name in self.processes:
                if any((await asyncio.to_thread(self.behind_by, name)).values()):
                    return name
            await asyncio.sleep(AT_WORK_LOOK_S)
        return next(iter(self.processes))

    async def until_healthy(self, within_s: float = RECOVERED_S) -> float:
        """Wait until every worker says that it is well; give the seconds it took. Dead ones are started again.

        From `HEALTHY_S` on, who is not well has to say why.
        """
        began = time.monotonic()
        last: dict[str, Health] = {}

        async def all_well() -> bool:
            last.update(await self.healths())
            silent = [name for name, one in last.items() if one.answered and not (one.well or one.problems)]
            assert not silent or time.monotonic() - began < HEALTHY_S, f"not well, and without a word: {silent}"
            return all(one.well for one in last.values())

        await self.until(all_well, within_s, lambda: f"not healthy: {last}")
        return time.monotonic() - began

    async def until(
        self,
        holds: Callable[[], Awaitable[bool]],
        within_s: float = HEALTHY_S,
        why: Callable[[], str] = lambda: "did not come to hold",
        *,
        supervised: bool = True,
    ) -> None:
        """Wait until something holds; dead workers are started again meanwhile."""
        deadline = time.monotonic() + within_s
        while not await holds():
            if supervised:
                self.supervise()
            assert time.monotonic() < deadline, f"within {within_s:g} s: {why()}"
            await asyncio.sleep(LOOK_S)

    async def until_said(self, name: str, words: str, within_s: float = HEALTHY_S, *, supervised: bool = True) -> str:
        """Wait until a worker tells a problem with these words; give the problem."""
        found: list[str] = []
        last: list[Health] = []

        async def said() -> bool:
            last[:] = [await asyncio.to_thread(self.health, name)]
            found[:] = [problem for problem in last[0].problems if words in problem]
            return bool(found)

        await self.until(said, within_s, lambda: f"{name} does not say {words!r}: {last}", supervised=supervised)
        return found[0]

    async def let_go_on(self, seconds: float) -> None:
        """Let the load go on for a while; dead workers are started again."""
        self.supervise()
        await asyncio.sleep(seconds)
