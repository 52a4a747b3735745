"""The house style as a program: each rule reads one file and names what breaks it.

Owns the rules of CONTRIBUTING.md that neither ruff nor import-linter can state. Must not know what the service does,
and imports none of its packages: it reads source text only, so it also reads a file that does not run.

>>> [str(finding) for finding in check("stream/utils.py", "'Owns x. Must not know y.'")]
['stream/utils.py:1: forbidden_name: utils']
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

PACKAGES = ("events", "features", "models", "guardrails", "alerts", "connectors", "stream")
CORE = (
    "events/",
    "features/",
    "models/",
    "guardrails/",
    "alerts/",
    "connectors/hl7v2/",
    "connectors/fhir/",
    "connectors/terminology/",
    "connectors/acts/codec.py",
    "connectors/acts/documents.py",
    "connectors/acts/people.py",
    "connectors/acts/reasons.py",
    "connectors/decoded.py",
    "connectors/spreadsheet.py",
    "connectors/strangers.py",
    "connectors/weak_keys.py",
    "connectors/zones.py",
    "stream/catalogues.py",
    "stream/code_maps.py",
    "stream/acting.py",
    "stream/pipeline.py",
    "stream/parse.py",
    "stream/control.py",
    "stream/digest.py",
    "stream/effects.py",
    "stream/fold.py",
    "stream/identity.py",
    "stream/identity_links.py",
    "stream/carried.py",
    "stream/joining.py",
    "stream/merging.py",
    "stream/parts.py",
    "stream/pseudonyms.py",
    "stream/reconsidering.py",
    "connectors/kafka/settings.py",
    "connectors/batches/settings.py",
    "connectors/fhir_sources/settings.py",
    "connectors/loopback.py",
    "connectors/mllp/settings.py",
    "connectors/redis/settings.py",
    "stream/decision_keys.py",
    "stream/live_settings.py",
    "stream/outcomes.py",
    "stream/records.py",
    "stream/release.py",
    "stream/scoring.py",
    "stream/service_settings.py",
    "stream/settings.py",
    "stream/tally.py",
    "stream/timers.py",
)
"""The deterministic core (design section 2): the pipeline, and all of our modules that it rests on."""
SEEDED = (*CORE, "connectors/hospital/")
"""The simulated hospital is no core, but one seed must give one hospital."""

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"})
MAY_PRINT = ("stream/cli.py", "stream/cli/")

EXEMPT: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("exemptions.toml").read_text(encoding="utf-8")
)
"""By rule: each exempt file, or `file:class`, with the reason."""

CLOCK_CALLS = frozenset(
    {
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
    },
)
FILE_METHODS = frozenset({"read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "rglob"})
UNSEEDED_IDS = frozenset({"uuid.uuid1", "uuid.uuid4", "uuid.getnode"})
SEEDABLE = frozenset(
    {"random.Random", "numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.SeedSequence"}
)
TYPES_OF_RANDOMNESS = frozenset({"numpy.random.Generator", "numpy.random.BitGenerator", "random.Random"})
PICKLERS = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"})


class Finding(NamedTuple):
    """One breach: which rule, where, and what stands there."""

    rule: str
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        """Write the breach as `path:line: rule: what`, which editors can follow."""
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


class Source(NamedTuple):
    """One file: where it stands, its text, its tree, and what each imported name stands for."""

    path: str
    text: str
    tree: ast.Module
    origins: dict[str, str]

    def origin(self, node: ast.expr) -> str:
        """Give the dotted name that an expression stands for, through its import; empty if it is no such name.

        >>> source = read("x.py", "from datetime import datetime as dt; dt.now()")
        >>> source.origin(source.tree.body[1].value.func)
        'datetime.datetime.now'
        """
        if isinstance(node, ast.Attribute):
            parent = self.origin(node.value)
            return f"{parent}.{node.attr}" if parent else ""
        return self.origins.get(node.id, "") if isinstance(node, ast.Name) else ""


Breaches = Iterator[tuple[int, str]]
Rule = Callable[[Source], Breaches]


def read(path: str, text: str) -> Source:
    """Parse one file; `path` is relative to the root, with forward slashes. Raises `SyntaxError`."""
    tree = ast.parse(text)
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                origins[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return Source(path, text, tree, origins)


def in_packages(path: str) -> bool:
    """Tell whether a path belongs to the service itself."""
    return path.split("/", maxsplit=1)[0] in PACKAGES


def in_core(path: str) -> bool:
    """Tell whether a path belongs to the deterministic core (design section 2)."""
    return path.startswith(CORE)


def is_test(path: str) -> bool:
    """Tell whether a path is a test module."""
    return path.startswith("tests/") and PurePosixPath(path).name.startswith("test_")


def everywhere(_path: str) -> bool:
    """Tell that a rule holds for every Python file."""
    return True


def builtin_calls(source: Source, names: frozenset[str]) -> Breaches:
    """Find calls of builtins by their bare names."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node.lineno, f"{node.func.id}()"


