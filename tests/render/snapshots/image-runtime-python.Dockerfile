FROM mcp-hosting/builder:0617741a3112 AS build
COPY requirements.txt /build/
RUN uv venv /opt/runner \
 && uv pip install --python /opt/runner/bin/python --require-hashes -r /build/requirements.txt
COPY packages /build/packages
RUN cp -r /build/packages/. "$(/opt/runner/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && /opt/runner/bin/python -m compileall -q /opt/runner

FROM mcp-hosting/python:47e7316a34aa
COPY --from=build /opt/runner /opt/runner
COPY ready.sh /usr/local/bin/ready
RUN chmod 0755 /usr/local/bin/ready
USER 65534:65534
ENTRYPOINT ["/opt/runner/bin/python", "-I", "-m", "mcp_runner", "--config", "/etc/mcp/runner.json"]
