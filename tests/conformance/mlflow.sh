#!/usr/bin/env bash
# MLflow's own client: first the router alone, every call of a first day; then a real server after real training.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
use_python "$repository/registry/mlflow/tests/conformance/requirements.txt"
# The whole workspace, so that features unify as in tier 1 and nothing is built again.
(cd "$repository" && FORETELL_MLFLOW_PYTHON=$python cargo test --quiet --workspace --test conformance)
use_binary
use_project churn
use_server
check mlflow_server.py "$http"
