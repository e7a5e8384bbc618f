"""What a delivery must look like, and what to do with one: read, cast, split into valid and refused rows."""
