"""Takes the lock "db-migrate", does a short piece of work and gives it back."""

import sys
import time

import locker

# Without an argument: $LOCKER_ENDPOINTS, else http://127.0.0.1:2379.
with locker.connect() as client:
    try:
        guard = client.lock(
            "db-migrate",
            value="example.py",  # who we are, for those who ask
            reason="migrating the schema",  # and why they have to wait
            timeout=30,  # seconds
        )
    except locker.TimeoutError as error:
        sys.exit(f"busy: {error}")

    with guard:  # unlocks at the end; raises LostError if the lock was lost meanwhile
        print(f"token {guard.token}")  # rises with each holder: let the database refuse lower ones
        for _ in range(5):
            time.sleep(0.1)  # a step of the work
            guard.check()  # raises LostError as soon as the lock is lost
