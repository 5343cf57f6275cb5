#!/bin/sh
# The parts of the published image's entry script that docker/compose.yaml uses, as its documentation tells them:
# POSTGRES_PASSWORD_FILE, POSTGRES_INITDB_ARGS, PGDATA, /docker-entrypoint-initdb.d, any user id.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    if ! whoami >/dev/null 2>&1; then
        printf 'postgres:x:%s:%s:PostgreSQL:/tmp:/bin/false\n' "$(id -u)" "$(id -g)" >/tmp/passwd
        export NSS_WRAPPER_PASSWD=/tmp/passwd NSS_WRAPPER_GROUP=/etc/group LD_PRELOAD=libnss_wrapper.so
    fi
    # shellcheck disable=SC2086 # the arguments are several words
    initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-}
    unset LD_PRELOAD
    pg_ctl --wait --options="-c listen_addresses=''" start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        sh "$script"
    done
    pg_ctl --wait --mode=fast stop
fi
exec "$@" -c "listen_addresses=*"
