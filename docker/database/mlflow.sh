#!/bin/sh
# Runs once, in a new cluster: a role that owns two databases and may do nothing else, and a pg_hba.conf that lets
# only that role in over the network. The superuser can log in from inside the container alone.
set -eu

# psql itself reads the password: among its arguments every process of the container would see it.
psql --username postgres --set ON_ERROR_STOP=1 <<'SQL'
\set password `cat /run/secrets/database_password`
CREATE ROLE mlflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
REVOKE ALL ON DATABASE mlflow, mlflow_auth, postgres, template1 FROM PUBLIC;
SQL

cat >"$PGDATA/pg_hba.conf" <<'HBA'
local all all trust
host mlflow,mlflow_auth mlflow 127.0.0.1/32 scram-sha-256
host mlflow,mlflow_auth mlflow samenet scram-sha-256
HBA
