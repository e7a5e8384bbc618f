-- One database for each: they are backed up, and upgraded, each in its own time.
CREATE DATABASE ledger;
CREATE DATABASE dagster;
CREATE DATABASE mlflow;
