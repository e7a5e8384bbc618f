"""The release bundle, whether it may serve, and which release served when: pure decisions from recorded entries."""
