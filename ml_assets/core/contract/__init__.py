"""The contract of a delivery, and how a delivery is handled: read, cast, split into valid and refused rows."""
