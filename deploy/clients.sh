#!/usr/bin/env bash
# Fetches what others wrote and our tests and benchmarks talk to: the MLLP clients HAPI (Maven) and two of Node's (npm),
# HAPI's FHIR servers (Maven), and a Kafka broker (Maven). They go into the folder WARDSTREAM_CLIENTS, by default .clients in the project. Run again,
# it does nothing unless a version changed. Where packages come from is the machine's configuration.
set -euo pipefail
. "$(dirname "$0")/fetch.sh"

need mvn java node npm
fetch_maven kafka "$ROOT/deploy/kafka/pom.xml"
fetch_maven hapi "$ROOT/tests/clients/hapi/pom.xml"
fetch_maven hapi_fhir "$ROOT/benchmarks/peers/hapi_fhir/pom.xml"
fetch_maven fhir_server_plain "$ROOT/tests/fhir_server/plain/pom.xml"
fetch_maven fhir_server_jpa "$ROOT/tests/fhir_server/jpa/pom.xml"
fetch node "$ROOT/tests/clients/node/package.json" \
    npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts
