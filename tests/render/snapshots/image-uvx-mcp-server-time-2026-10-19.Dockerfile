FROM mcp-hosting/builder:0617741a3112 AS build
USER build
RUN uv venv /app
RUN ["uv", "pip", "install", "--python", "/app/bin/python", "--", "mcp-server-time==2026.10.19"]
RUN uv pip freeze --python /app/bin/python > /app/requirements.lock
RUN ["python3", "/opt/tools/link-server.py", "mcp-server-time"]

FROM mcp-hosting/runtime-python:460951c85cc8
COPY --from=build /app /app
