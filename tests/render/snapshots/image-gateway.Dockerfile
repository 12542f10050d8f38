FROM mcp-hosting/builder:0617741a3112 AS build
COPY requirements.txt /build/
RUN uv venv /opt/gateway \
 && uv pip install --python /opt/gateway/bin/python --require-hashes -r /build/requirements.txt
COPY packages /build/packages
RUN cp -r /build/packages/. "$(/opt/gateway/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && /opt/gateway/bin/python -m compileall -q /opt/gateway

FROM mcp-hosting/python:47e7316a34aa
COPY --from=build /opt/gateway /opt/gateway
COPY ready.sh /usr/local/bin/ready
RUN chmod 0755 /usr/local/bin/ready
RUN install -d -o 10001 -g 10001 -m 0700 /state /keys /run/gateway /delivery /audit \
 && install -d -o 0 -g 10001 -m 0750 /run/launcher
USER 10001:10001
ENTRYPOINT ["/opt/gateway/bin/python", "-I", "-m", "mcp_gateway"]
