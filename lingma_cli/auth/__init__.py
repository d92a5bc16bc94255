"""Who may call: API keys and tokens, their tiers, and where generated ones are kept."""
