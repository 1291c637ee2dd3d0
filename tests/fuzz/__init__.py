"""Bad input: whatever a client sends, it gets an answer in time, and nothing but a request changes anything."""
