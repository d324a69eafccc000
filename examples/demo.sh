#!/bin/sh
# From a file to a ranking, on the example of this project. Run by `make demo`; needs no network and no GPU.
set -eu
cd "$(dirname "$0")/.."
TRAITCAST_WAREHOUSE="${TMPDIR:-/tmp}/traitcast-demo-$$.duckdb"
export TRAITCAST_WAREHOUSE
trap 'rm -f "$TRAITCAST_WAREHOUSE" "$TRAITCAST_WAREHOUSE.wal"' EXIT

show() {
    printf '\n$ traitcast'
    for word in "$@"; do case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac; done
    printf '\n'
    traitcast "$@"
}

show profile examples/support_tickets
show show support_tickets --family class_balance
show rank support_tickets --top 10
ranking=$(traitcast rank support_tickets --format json 2>/dev/null)
best=$(printf '%s' "$ranking" | python -c 'import json, sys; print(json.load(sys.stdin)[0]["source"])')
show explain "$best" support_tickets
show sql "SELECT name, label_class_count, round(label_majority_share, 2) AS majority, round(prompt_tokens_mean, 1) AS prompt_tokens FROM profiles WHERE label_class_count BETWEEN 4 AND 8 ORDER BY abs(prompt_tokens_mean - (SELECT prompt_tokens_mean FROM profiles WHERE name = 'support_tickets')) LIMIT 6"
printf '\nThe warehouse of this demo is deleted. Next: . .venv/bin/activate, then traitcast profile my.jsonl\n' >&2
