#!/bin/sh
# Takes the lock "db-migrate", does a short piece of work and gives it back.

# Not under the lock yet? Then once more, under it.
[ "${LOCKER_NAME-}" = db-migrate ] ||
    exec locker run db-migrate --wait 30 --value example.sh --reason "migrating the schema" -- "$0" "$@"

echo "token $LOCKER_TOKEN" # rises with each holder: let the database refuse lower ones
sleep 0.5                  # the work; stopped by SIGTERM as soon as the lock may be lost
