# Sourced by clients.sh and kafka.sh: where the programs of others go, and how each is fetched once.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
FOLDER="${WARDSTREAM_CLIENTS:-$ROOT/.clients}"

need() { # TOOL...: end here, saying what to install, unless all are there
    local tool missing=()
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "missing: ${missing[*]}. On Debian: apt-get install maven default-jre-headless nodejs npm" >&2
        exit 1
    fi
}

fetch() { # NAME, MANIFEST, COMMAND...: run the command in FOLDER/NAME unless it was done for this very manifest
    local name="$1" manifest="$2" target="$FOLDER/$1"
    shift 2
    if cmp -s "$manifest" "$target/.done"; then
        echo "$name: there already"
        return
    fi
    need "$1"
    echo "$name: fetching into $target"
    rm -rf "$target"
    mkdir -p "$target"
    cp "$manifest" "$target/"
    (cd "$target" && "$@")
    cp "$manifest" "$target/.done"
}

fetch_maven() { # NAME, POM: copy its dependencies into FOLDER/NAME/libs
    fetch "$1" "$2" mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory=libs -DincludeScope=runtime
}
