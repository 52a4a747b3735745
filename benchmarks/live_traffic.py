"""What `live.py` sends: ORU^R01 of 8 vital signs, of very many patients on wards that fill all partitions alike.

Owns who sends what when, and the bytes. Must not know who reads them. A message costs a few microseconds to make, for
the values are rendered before: a generator that is slow would be what is measured.

>>> traffic = Traffic(patients=1_000, partitions=4)
>>> message = traffic.message(0, b"20260105080000+0000")
>>> message.count(b"OBX|"), len({traffic.partition(number) for number in range(100)})
(8, 4)
"""

from __future__ import annotations

from random import Random

from peer import VITALS

from connectors.kafka.partitioning import partition_for

AUTHORITY = "BENCH"
FEEDS = 64
"""Senders: a ward each. Their names are chosen so that each partition of the ingest topic has as many."""
ROWS = 1_024
"""Sets of eight values, rendered once."""
SICK_ROWS = 64
SICK_ONE_IN = 100
"""Messages that tell of a patient whose NEWS2 rises to 7 or more; his next one, a round later, is well again."""
SICK = {"8867-4": 134.0, "9279-1": 28.0, "59408-5": 88.0, "8480-6": 86.0, "8310-5": 39.3}
SEED = 2026
_STRIDE = 48_271
"""A prime: consecutive messages are of patients far apart."""


class Traffic:
    """A hospital group's feeds: message `number` is always of the same patient, and says the same values."""

    def __init__(self, patients: int, partitions: int) -> None:
        assert patients % _STRIDE
        self.patients = patients
        self.partitions = partitions
        self.feeds = _balanced(partitions)
        self._keys = [f"MONITOR|{ward}".encode() for ward in self.feeds]
        self._feed_partitions = [partition_for(key, partitions) for key in self._keys]
        rng = Random(SEED)  # noqa: S311 - seeded on purpose, guards nothing
        self._well = [_row(rng, {}) for _ in range(ROWS)]
        self._sick = [_row(rng, SICK) for _ in range(SICK_ROWS)]

    def patient(self, number: int) -> int:
        """Say whose a message is."""
        return number * _STRIDE % self.patients

    def number_of(self, patient: int) -> int:
        """Give a patient's first message."""
        return patient * pow(_STRIDE, -1, self.patients) % self.patients

    def is_sick(self, number: int) -> bool:
        """Say whether a message tells of a deterioration."""
        return (self.patient(number) * 31 + number // self.patients * 37) % SICK_ONE_IN == 0

    def key(self, number: int) -> bytes:
        """Give the record's key: the sender."""
        return self._keys[self.patient(number) % FEEDS]

    def partition(self, number: int) -> int:
        """Give the partition that the key lies in."""
        return self._feed_partitions[self.patient(number) % FEEDS]

    def message(self, number: int, time: bytes, *, well: bool = False) -> bytes:
        """Render a message; `time` as HL7 writes it. `well` has nobody deteriorate."""
        patient = self.patient(number)
        sick = not well and self.is_sick(number)
        row = self._sick[number % SICK_ROWS] if sick else self._well[number % ROWS]
        return _HEAD % (
            self.feeds[patient % FEEDS].encode(), time, number, patient, self.feeds[patient % FEEDS].encode(),
            patient % 97, patient % 4, patient, number, time,
        ) + row.replace(b"@", time)  # fmt: skip


_HEAD = (
    b"MSH|^~\\&|MONITOR|%b|WARDSTREAM|HOSPITAL|%b||ORU^R01^ORU_R01|L%010d|P|2.5.1\r"
    b"PID|1||P%06d^^^" + AUTHORITY.encode() + b"^MR||||19500101|F\r"
    b"PV1|1|I|%b^R%03d^B%d||||||||||||||||V%06d\r"
    b"OBR|1||F%010d|85353-1^Vital signs panel^LN|||%b\r"
)


def _row(rng: Random, instead: dict[str, float]) -> bytes:
    """Render eight OBX; their time stands as @."""
    lines = []
    for index, (code, display, unit, normal, spread, decimals) in enumerate(VITALS, start=1):
        value = instead.get(code, normal) + rng.gauss(0.0, spread / 2)
        if code == "59408-5":
            value = min(value, 100.0)
        lines.append(f"OBX|{index}|NM|{code}^{display}^LN||{value:.{decimals}f}|{unit}^{unit}^UCUM|||||F|||@\r")
    return "".join(lines).encode()


def _balanced(partitions: int) -> list[str]:
    """Name wards so that each partition has the keys of equally many."""
    wanted = FEEDS // partitions
    held = [0] * partitions
    found: list[str] = []
    number = 0
    while len(found) < wanted * partitions:
        ward = f"WARD{number:04d}"
        place = partition_for(f"MONITOR|{ward}".encode(), partitions)
        if held[place] < wanted:
            held[place] += 1
            found.append(ward)
        number += 1
    return found
