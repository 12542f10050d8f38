FROM mcp-hosting/python:47e7316a34aa
COPY packages /usr/lib/python3/dist-packages/
RUN python3 -m compileall -q /usr/lib/python3/dist-packages/mcp_launcher
ENTRYPOINT ["/usr/bin/python3", "-I", "-m", "mcp_launcher"]
