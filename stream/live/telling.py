"""What the learner's process writes: words to the folds beside it, and records of its companions.

Owns the record of a word, and waiting until it was heard. Must not know what is written. A word that may or may not
have been stored is written again by whoever finds that it is still missed; heard twice, it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.kafka.record import Record
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topics import EXAMPLES, topic_headers
from stream.clock import wall_ms
from stream.live.examples import encode_example, told
from stream.live.writing import Writing, read_back

SOURCE = "/wardstream/learner"
HEARD_WITHIN_S = 30.0
"""Until a word comes back from the topic: it is read at once by a fold that is not behind."""
LOOK_S = 0.02


class Telling(Writing):
    """Writes, one after another."""

    def __init__(self, kafka: KafkaSettings, password: str) -> None:
        """Nothing is opened yet."""
        super().__init__(kafka, password, client_id="wardstream.learner")

    async def tell(self, name: str, content: bytes, reached: Callable[[], int]) -> None:
        """Write a word to a fold and wait until it was heard; `reached` gives the next record to be folded.

        Raises `BrokerError`.
        """
        example = told(name, content, reached())
        headers = topic_headers(EXAMPLES, example.example_id, SOURCE, wall_ms())
        [place] = await self.send([Record(EXAMPLES, name.encode(), encode_example(example), headers)])
        words = f"{EXAMPLES}: a word was not heard in {HEARD_WITHIN_S:g} s"
        await read_back(lambda: reached() > place, HEARD_WITHIN_S, LOOK_S, words)
