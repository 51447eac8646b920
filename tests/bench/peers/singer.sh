#!/bin/sh
# singer.sh TAP TARGET FOLDER: one run of tap-mysql into JSON lines; state is carried on.
set -eu
tap=$1 target=$2 folder=$3
cd "$folder"
mkdir -p out
if [ ! -f catalog.json ]; then
    "$tap" --config config.json --discover > discovered.json
    python3 - <<'P'
import json

found = json.load(open("discovered.json"))
keep = [s for s in found["streams"] if s["table_name"] == "appointment"]
for stream in keep:
    for part in stream["metadata"]:
        if not part["breadcrumb"]:
            part["metadata"].update(
                {"selected": True, "replication-method": "INCREMENTAL",
                 "replication-key": "DateTStamp"}
            )
json.dump({"streams": keep}, open("catalog.json", "w"))
P
fi
state=""
[ ! -s state.json ] || state="--state state.json"
"$tap" --config config.json --catalog catalog.json $state > messages.jsonl
"$target" --config target.json < messages.jsonl > states.jsonl
tail -n 1 states.jsonl > state.json
