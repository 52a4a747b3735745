"""Kafka: the topics, their declarations, and how records are written and read. Must not know what a record says."""
