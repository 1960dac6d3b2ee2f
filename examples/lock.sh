#!/bin/sh
# Takes the lock "db-migrate", does a short piece of work and gives it back.

exec locker run db-migrate --wait 30 --value example.sh --reason "migrating the schema" -- sh -c '
    echo "token $LOCKER_TOKEN"  # rises with each holder: let the database refuse lower ones
    sleep 0.5                   # the work; it gets SIGTERM as soon as the lock may be lost
'
