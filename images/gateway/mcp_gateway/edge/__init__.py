"""The data plane: every MCP call is checked here and carried to its server (docs/contracts.md, sections 2 to 5).

Rooms: `settings` and `main` (the process), `feed` and `document` (what the control side says), `door` (path, host and
origin), `tokens`, `rates`, `messages`, `sessions`, `headers` (what is judged), `call` and `relay` (what is carried),
`listing` (tools that are not shown), `answers` (refusals), `upstreams` (connections), `audit` (what happened).
Nothing here reads a database or decides who may do what: the edge document says so.
"""
