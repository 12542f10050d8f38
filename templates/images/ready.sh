#!/bin/bash
# Health check: `ready ADDRESS PORT`, healthy when /healthz there answers 200. Docker Engine before 25 knows one interval
# only. So that a server is known to be ready within a second and fifty servers cost next to nothing afterwards, the check
# itself waits once it has succeeded.
seen=/tmp/.ready
if [ -e "$seen" ]; then sleep 30; fi
exec 3<>"/dev/tcp/$1/$2" || exit 1
printf 'GET /healthz HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ] && : >"$seen"
