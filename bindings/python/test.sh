#!/bin/sh
# Builds the binding into target/venv and runs all its tests there: bindings/python/test.sh [ARGUMENTS OF PYTEST]
#
# Against the etcd at $LOCKER_ENDPOINTS, which is used and left as it is; without that they start one of their own.
set -eu
cd "$(dirname "$0")"
../../scripts/venv
export PYTHONDONTWRITEBYTECODE=1
exec ../../target/venv/bin/python -m pytest -p no:cacheprovider "$@"
