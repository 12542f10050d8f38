module mcp-hosting/engine/kubernetes/pause

go 1.26
