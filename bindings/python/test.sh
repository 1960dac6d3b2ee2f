#!/bin/sh
# Builds the binding into target/venv and runs all its tests there, against the etcd at $LOCKER_ENDPOINTS:
#
#     locker dev -- bindings/python/test.sh [ARGUMENTS OF PYTEST]
set -eu
: "${LOCKER_ENDPOINTS:?is not set; run this as: locker dev -- bindings/python/test.sh}"
cd "$(dirname "$0")"
../../scripts/venv
export PYTHONDONTWRITEBYTECODE=1
exec ../../target/venv/bin/python -m pytest -p no:cacheprovider "$@"
