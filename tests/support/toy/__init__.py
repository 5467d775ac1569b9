"""A small application on the real transports, for their tests."""
