"""Re-signing: what was published under an older key gets the present key's signature, and nothing else changes."""