def uses(source: Source, wanted: Callable[[str], bool]) -> Breaches:
    """Find uses of imported names, by what they stand for; the longest dotted name only."""
    inner = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner:
            origin = source.origin(node)
            if origin and wanted(origin):
                yield node.lineno, origin


def builtin_hash(source: Source) -> Breaches:
    """Builtin `hash()` differs between processes."""
    return builtin_calls(source, frozenset({"hash"}))


def builtin_id(source: Source) -> Breaches:
    """`id()` is an address in memory."""
    return builtin_calls(source, frozenset({"id"}))


def evaluation(source: Source) -> Breaches:
    """`eval` and `exec` run what somebody sent."""
    return builtin_calls(source, frozenset({"eval", "exec"}))


def printing(source: Source) -> Breaches:
    """Only the command line prints."""
    return iter(()) if source.path.startswith(MAY_PRINT) else builtin_calls(source, frozenset({"print"}))


def wall_clock(source: Source) -> Breaches:
    """The core's clock is the log's."""
    return uses(source, lambda name: name in CLOCK_CALLS or name.startswith("time."))


def environment(source: Source) -> Breaches:
    """Configuration comes through the log, never through the environment."""
    return uses(source, lambda name: name.startswith(("os.environ", "os.getenv", "os.putenv", "os.urandom")))


def file_access(source: Source) -> Breaches:
    """The core is given bytes; the caller reads files."""
    yield from builtin_calls(source, frozenset({"open"}))
    yield from uses(source, lambda name: name in {"io.open", "os.open", "codecs.open"})
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FILE_METHODS:
            yield node.lineno, f".{node.func.attr}()"


def unseeded_randomness(source: Source) -> Breaches:
    """Randomness comes from a seed that stands in the call."""
    seeded: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and source.origin(node.func) in SEEDABLE:
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            if values and not (isinstance(values[0], ast.Constant) and values[0].value is None):
                seeded.add(node.lineno)
    for line, name in uses(source, lambda name: name.startswith(("random.", "numpy.random.", "secrets."))):
        bare_type = name in TYPES_OF_RANDOMNESS and not calls(source, name, line)
        if not bare_type and not (name in SEEDABLE and line in seeded):
            yield line, name


def calls(source: Source, name: str, line: int) -> bool:
    """Tell whether `name` is called on that line, rather than named as a type."""
    return any(
        isinstance(node, ast.Call) and node.func.lineno == line and source.origin(node.func) == name
        for node in ast.walk(source.tree)
    )


def random_ids(source: Source) -> Breaches:
    """Ids are derived from content, so that a replay gives the same ones."""
    return uses(source, lambda name: name in UNSEEDED_IDS)


def set_iteration(source: Source) -> Breaches:
    """The order of a set of text differs between processes; sort it first."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.For | ast.comprehension):
            over = node.iter
            called = (
                isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id in {"set", "frozenset"}
            )
            if called or isinstance(over, ast.Set | ast.SetComp):
                yield over.lineno, ast.unparse(over)[:60]


def pickling(source: Source) -> Breaches:
    """A pickle runs what it holds, and may not load in the next version."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] in PICKLERS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PICKLERS:
            yield node.lineno, node.module


