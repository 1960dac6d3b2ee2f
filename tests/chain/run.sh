#!/bin/sh
# Four languages and one lock: see test_chain.py. Needs $LOCKER_ENDPOINTS and all that `make build` builds.
set -eu
: "${LOCKER_ENDPOINTS:?is not set; run this as: locker dev -- tests/chain/run.sh}"
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1
exec ../../target/venv/bin/python -m pytest -p no:cacheprovider -rP
