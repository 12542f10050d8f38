"""FastMCP as a gateway: verifies the bearer token, forwards to one upstream. Runs in the environment of `peers/`."""

import json
import sys
from pathlib import Path

from fastmcp.server import create_proxy  # type: ignore[import-not-found]
from fastmcp.server.auth.providers.jwt import JWTVerifier  # type: ignore[import-not-found]

if __name__ == "__main__":
    settings = json.loads(Path(sys.argv[1]).read_text())
    verifier = JWTVerifier(
        public_key=settings["publicKey"],
        issuer=settings["issuer"],
        audience=settings["audience"],
        algorithm="ES256",
        required_scopes=["mcp"],
    )
    proxy = create_proxy(settings["upstream"], auth=verifier)
    proxy.run("http", show_banner=False, port=settings["port"], path="/mcp", log_level="ERROR")
