"""The engines as a pool: their states, their leases, and the tasks that keep them alive."""
