#!/bin/sh
# Builds {{name}}.wasm.
set -eu
cd "$(dirname "$0")"

if ! command -v cargo >/dev/null; then
    echo "build.sh: cargo is missing: install Rust with rustup" >&2
    exit 69
fi
CARGO_TARGET_DIR=target cargo build --release --target wasm32-unknown-unknown
cp target/wasm32-unknown-unknown/release/policy.wasm {{name}}.wasm
echo "built {{name}}.wasm"
