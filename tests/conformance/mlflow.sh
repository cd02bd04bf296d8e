#!/usr/bin/env bash
# MLflow's own clients, of two releases: first the router alone, every call; then a real server after real training, what
# Python registers being promoted by foretell and what foretell trains being read by Python.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
programs="$repository/registry/mlflow/tests/conformance"
for requirements in "$programs/requirements-3.10.txt" "$programs/requirements.txt"; do
  use_python "$requirements"
  # The whole workspace, so that features unify as in tier 1 and nothing is built again.
  (cd "$repository" && FORETELL_MLFLOW_PYTHON=$python cargo test --quiet --workspace --test conformance)
done
export MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=ERROR MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true
use_binary
use_project churn
use_server
check mlflow_server.py "$http"
check mlflow_register.py "$http"
run_foretell models show notebook@1
python3 - "$work/out" <<'END' || fail "foretell does not describe what Python registered: $(cat "$work/out")"
import json, sys
said = json.dumps(json.load(open(sys.argv[1])))
assert "mlflow-artifacts:/" in said or "runs:/" in said, said
END
run_foretell models promote notebook 1 --reason "the notebook won"
check mlflow_promoted.py "$http"
stop_server
run_foretell models verify