def river_stream(source: Source) -> Breaches:
    """`from river import stream` shadows our own package."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "river":
            for alias in node.names:
                if alias.name == "stream":
                    yield node.lineno, "from river import stream"


def module_docstring(source: Source) -> Breaches:
    """A module says what it owns and what it must not know."""
    if source.path.endswith("__init__.py"):
        return
    text = (ast.get_docstring(source.tree) or "").casefold()
    for phrase in ("owns", "must not know"):
        if not re.search(rf"\b{phrase.replace(' ', chr(92) + 's+')}\b", text):
            yield 1, f"the module's docstring does not say '{phrase}'"


def length(source: Source) -> Breaches:
    """A longer module or function is asking to be two."""
    lines = source.text.count("\n") + (not source.text.endswith("\n"))
    if lines > MODULE_LINES_MAX:
        yield 1, f"{lines} lines, more than {MODULE_LINES_MAX}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name}: {lines} lines, more than {FUNCTION_LINES_MAX}"


def forbidden_name(source: Source) -> Breaches:
    """A name that says nothing about what is inside collects everything."""
    for part in PurePosixPath(source.path).with_suffix("").parts:
        if part in FORBIDDEN_NAMES:
            yield 1, part


def bare_timestamp(source: Source) -> Breaches:
    """It is an event time or a received time, and the name says which."""
    word = "timestamp"
    for node in ast.walk(source.tree):
        stored = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node, ast.arg) and node.arg == word:
            yield node.lineno, word
        elif stored and word == (node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")):
            yield getattr(node, "lineno", 1), word


def mutable_struct(source: Source) -> Breaches:
    """What the core hands on cannot be changed behind its back."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and "msgspec.Struct" in [source.origin(base) for base in node.bases]:
            frozen = any(
                keyword.arg == "frozen" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                for keyword in node.keywords
            )
            if not frozen and f"{source.path}:{node.name}" not in EXEMPT["mutable_struct"]:
                yield node.lineno, node.name


def asserting(source: Source, function: ast.AST, proven: frozenset[str]) -> bool:
    """Tell whether a test claims anything: an assert, `pytest.raises`, or a law (in a `checks`, or named so)."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if (
                ".checks." in source.origin(node.func)
                or name in proven
                or name in {"raises", "fail", "warns"}
                or re.match(r"(check|assert|laws?)(_|$)", name)
            ):
                return True
    return False


def claimless_test(source: Source) -> Breaches:
    """A test states one claim in its docstring, and makes it."""
    functions = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    proven = frozenset(node.name for node in functions if asserting(source, node, frozenset()))
    for node in functions:
        if node.name.startswith("test"):
            if not ast.get_docstring(node):
                yield node.lineno, f"{node.name} has no docstring"
            if not asserting(source, node, proven):
                yield node.lineno, f"{node.name} asserts nothing"


def sleeping(source: Source) -> Breaches:
    """A test waits for an event, never for a clock."""
    return uses(source, lambda name: name in {"time.sleep", "asyncio.sleep"})


RULES: tuple[tuple[Rule, Callable[[str], bool]], ...] = (
    (module_docstring, in_packages),
    (length, in_packages),
    (forbidden_name, everywhere),
    (bare_timestamp, in_packages),
    (river_stream, everywhere),
    (pickling, in_packages),
    (evaluation, in_packages),
    (printing, in_packages),
    (builtin_hash, in_core),
    (builtin_id, in_core),
    (wall_clock, in_core),
    (environment, in_core),
    (file_access, in_core),
    (unseeded_randomness, lambda path: path.startswith(SEEDED)),
    (random_ids, in_core),
    (set_iteration, in_core),
    (mutable_struct, in_core),
    (claimless_test, is_test),
    (sleeping, is_test),
)
"""Each rule, and the files it holds for."""

MACHINE_PATHS = re.compile(r"(?<![\w.~/-])/(?:work/|tmp/w\b|root\b)")
"""Paths of one machine: nobody else has them."""
REGISTRY_HOSTS = re.compile(
    r"\b(?:(?:files\.)?pythonhosted\.org|(?:test\.)?pypi\.org|registry\.npmjs\.org|registry\.yarnpkg\.com"
    r"|repo1?\.maven\.(?:apache\.)?org|proxy\.golang\.org|static\.crates\.io)\b"
    r"|^\s*(?:extra-)?index-url\b|--(?:extra-)?index-url\b",
    re.MULTILINE,
)
"""Where packages come from is the machine's configuration."""


def check(path: str, text: str) -> list[Finding]:
    """Hold one Python file to every rule that is for it; a file that does not parse is a finding too."""
    try:
        source = read(path, text)
    except SyntaxError as error:
        return [Finding("syntax", path, error.lineno or 1, error.msg)]
    return [
        Finding(rule.__name__, path, line, what)
        for rule, is_for in RULES
        if is_for(path) and path not in EXEMPT.get(rule.__name__, ())
        for line, what in rule(source)
    ]


def check_text(path: str, text: str) -> list[Finding]:
    """Hold any tracked text to the rules about machines and registries."""
    return [
        Finding(rule, path, text.count("\n", 0, match.start()) + 1, match.group().strip())
        for rule, pattern in (("machine_path", MACHINE_PATHS), ("registry_host", REGISTRY_HOSTS))
        for match in pattern.finditer(text)
    ]
