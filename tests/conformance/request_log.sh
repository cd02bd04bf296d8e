#!/usr/bin/env bash
# The request log as an analyst reads it: Parquet segments that hold what the server answered.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
use_python "$conformance/requirements/parquet.txt"
use_binary
use_project churn demand
use_server
check request_log.py ask "$http" "$work/answers.json"
stop_server
check request_log.py compare "$project/.foretell/requests" "$work/answers.json"
