"""The tree keeps the house style, and each rule of it can fail."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT_BYTES_MAX = 2 * 1024 * 1024
"""A longer tracked file is data, and nobody wrote a path into it by hand."""


def load_style() -> ModuleType:
    """Load the checker from beside this file: tests are no package."""
    name = "house_style_rules"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("style.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


style = load_style()

FINE = '"""Owns x. Must not know y."""\n'
FINE_TEST = '"""Tests."""\n'
LONG_FUNCTION = "def f():\n" + "    x = 1\n" * 70
LONG_FUNCTION_SOURCE = FINE + LONG_FUNCTION
LONG_MODULE = FINE + "X = 1\n" * 400

BREACHES = [
    ("builtin_hash", "features/x.py", FINE + "K = hash('a')\n"),
    ("builtin_hash", "connectors/hl7v2/x.py", FINE + "def f(v):\n    return hash(v) % 8\n"),
    ("builtin_id", "models/x.py", FINE + "def f(v):\n    return id(v)\n"),
    ("wall_clock", "events/x.py", FINE + "import time\nX = time.monotonic()\n"),
    ("wall_clock", "events/x.py", FINE + "from time import time as now\nX = now()\n"),
    ("wall_clock", "alerts/x.py", FINE + "from datetime import datetime\nX = datetime.now()\n"),
    ("wall_clock", "alerts/x.py", FINE + "import datetime as d\nX = d.datetime.utcnow()\n"),
    ("wall_clock", "alerts/x.py", FINE + "from datetime import date\nX = date.today()\n"),
    ("wall_clock", "models/x.py", FINE + "import datetime\nF = datetime.datetime.now\n"),
    ("environment", "features/x.py", FINE + "import os\nX = os.environ['A']\n"),
    ("environment", "stream/pipeline.py", FINE + "from os import getenv\nX = getenv('A')\n"),
    ("file_access", "models/x.py", FINE + "def f(p):\n    return open(p)\n"),
    ("file_access", "models/x.py", FINE + "def f(p):\n    return p.read_text()\n"),
    ("file_access", "connectors/fhir/x.py", FINE + "def f(p):\n    return p.read_bytes()\n"),
    ("unseeded_randomness", "models/x.py", FINE + "import random\nX = random.random()\n"),
    ("unseeded_randomness", "models/x.py", FINE + "from random import Random\nX = Random()\n"),
    ("unseeded_randomness", "models/x.py", FINE + "import numpy as np\nX = np.random.rand(3)\n"),
    ("unseeded_randomness", "models/x.py", FINE + "import numpy as np\nX = np.random.default_rng()\n"),
    ("unseeded_randomness", "models/x.py", FINE + "import numpy as np\nX = np.random.default_rng(None)\n"),
    ("unseeded_randomness", "connectors/hospital/x.py", FINE + "import random\nX = random.choice([1])\n"),
    ("random_ids", "events/x.py", FINE + "import uuid\nX = uuid.uuid4()\n"),
    ("random_ids", "events/x.py", FINE + "from uuid import uuid1\nX = uuid1()\n"),
    ("set_iteration", "guardrails/x.py", FINE + "for x in {1, 2}:\n    pass\n"),
    ("set_iteration", "guardrails/x.py", FINE + "def f(v):\n    return [x for x in set(v)]\n"),
    ("set_iteration", "guardrails/x.py", FINE + "def f(v):\n    return [x for x in {y for y in v}]\n"),
    ("pickling", "features/x.py", FINE + "import pickle\n"),
    ("pickling", "connectors/sqlite/x.py", FINE + "from pickle import loads\n"),
    ("evaluation", "connectors/sqlite/x.py", FINE + "X = eval('1')\n"),
    ("evaluation", "stream/x.py", FINE + "exec('1')\n"),
    ("printing", "stream/replay.py", FINE + "print(1)\n"),
    ("river_stream", "models/x.py", FINE + "from river import stream\n"),
    ("river_stream", "tests/models/test_x.py", FINE_TEST + "from river import linear_model, stream as s\n"),
    ("module_docstring", "stream/x.py", '"""Owns x."""\n'),
    ("module_docstring", "connectors/mllp/x.py", '"""Must not know y."""\n'),
    ("module_docstring", "features/x.py", "X = 1\n"),
    ("length", "stream/x.py", LONG_MODULE),
    ("length", "stream/x.py", LONG_FUNCTION_SOURCE),
    ("forbidden_name", "stream/utils.py", FINE),
    ("forbidden_name", "connectors/common/x.py", FINE),
    ("forbidden_name", "tests/helpers/test_x.py", FINE_TEST),
    ("bare_timestamp", "stream/x.py", FINE + "def f(timestamp):\n    return timestamp\n"),
    ("bare_timestamp", "features/x.py", FINE + "class A:\n    timestamp: int\n"),
    ("bare_timestamp", "features/x.py", FINE + "class A:\n    def f(self):\n        self.timestamp = 1\n"),
    ("mutable_struct", "events/x.py", FINE + "import msgspec\nclass A(msgspec.Struct):\n    x: int\n"),
    (
        "mutable_struct",
        "events/x.py",
        FINE + "from msgspec import Struct\nclass A(Struct, frozen=False):\n    x: int\n",
    ),
    ("claimless_test", "tests/x/test_x.py", FINE_TEST + "def test_a():\n    assert True\n"),
    ("claimless_test", "tests/x/test_x.py", FINE_TEST + 'def test_a():\n    """Claim."""\n    f()\n'),
    ("sleeping", "tests/x/test_x.py", FINE_TEST + "import time\ntime.sleep(1)\n"),
    ("sleeping", "tests/x/test_x.py", FINE_TEST + "from asyncio import sleep\nsleep(1)\n"),
    ("syntax", "events/x.py", "def f(:\n"),
]

ALLOWED = [
    ("models/x.py", FINE + "import numpy as np\nX = np.random.default_rng(7)\n"),
    ("models/x.py", FINE + "import numpy as np\ndef f(rng: np.random.Generator):\n    return rng.normal()\n"),
    ("connectors/hospital/x.py", FINE + "from random import Random\ndef f(seed):\n    return Random(seed).random()\n"),
    ("features/x.py", FINE + "def f(v):\n    return [x for x in sorted(set(v))]\n"),
    ("features/x.py", FINE + "class A:\n    def hash(self):\n        return self.id()\n"),
    ("alerts/x.py", FINE + "from datetime import datetime\nX = datetime.fromisoformat('2020-01-01')\n"),
    ("alerts/x.py", FINE + "def f(moment):\n    return moment.timestamp()\n"),
    ("events/x.py", FINE + "import msgspec\nclass A(msgspec.Struct, frozen=True, tag='a'):\n    x: int\n"),
    ("events/x.py", FINE + "import uuid\nX = uuid.uuid5(uuid.NAMESPACE_OID, 'a')\n"),
    ("stream/cli.py", FINE + "print(1)\n"),
    ("stream/cli/replay.py", FINE + "print(1)\n"),
    ("connectors/sqlite/x.py", FINE + "import time\nX = time.time()\nY = open('x')\n"),
    ("features/__init__.py", '"""What we know now."""\n'),
    ("features/x.py", '"""Owns x. It must not\nknow y."""\n'),
    (
        "tests/x/test_x.py",
        FINE_TEST + 'def test_a():\n    """Claim."""\n    with pytest.raises(ValueError):\n        f()\n',
    ),
    ("tests/x/test_x.py", FINE_TEST + 'def test_a():\n    """Claim."""\n    check_store(f)\n'),
    ("tests/x/test_x.py", FINE_TEST + 'from x import checks\ndef test_a():\n    """Claim."""\n    checks.holds()\n'),
    ("tests/x/test_x.py", FINE_TEST + 'def g():\n    assert 1\ndef test_a():\n    """Claim."""\n    g()\n'),
    ("stream/x.py", FINE + LONG_FUNCTION.removesuffix("    x = 1\n")),
    ("stream/x.py", LONG_MODULE.removesuffix("X = 1\n")),
]

# Put together from parts, because this file is itself held to the rule.
MACHINE_TEXTS = ["see " + "/wo" + "rk/main", "cd " + "/ro" + "ot", "'" + "/tm" + "p/w/d'"]
REGISTRY_TEXTS = [
    "https://py" + "pi.org/simple",
    "https://registry.np" + "mjs.org/x",
    "pip install --index" + "-url http://x",
]
HARMLESS_TEXTS = ["src/" + "root.py", "frame" + "work/main", "$.entry/" + "root", "the pypi name"]


def tracked() -> list[str]:
    """List the files that are, or would be, in the repository."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing says which files are tracked")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file())


