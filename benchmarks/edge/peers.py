"""Other proxies in front of the same server: one nginx only forwards; nginx, HAProxy and Go do the edge's checks.

nginx asks an authorizer in Python (`auth_request`) and keeps its answer for 30 s; it can't judge the body and so checks
no tool. HAProxy verifies signature, times, audience and tool for each call and logs; Go keeps verified tokens for their
lifetime, as the edge does. None re-serialises the body, binds sessions or writes a durable audit trail: they do less
than the edge.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.gateway.edge.edge_world import ISSUER, Signer

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that can be started: its command and the port it listens on."""

    name: str
    command: tuple[str, ...]
    port: int
    beside: tuple[str, ...] = ()
    """The command of a process that it asks,"""
    beside_port: int | None = None
    """and where that one listens."""


def nginx(folder: Path, port: int, upstream: int) -> Peer:
    return _nginx("nginx plain", folder, port, upstream, "access_log off;", "")


def nginx_checking(folder: Path, port: int, upstream: int, asked: int, signer: Signer) -> Peer:
    settings = {
        "port": asked,
        "publicKey": _public_key(signer).decode(),
        "issuer": ISSUER,
        "audience": f"{ISSUER}/mcp-connect/bench",
    }
    (folder / "authorizer.json").write_text(json.dumps(settings))
    outside = f"""
  proxy_cache_path {folder}/answers keys_zone=answers:1m;
  upstream authorizer {{ server 127.0.0.1:{asked}; keepalive 64; }}
  log_format audit '$time_iso8601 $user $request_method $request_uri $status $request_time';
  access_log {folder}/audit.log audit buffer=64k flush=1s;
"""
    inside = """
    location = /authorizer {
      internal; proxy_pass http://authorizer; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_cache answers; proxy_cache_key $http_authorization; proxy_cache_valid 204 30s;
    }
    auth_request /authorizer; auth_request_set $user $upstream_http_x_mcp_user;
    proxy_set_header Authorization ""; proxy_set_header X-Mcp-User $user;
"""
    peer = _nginx("nginx+checks", folder, port, upstream, outside, inside)
    command = (sys.executable, str(HERE / "authorizer.py"), str(folder / "authorizer.json"))
    return replace(peer, beside=command, beside_port=asked)


def _nginx(name: str, folder: Path, port: int, upstream: int, outside: str, inside: str) -> Peer:
    """One worker, as the other proxies are one thread or process."""
    prefix = folder / name.replace(" ", "-")
    prefix.mkdir()
    # A header that a location sets replaces those of the server, so Connection stands beside them.
    (prefix / "nginx.conf").write_text(f"""
daemon off; user root; worker_processes 1; pid {prefix}/nginx.pid; error_log {prefix}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  keepalive_requests 1000000000; client_body_temp_path {prefix}; proxy_temp_path {prefix};
  fastcgi_temp_path {prefix}; uwsgi_temp_path {prefix}; scgi_temp_path {prefix};
  {outside}
  upstream server {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port};
    {inside}
    proxy_set_header Connection "";
    location / {{ proxy_pass http://server; proxy_http_version 1.1; proxy_buffering off; }}
  }}
}}
""")
    return Peer(name, ("nginx", "-p", str(prefix), "-c", str(prefix / "nginx.conf")), port)


def haproxy(folder: Path, port: int, upstream: int, signer: Signer) -> Peer:
    (folder / "key.pem").write_bytes(_public_key(signer))
    audience = f"{ISSUER}/mcp-connect/bench"
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 4096
  log 127.0.0.1:514 local0
defaults
  mode http
  option http-buffer-request
  option http-no-delay
  http-reuse always
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  log global
  log-format "%ci %ST %Tr %[var(txn.sub)] %[var(txn.tool)]"
frontend in
  bind 127.0.0.1:{port}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request set-var(txn.method) req.body,json_query('$.method')
  http-request set-var(txn.tool) req.body,json_query('$.params.name')
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{folder}/key.pem") -m int 1 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {ISSUER} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 403 if {{ var(txn.method) -m str tools/call }} !{{ var(txn.tool) -m str echo }}
  http-request del-header authorization
  http-request set-header x-mcp-user %[var(txn.sub)]
  default_backend server
backend server
  server one 127.0.0.1:{upstream}
""")
    return Peer("haproxy+checks", ("haproxy", "-db", "-f", str(folder / "haproxy.cfg")), port)


def go_proxy(folder: Path, port: int, upstream: int, signer: Signer) -> Peer | None:
    """Built with the Go on this machine; None where there is none."""
    go = shutil.which("go")
    if go is None:
        return None
    binary = folder / "goproxy"
    subprocess.run([go, "build", "-o", str(binary), "."], cwd=HERE / "goproxy", check=True)
    settings = {
        "listen": f"127.0.0.1:{port}",
        "upstream": f"http://127.0.0.1:{upstream}",
        "issuer": ISSUER,
        "audience": f"{ISSUER}/mcp-connect/bench",
        "x": signer.jwk()["x"],
        "y": signer.jwk()["y"],
        "tools": ["echo"],
        "audit": str(folder / "go-audit.jsonl"),
    }
    (folder / "goproxy.json").write_text(json.dumps(settings))
    return Peer("go+checks", (str(binary), str(folder / "goproxy.json")), port)


def _public_key(signer: Signer) -> bytes:
    return signer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@contextlib.contextmanager
def running(peer: Peer) -> Iterator[list[int]]:
    """The process ids of the peer, and of what it asks, while they run."""
    commands = [command for command in (peer.beside, peer.command) if command]
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands
    ]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.terminate()
            process.wait()
