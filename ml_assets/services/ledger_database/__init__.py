"""The ledger's database: moving it to another one, and the rights of those who only read it."""
