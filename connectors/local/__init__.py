"""A real Kafka broker and a real Redis on this machine, for tests and for `wardstream live`; no part of a service."""
