FROM mcp-hosting/builder:0617741a3112 AS build
USER build
WORKDIR /app
RUN ["npm", "install", "--omit=dev", "--save-exact", "--", "notes@1.0.0"]
RUN node /opt/tools/link-server.mjs && rm -rf /app/node_modules/.cache

FROM mcp-hosting/runtime-node:8f1fd2de8702
COPY --from=build /app /app
