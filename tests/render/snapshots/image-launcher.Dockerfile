FROM mcp-hosting/python:47e7316a34aa
COPY packages /usr/lib/python3/dist-packages/
RUN python3 -m compileall -q /usr/lib/python3/dist-packages/mcp_launcher
RUN install -d -o 0 -g 10001 -m 0750 /run/launcher \
 && install -d -o 0 -g 0 -m 0700 /templates
ENTRYPOINT ["/usr/bin/python3", "-I", "-m", "mcp_launcher"]
