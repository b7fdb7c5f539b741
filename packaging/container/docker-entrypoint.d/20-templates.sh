#!/bin/sh
# /etc/nginx/templates/DIR/NAME.template becomes /etc/nginx/conf.d/DIR/NAME, with ${VARIABLES} of the environment in it. Only those
# that are defined are replaced (and match NGINX_ENVSUBST_FILTER), so that $host and its like stay.
set -e
from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
[ -d "$from" ] || exit 0
if [ ! -w "$to" ]; then
  echo "$0: $to is not writable, templates are left alone" >&2
  exit 0
fi
defined=$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' | grep -E "${NGINX_ENVSUBST_FILTER:-}" | sed 's/.*/${&}/' | tr '\n' ' ')
find "$from" -type f -name "*$suffix" | while read -r template; do
  name=${template#"$from"/}
  out=$to/${name%"$suffix"}
  mkdir -p "$(dirname "$out")"
  envsubst "$defined" < "$template" > "$out"
done
