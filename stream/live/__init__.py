"""The live host: Faust workers, gateways and the learner on Kafka and Redis. Never imports the embedded host."""
