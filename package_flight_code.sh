#!/usr/bin/env bash
# Build flight.zip from flight/ reproducibly; see ./package_flight_code.sh --help.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
python=$root/.venv/bin/python
[[ -x $python ]] || python=$(make --silent --directory "$root" --no-print-directory python)
exec "$python" "$root/scripts/package_flight_code.py" "$@"