def report(findings: list[object]) -> str:
    """Write findings one to a line."""
    return "\n" + "\n".join(map(str, findings))


def test_tree_keeps_the_style() -> None:
    """No Python file of the tree breaks a rule of the house style."""
    names = [name for name in tracked() if name.endswith(".py")]
    assert "events/envelope.py" in names
    findings = [finding for name in names for finding in style.check(name, (ROOT / name).read_text(encoding="utf-8"))]
    assert not findings, report(findings)


def test_tree_names_no_machine_and_no_registry() -> None:
    """No tracked text holds a path of one machine or the host of a package registry."""
    findings = []
    for name in tracked():
        data = (ROOT / name).read_bytes()
        if len(data) <= TEXT_BYTES_MAX and b"\0" not in data:
            findings += style.check_text(name, data.decode("utf-8", errors="replace"))
    assert not findings, report(findings)


@pytest.mark.parametrize(("rule", "path", "text"), BREACHES)
def test_a_breach_is_found(rule: str, path: str, text: str) -> None:
    """Each rule finds its planted breach, and no other rule takes offence."""
    assert {finding.rule for finding in style.check(path, text)} == {rule}


@pytest.mark.parametrize(("path", "text"), ALLOWED)
def test_the_lawful_neighbour_is_left_alone(path: str, text: str) -> None:
    """What resembles a breach and is none is not found."""
    assert style.check(path, text) == []


