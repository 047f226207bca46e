#!/bin/sh
# Builds {{name}}.wasm. The compiler is installed the first time, by package name.
set -eu
cd "$(dirname "$0")"
tools=${ETL_HOST_TOOLS:-.tools}
compiler=componentize-qjs@0.4.5

missing() {
    echo "build.sh: $1" >&2
    exit 69
}

if [ ! -e "$tools/$compiler" ]; then
    command -v npm >/dev/null || missing "npm is missing: install Node.js 20 or later"
    npm install --silent --no-audit --no-fund --prefix "$tools" "$compiler" ||
        missing "$compiler cannot be installed: npm says why"
    touch "$tools/$compiler"
fi
"$tools/node_modules/.bin/componentize-qjs" --wit wit --world transform --js policy.js \
    --sync --stub-wasi --output {{name}}.wasm
echo "built {{name}}.wasm"
