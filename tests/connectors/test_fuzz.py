"""A bounded run of the fuzzer over all codecs; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

MESSAGES = 3_000
"""Some seconds, with a message of a megabyte among them."""
SEED = 20260101


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the programs of the benchmarks be imported: they are no package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give the program, with small chunks."""
    import fuzz as module

    monkeypatch.setattr(module, "CHUNK", 40)
    return module


def test_mutated_messages_are_read_or_refused() -> None:
    """Each mutated message of every reader keeps the laws: no exception, no quoted patient, in bounded time."""
    from fuzz_checks import READERS, SLOW_S, check
    from fuzz_mutants import mutant

    seen = dict.fromkeys(READERS, 0)
    for number in range(MESSAGES):
        one = mutant(SEED, number)
        took = check(one)
        assert took < SLOW_S or one.reader in ("fhir", "lines", "framed"), f"{number}: {took * 1e3:.0f} ms"
        seen[one.reader] += 1
    assert min(seen.values()) > MESSAGES // 100


def test_a_mutant_is_a_function_of_seed_and_number() -> None:
    """The same two numbers give the same bytes, whatever was made before."""
    from fuzz_mutants import mutant

    assert [mutant(3, number) for number in range(50)] == [mutant(3, number) for number in reversed(range(50))][::-1]
    assert mutant(3, 1) != mutant(4, 1)


def test_what_is_put_in_is_no_other_messages() -> None:
    """A list that was put into one message and filled there was filled in all, at last with itself."""
    from fuzz_mutants import JUNK, mutant

    before = repr(JUNK)
    for number in range(3_000):
        mutant(2, number)
    assert repr(JUNK) == before


def test_a_breach_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The laws can fail: an exception, a quoted patient and a slow reader are each told."""
    import fuzz_checks
    from fuzz_mutants import CANARY, Mutant

    from connectors.decoded import Refusal, RefusalReason

    def raising(_data: bytes) -> list[Refusal]:
        raise IndexError("list index out of range")

    def quoting(_data: bytes) -> list[Refusal]:
        return [Refusal(RefusalReason.GARBAGE, "PID-3", f"{CANARY} is no number")]

    for reader, fault in ((raising, "list index"), (quoting, "quotes")):
        monkeypatch.setitem(fuzz_checks.READERS, "act", reader)
        with pytest.raises((IndexError, AssertionError), match=fault):
            fuzz_checks.check(Mutant("act", b"x"))
    monkeypatch.setattr(fuzz_checks, "SLOW_S", 0.0)
    with pytest.raises(AssertionError, match="slow"):
        fuzz_checks.check(Mutant("hl7v2", b"MSH|"))


def test_a_run_goes_on_where_it_was_stopped(fuzz: ModuleType, tmp_path: Path) -> None:
    """A run in two parts has run the same chunks, once each, and says what one run says."""
    for messages in (80, 200):
        run = fuzz.Run(tmp_path, SEED)
        for chunk in run.left(messages):
            run.add(fuzz.run_chunk(SEED, chunk), 0.5)
    assert fuzz.Run(tmp_path, SEED).state["done"] == [0, 1, 2, 3, 4]
    assert list(fuzz.Run(tmp_path, SEED).left(200)) == []
    assert "failures: 0" in fuzz.Run(tmp_path, SEED).report()


def test_what_breaks_a_law_is_kept(fuzz: ModuleType, tmp_path: Path) -> None:
    """The bytes of a failure lie in the folder under reader, seed and number."""
    run = fuzz.Run(tmp_path, SEED)
    result = fuzz.run_chunk(SEED, 0)
    run.add({**result, "failures": [{"number": 7, "reader": "hl7v2", "error": "IndexError: x"}]}, 0.1)
    [kept] = tmp_path.glob("*.bin")
    assert kept.read_bytes() == fuzz.mutant(SEED, 7).data
    assert "7: hl7v2: IndexError" in run.report()
