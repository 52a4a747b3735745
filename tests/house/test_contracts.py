"""The import contracts hold on the tree, and each kind of breach, planted in a copy of it, is named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("stream", "connectors", "alerts", "guardrails", "models", "features", "events")
CORE = (
    "events",
    "features",
    "models",
    "guardrails",
    "alerts",
    "connectors.hl7v2",
    "connectors.fhir",
    "stream.pipeline",
)
EFFECTS = ("sqlite3", "asyncio", "socket", "aiokafka", "redis", "time", "os", "random", "httpx")
UPWARD = tuple((lower, upper) for upper, lower in combinations(LAYERS, 2))
LINT_TIMEOUT_S = 60
"""One lint takes about a second; a minute means that it hangs."""


def lint(root: Path, config: Path) -> tuple[int, str]:
    """Run import-linter over the packages of `root`; give its exit code and its words, unwrapped.

    A process of its own, because this one has already imported the packages from the tree and would find them again.
    """
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [str(program), "--no-cache", "--no-logo", "--config", str(config)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=LINT_TIMEOUT_S,
        check=False,
        env={"COLUMNS": "400", "PYTHONUTF8": "1", "PATH": ""},
    )
    return result.returncode, result.stdout + result.stderr


def copy_tree(target: Path) -> Path:
    """Copy what the contracts speak of; a pipeline that is not written yet is an empty module in the copy."""
    for package in LAYERS:
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    shutil.copy(ROOT / "pyproject.toml", target)
    pipeline = target / "stream" / "pipeline.py"
    if not pipeline.exists():
        pipeline.write_text('"""Planted."""\n')
    return target


def strict_config(source: Path, target: Path) -> Path:
    """Write the contracts with chains through our own modules forbidden too."""
    text = source.read_text()
    target.write_text(text.replace("allow_indirect_imports = true", "allow_indirect_imports = false"))
    return target


def plant(root: Path, module: str, statement: str, name: str) -> None:
    """Add a module with one import to a package, or the import to a module that is a file."""
    path = root / Path(*module.split("."))
    if path.is_dir():
        (path / f"planted_{name}.py").write_text(f'"""Planted."""\n{statement}\n')
    else:
        file = path.with_suffix(".py")
        file.write_text(f"{file.read_text()}\n{statement}\n")


@pytest.fixture(scope="module")
def upward(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """Lint a copy in which each lower package imports each one above it."""
    root = copy_tree(tmp_path_factory.mktemp("upward"))
    for lower, upper in UPWARD:
        plant(root, lower, f"import {upper}", upper)
    return lint(root, root / "pyproject.toml")


@pytest.fixture(scope="module")
def effectful(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """Lint a copy in which every part of the core imports everything it must not know."""
    root = copy_tree(tmp_path_factory.mktemp("effectful"))
    for module in CORE:
        for effect in EFFECTS:
            plant(root, module, f"import {effect}", effect)
    return lint(root, root / "pyproject.toml")


@pytest.fixture(scope="module")
def indirect(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """Lint a copy in which the pipeline and both codecs reach a database through another of our own modules."""
    root = copy_tree(tmp_path_factory.mktemp("indirect"))
    plant(root, "connectors.sqlite", "import sqlite3", "store")
    for module in ("connectors.hl7v2", "connectors.fhir", "stream.pipeline"):
        plant(root, module, "import connectors.sqlite.planted_store", "store")
    return lint(root, strict_config(root / "pyproject.toml", root / "strict.toml"))


def test_contracts_hold_on_the_tree() -> None:
    """The tree breaks no import contract."""
    code, words = lint(ROOT, ROOT / "pyproject.toml")
    assert code == 0, words


def test_core_reaches_no_effect_through_our_own_modules(tmp_path: Path) -> None:
    """No chain of our own imports leads from the core to a broker, socket, database, clock or event loop."""
    code, words = lint(ROOT, strict_config(ROOT / "pyproject.toml", tmp_path / "strict.toml"))
    assert code == 0, words


def test_a_copy_without_breaches_passes(tmp_path: Path) -> None:
    """The copy in which breaches are planted breaks nothing before they are planted."""
    root = copy_tree(tmp_path)
    code, words = lint(root, root / "pyproject.toml")
    assert code == 0, words


@pytest.mark.parametrize(("lower", "upper"), UPWARD)
def test_an_upward_import_is_named(upward: tuple[int, str], lower: str, upper: str) -> None:
    """A package that imports one above it fails the check, by name."""
    code, words = upward
    assert code == 1, words
    assert f"{lower}.planted_{upper} -> {upper} (l.2)" in words


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("module", CORE)
def test_an_effect_in_the_core_is_named(effectful: tuple[int, str], module: str, effect: str) -> None:
    """A core module that imports a broker, socket, database, clock, environment or randomness fails, by name."""
    code, words = effectful
    importer = module if module == "stream.pipeline" else f"{module}.planted_{effect}"
    assert code == 1, words
    assert f"{importer} -> {effect} (l." in words


@pytest.mark.parametrize("module", ["connectors.hl7v2", "connectors.fhir", "stream.pipeline"])
def test_an_effect_behind_our_own_module_is_named(indirect: tuple[int, str], module: str) -> None:
    """A core module that reaches a database through another of our modules fails, by name."""
    code, words = indirect
    importer = module if module == "stream.pipeline" else f"{module}.planted_store"
    assert code == 1, words
    assert f"{importer} -> connectors.sqlite.planted_store" in words


@pytest.mark.parametrize("package", LAYERS)
def test_every_package_is_under_contract(package: str) -> None:
    """Each top-level package of the design stands in the tree and in the layers contract."""
    assert (ROOT / package / "__init__.py").exists()
    assert f'"{package}"' in (ROOT / "pyproject.toml").read_text().split('type = "layers"')[1].split("]")[0]
