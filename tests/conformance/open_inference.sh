#!/usr/bin/env bash
# Triton's and KServe's own clients against a served project. One process each: their gRPC stubs clash in one.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
use_python "$conformance/requirements/kserve.txt"
kserve=$python
use_python "$conformance/requirements/triton.txt"
triton=$python
use_binary
use_project churn spend demand
use_server
python=$triton check triton_http.py "$http"
python=$triton check triton_grpc.py "$http" "$grpc"
python=$kserve check kserve_client.py "$http" "$grpc"
