#!/usr/bin/env bash
# Fetches the MLLP clients and servers of others, with which tests/clients and benchmarks/mllp.py talk: HAPI (Maven) and
# two of Node's (npm). They go into the folder WARDSTREAM_CLIENTS, by default .clients in the project. Run again, it
# does nothing unless a version changed. Where packages come from is the machine's configuration.
set -euo pipefail
ROOT="$(cd "$(dirname "$0")/.." && pwd)"
FOLDER="${WARDSTREAM_CLIENTS:-$ROOT/.clients}"

missing=()
for tool in mvn java node npm; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "missing: ${missing[*]}. On Debian: apt-get install maven default-jre-headless nodejs npm" >&2
    exit 1
fi

fetch() { # NAME, MANIFEST, COMMAND...: run the command in FOLDER/NAME unless it was done for this very manifest
    local name="$1" manifest="$2" target="$FOLDER/$1"
    shift 2
    if cmp -s "$manifest" "$target/.done"; then
        echo "$name: there already"
        return
    fi
    echo "$name: fetching into $target"
    rm -rf "$target"
    mkdir -p "$target"
    cp "$manifest" "$target/"
    (cd "$target" && "$@")
    cp "$manifest" "$target/.done"
}

fetch hapi "$ROOT/tests/clients/hapi/pom.xml" \
    mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=libs -DincludeScope=runtime
fetch node "$ROOT/tests/clients/node/package.json" \
    npm install --silent --no-package-lock --no-audit --no-fund --ignore-scripts
