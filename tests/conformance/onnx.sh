#!/usr/bin/env bash
# Models of every form, exported as ONNX, against onnxruntime: the same answers to 1e-6, for many rows and for one.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
command -v cargo >/dev/null || skip "there is no cargo to build the exporter with"
use_python "$conformance/requirements/onnx.txt"
(cd "$repository" && cargo run --quiet -p foretell-inference --example export_onnx -- "$work/exported") || fail "the export"
: >"$work/log"
check onnx_runtime.py "$work/exported"
