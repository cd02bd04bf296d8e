#!/usr/bin/env bash
# The registry's folder under 16 processes for a minute, and under 200 kills: every version and move counted afterwards.
#
#   benches/long/registry.sh [FOLDER]
#
# FOLDER (default the temporary one) lies on the disk that is to be tried; its fsync is part of every commit. SECONDS_LONG and
# KILLS set the sizes. The figures are printed; a promise that does not hold is a failed test.
set -euo pipefail
cd "$(dirname "$0")/../.."
export FORETELL_TEST_FOLDER=${1:-${TMPDIR:-/tmp}} FORETELL_SECONDS=${SECONDS_LONG:-60} FORETELL_KILLS=${KILLS:-200}
df -T "$FORETELL_TEST_FOLDER" | tail -1
cargo test --quiet -p foretell-registry --test processes -- --nocapture --test-threads=1 | grep -E 'processes|test result'
