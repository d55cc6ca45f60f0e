#!/usr/bin/env bash
# Pack flight/ into flight.zip, the same bytes every time; ./package_flight_code.sh --help shows the rest.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
python=$root/.venv/bin/python
[[ -x $python ]] || python=$(make --silent --directory "$root" --no-print-directory python)
exec "$python" "$root/scripts/package_flight_code.py" "$@"
