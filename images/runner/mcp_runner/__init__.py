"""The process that hosts a stdio MCP server behind streamable HTTP.

Rooms: `config`, `log`; `messages` and `eras` (pure: JSON-RPC lines and the two eras of the protocol); `child` (the
process), `reply` (the answer to one POST), `link` (many parties, one child), `pool` (which child serves whom),
`endpoint` (HTTP). It imports no MCP SDK.
"""
