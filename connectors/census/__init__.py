"""A census: who lies where at one moment, as a file; made the messages that an ADT feed would have sent."""
