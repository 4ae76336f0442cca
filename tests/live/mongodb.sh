#!/usr/bin/env bash
# mongodb.sh   Installs what can be had of MongoDB's servers and drivers into CACHE, then runs mongodb.py on them. What is
# missing is left to mongodb.py to list: it fails if not one server and two clients ran.
set -uo pipefail
cd "$(dirname "$0")"
: "${PROTAP:?the program}" "${PLUGINS:?the folder of plugins}" "${CACHE:?a folder to keep}" "${VENV:?Python}" "${WORK:?a fresh folder}"
cache=$CACHE/mongodb
mkdir -p "$cache"

# SecantusDB and PyMongo.
"$VENV/bin/python" -c 'import pymongo, secantus' 2>/dev/null || "$VENV/bin/pip" install -q pymongo==4.20.0 secantusdb || true

# The Node driver, with snappy.
if command -v npm >/dev/null && [ ! -d "$cache/node_modules/mongodb" ]; then
    npm install --silent --no-fund --no-audit --prefix "$cache" mongodb@6 snappy@7 || true
fi

# FerretDB with SQLite: built from the module proxy, as it has no binary there. It wants to be told its version.
version=v1.24.2
if command -v go >/dev/null && [ ! -x "$cache/ferretdb" ]; then
    (
        set -e
        rm -rf "$cache/build"
        mkdir -p "$cache/build/tools"
        cd "$cache/build/tools"
        printf 'module tools\n\ngo 1.23\n\nrequire github.com/FerretDB/FerretDB %s\n' $version >go.mod
        printf '//go:build tools\n\npackage tools\n\nimport _ "github.com/FerretDB/FerretDB/cmd/ferretdb"\n' >tools.go
        source=$(go list -mod=mod -m -f '{{.Dir}}' github.com/FerretDB/FerretDB)
        [ -n "$source" ] || source=$(go mod download -json github.com/FerretDB/FerretDB@$version | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
        cp -r "$source" ../source
        chmod -R u+w ../source
        printf %s $version >../source/build/version/version.txt
        printf '\nreplace github.com/FerretDB/FerretDB => ../source\n' >>go.mod
        nice go build -mod=mod -o "$cache/ferretdb" github.com/FerretDB/FerretDB/cmd/ferretdb
    ) >"$WORK/ferretdb-build.log" 2>&1 || tail -n 2 "$WORK/ferretdb-build.log"
fi

CACHE=$cache exec "$VENV/bin/python" mongodb.py
