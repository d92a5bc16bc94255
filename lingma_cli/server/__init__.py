"""The HTTP shell: guarded protocol, doors, routes and the response that owns its exchange."""
