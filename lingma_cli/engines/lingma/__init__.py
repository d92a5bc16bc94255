"""The Lingma binary as an engine: JSON-RPC in Content-Length frames over a local WebSocket."""
