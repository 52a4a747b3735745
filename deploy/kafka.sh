#!/usr/bin/env bash
# Fetches the jars of a Kafka broker (Maven), which `wardstream live` and the live tests run, into the folder
# WARDSTREAM_CLIENTS, by default .clients in the project. Run again, it does nothing unless the version changed.
set -euo pipefail
. "$(dirname "$0")/fetch.sh"

fetch_maven kafka "$ROOT/deploy/kafka/pom.xml"
