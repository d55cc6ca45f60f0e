#!/bin/sh
# Start main.py beside this script with these arguments. If Python or main.py of an installed version is damaged, start
# the previous version. main.py verifies all other files. Stops are kept until main.py can note them. The installer's
# copy in pygnc_versions starts the version in use, and so needs no file of this version to be intact.
check='
import sys, zlib
main, listing = (open(f"{sys.argv[1]}/{name}", "rb").read() for name in ("main.py", "complete"))
sys.exit(b"\n%d %08x main.py\n" % (len(main), zlib.crc32(main)) not in listing)'
here=.
case $0 in */*) here=${0%/*} ;; esac
case $here in pygnc_versions | */pygnc_versions) here=${here%pygnc_versions}pygnc ;; esac
previous=$HOME/pygnc_versions/previous
trap 'export PYGNC_STOP=1' INT TERM HUP

is_usable() {
    [ -e "$1/complete" ] || return 0 # unpacked by hand
    env --block-signal=INT,TERM,HUP "$1/.venv/bin/python" -ISc "$check" "$1" 2>/dev/null
}

if ! is_usable "$here"; then
    export PYGNC_VERSION_FAULT="$here: .venv/bin/python or main.py is damaged; it still runs"
    if [ -e "$previous/main.py" ] && is_usable "$previous"; then
        PYGNC_VERSION_FAULT="$here: .venv/bin/python or main.py is damaged; $previous runs"
        here=$previous
    fi
    echo "pygnc: $PYGNC_VERSION_FAULT" >&2
fi
exec env --block-signal=INT,TERM,HUP "$here/.venv/bin/python" "$here/main.py" "$@"
