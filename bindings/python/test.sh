#!/bin/sh
# Builds the binding into target/venv and runs all its tests there, against the etcd at $LOCKER_ENDPOINTS:
#
#     locker dev -- bindings/python/test.sh [ARGUMENTS OF PYTEST]
set -eu
: "${LOCKER_ENDPOINTS:?is not set; run this as: locker dev -- bindings/python/test.sh}"
cd "$(dirname "$0")"
target=$(cd ../.. && pwd)/target
export VIRTUAL_ENV="$target/venv" PYTHONDONTWRITEBYTECODE=1
unset CONDA_PREFIX

mkdir -p "$target"
(
    flock 9 # Another run in this tree may be building, too.
    [ -x "$VIRTUAL_ENV/bin/pip" ] || "${PYTHON:-python3}" -m venv "$VIRTUAL_ENV"
    "$VIRTUAL_ENV/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
    "$VIRTUAL_ENV/bin/maturin" develop --quiet
) 9>"$target/venv.lock"

exec "$VIRTUAL_ENV/bin/python" -m pytest -p no:cacheprovider "$@"
