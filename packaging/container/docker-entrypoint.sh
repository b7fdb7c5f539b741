#!/bin/sh
# Before a server starts, what lies in /docker-entrypoint.d is run in the order of its names: NAME.envsh becomes part of this
# shell, so that it can export variables; NAME.sh is executed. Then the command takes this process's place, as process 1.
set -e

say() { [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "$0: $*"; }

case "${1:-}" in
  nginx | nginx-debug | weir | */nginx | */weir)
    for script in /docker-entrypoint.d/*; do
      [ -f "$script" ] || continue
      if [ ! -x "$script" ]; then
        say "$script is not executable, it is left out"
        continue
      fi
      case "$script" in
        *.envsh) say "$script" && . "$script" ;;
        *.sh) say "$script" && "$script" ;;
        *) say "$script is neither .sh nor .envsh, it is left out" ;;
      esac
    done
    ;;
esac
exec "$@"
