#!/bin/sh
# Starts or continues the ground truth of SmolLM2-135M on this machine: 84 sources, 51 targets, seed 0 and then 1.
#
#     sh examples/matrix/truth.sh           # measure until all is done, MINUTES are over, or you press Ctrl-C
#     sh examples/matrix/truth.sh pack      # only pack and ingest what is there, also while another shell measures
#
# Every group of four adapters is trained and scored before the next one, in bfloat16 where this CPU is fast in it and
# in float32 elsewhere; cells of both count. It ends by packing all cells into examples/matrix/smollm2_84.parquet, from
# which any other machine continues, and by ingesting them. Commit that file before you leave.
set -eu

BIN=${BIN:-.venv/bin} PACK=${PACK:-build/smollm2_84} DATA=${DATA:-../shared/datasets} SEEDS=${SEEDS:-0,1}
MEASURED=${MEASURED:-../shared/matrix/smollm2_84/shards} CELLS=${CELLS:-examples/matrix/smollm2_84.parquet}
PROCESSES=${PROCESSES:-2} MINUTES=${MINUTES:-} BASE=${BASE:-smollm2} NAME=${NAME:-smollm2_84}
ALL=mpqa,strategyqa,clickbait,cola,fever,sms_spam,trec,hate_davidson,tweet_emotion,tweet_sentiment,commonsenseqa
ALL=$ALL,sst2,sick,wic,winogrande,cr,liar,tweet_hate,tweet_offensive,copa,mr,sts,openbookqa,qqp,snli
ALL=$ALL,tweet_stance,financial_phrasebank,sst5,mathqa,socialiqa,subj,coin_flip,dailydialog_act,mnli,quartz
ALL=$ALL,scitail,arc_easy,acl_arc,fomc,chemprot,scicite,ag_news,mrpc,reuters_r8,qnli,piqa,vitaminc
ALL=$ALL,arc_challenge,mawps,nl2bash,disfl_qa
TARGETS=${TARGETS:-$ALL}
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

plan() {
    "$BIN/traitcast" matrix plan --pack "$PACK" --base "$BASE" --dtype any --seeds "$1" --train-rows 512 --epochs 1 \
        --test-rows 48 --max-new-tokens 48 --learning-rate 5e-4 --max-prompt-tokens 320 --slots 4 \
        --block-tokens 60000 --targets "$TARGETS" "$DATA"/*/ >"$PACK.plan.log" 2>&1 || { cat "$PACK.plan.log" >&2; exit 1; }
}

pack() {
    "$BIN/traitcast" matrix export --pack "$PACK" --as shard --no-text -o "$CELLS"
    "$BIN/traitcast" matrix ingest --pack "$PACK" --name "$NAME"
    "$BIN/traitcast" matrix status --pack "$PACK"
}

if [ "${1:-}" = pack ]; then
    pack
    exit
fi
if [ -f "$PACK/truth.pid" ] && kill -0 "$(cat "$PACK/truth.pid")" 2>/dev/null; then
    echo "process $(cat "$PACK/truth.pid") measures into $PACK already; to pack what is there: make truth-pack" >&2
    exit 2
fi

mkdir -p "$(dirname "$PACK")"
# Seed 0 by itself first: groups are in the order of planning, and every source comes before any second seed.
[ -f "$PACK/recipe.json" ] || plan 0
[ "$SEEDS" = 0 ] || plan "$SEEDS"
echo $$ >"$PACK/truth.pid"
set --
for place in "$CELLS" "$MEASURED"; do
    [ ! -e "$place" ] || set -- "$@" --from "$place"
done

# Background jobs of a script ignore Ctrl-C; they are ended by name, which costs at most the step in hand.
running=
trap 'trap "" INT TERM; echo "stopping" >&2; kill $running 2>/dev/null' INT TERM
for i in $(seq "$PROCESSES"); do
    nice -n 15 "$BIN/traitcast" matrix run --pack "$PACK" --device cpu --part "$i/$PROCESSES" "$@" \
        ${MINUTES:+--minutes "$MINUTES"} >"$PACK/run$i.log" 2>&1 &
    running="$running $!"
done
echo "measuring with $PROCESSES processes at low priority; progress: tail -f $PACK/run*.log" >&2
failed=0
for process in $running; do
    wait "$process" || failed=$?
done
# A wait that a signal cut short comes back before its process has ended.
wait
rm -f "$PACK/truth.pid"
pack
# 128 and more: ended by Ctrl-C.
if [ "$failed" -gt 0 ] && [ "$failed" -lt 128 ]; then
    tail -n 3 "$PACK"/run*.log >&2
    exit "$failed"
fi
