#!/bin/sh
# Run once by the image of PostgreSQL, on an empty volume: a database for each service that uses it, and one that is the
# payment provider's side of the world, each with an owner who gets into no other.
set -eu

for name in user payment provider; do
    psql -v ON_ERROR_STOP=1 -U postgres -v name="$name" -v password="$(cat "/run/secrets/$name")" <<'END'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
END
done
