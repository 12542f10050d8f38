"""HTTP/1.1, server-sent events and strict JSON-RPC, shared by the gateway's edge and the runner.

Rooms: `request` (what a client sent), `response` (how an answer is spelt), `http_server` (connections and exchanges),
`sse`. This package never decides who may do what; it refuses what two readers could understand differently.
"""
