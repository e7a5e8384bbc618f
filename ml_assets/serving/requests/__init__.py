"""What a client may send, strictly: fields and their types, parsing, refusals."""
