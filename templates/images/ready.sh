#!/bin/bash
# Health check of the runner. Docker Engine before 25 knows one interval only: so that a server is known to be ready
# within a second and fifty servers cost next to nothing afterwards, the check itself waits once it has succeeded.
seen=/tmp/.ready
if [ -e "$seen" ]; then sleep 30; fi
exec 3<>/dev/tcp/127.0.0.1/8080 || exit 1
printf 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ] && : >"$seen"
