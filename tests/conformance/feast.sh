#!/usr/bin/env bash
# Feast's own SDK, its online store set to `type: remote`, against a served project: reads, writes, materialization, errors.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
use_python "$conformance/requirements/feast.txt"
use_binary
project="$work/project"
"$python" "$conformance/support/feast_project.py" "$project"
run_foretell features materialize
use_server
check feast_sdk.py "$http" "$project" "$work/feast"
stop_server
