#!/bin/sh
# Prints who holds a lock, now and each time it changes hands: watch.sh NAME

[ $# -eq 1 ] || { echo "usage: watch.sh NAME" >&2; exit 2; }
exec locker watch "$1"
