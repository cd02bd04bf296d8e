#!/usr/bin/env bash
# gRPC's standard health and reflection services, as grpcurl, load balancers and orchestrators use them.
set -euo pipefail
source "$(dirname "$0")/support/lib.sh"
use_python "$conformance/requirements/grpc.txt"
use_binary
use_project churn
use_server
check grpc_tools.py "$http" "$grpc"
