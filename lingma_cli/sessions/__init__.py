"""What outlives a request: stored responses and conversations, behind one interface."""
