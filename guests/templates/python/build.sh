#!/bin/sh
# Builds {{name}}.wasm. The compiler is installed the first time, by package name.
set -eu
cd "$(dirname "$0")"
tools=${ETL_HOST_TOOLS:-.tools}
compiler=componentize-py==0.25.1

missing() {
    echo "build.sh: $1" >&2
    exit 69
}

if [ ! -e "$tools/$compiler" ]; then
    command -v python3 >/dev/null || missing "python3 is missing: install Python 3.10 or later"
    python3 -m venv "$tools" || missing "python3 makes no venv: install python3-venv"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "$compiler" ||
        missing "$compiler cannot be installed: pip says why"
    touch "$tools/$compiler"
fi
"$tools/bin/componentize-py" --wit-path wit --world transform \
    componentize --stub-wasi policy --output {{name}}.wasm
echo "built {{name}}.wasm"
