FROM mcp-hosting/builder:0617741a3112 AS build
RUN cp -L /usr/local/bin/node /opt/node/node

FROM mcp-hosting/runtime-python:460951c85cc8
COPY --from=build /opt/node/node /usr/local/bin/node