def test_all_that_the_pipeline_rests_on_is_core() -> None:
    """Each of our modules that the pipeline imports, however indirectly, is held to the rules of the core."""
    rest = {"stream/pipeline.py", "stream/parse.py"}
    seen: set[str] = set()
    while rest:
        name = rest.pop()
        seen.add(name)
        origins = style.read(name, (ROOT / name).read_text(encoding="utf-8")).origins.values()
        for parts in (origin.split(".") for origin in origins):
            paths = ("/".join(parts[:length]) + ".py" for length in range(1, len(parts) + 1))
            rest |= {path for path in paths if (ROOT / path).is_file()} - seen
    assert not [name for name in sorted(seen) if not style.in_core(name)]


def test_every_rule_has_a_planted_breach() -> None:
    """There is no rule without a planted breach: a check that cannot fail checks nothing."""
    assert {rule.__name__ for rule, _ in style.RULES} == {rule for rule, _, _ in BREACHES} - {"syntax"}


def test_every_exemption_has_a_reason_and_a_file() -> None:
    """An exemption from a rule gives its reason and names a file that exists."""
    rules = {rule.__name__ for rule, _ in style.RULES}
    assert set(style.EXEMPT) <= rules
    for exempt in style.EXEMPT.values():
        for place, reason in exempt.items():
            path, _, name = place.partition(":")
            assert len(reason) > 20, place
            assert f"class {name}" in (ROOT / path).read_text(encoding="utf-8"), place


@pytest.mark.parametrize("text", MACHINE_TEXTS)
def test_a_machine_path_is_found(text: str) -> None:
    """A path of one machine is found, with its line."""
    assert [(finding.rule, finding.line) for finding in style.check_text("docs/x.md", f"a\n{text}\n")] == [
        ("machine_path", 2)
    ]


@pytest.mark.parametrize("text", REGISTRY_TEXTS)
def test_a_registry_host_is_found(text: str) -> None:
    """The host of a package registry is found."""
    assert {finding.rule for finding in style.check_text("deploy/x.sh", text)} == {"registry_host"}


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_a_harmless_text_is_left_alone(text: str) -> None:
    """What only resembles a path of a machine is not found."""
    assert style.check_text("docs/x.md", text) == []
