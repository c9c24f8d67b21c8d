#!/bin/sh
# What a GPU does: whether it is right, how fast it is, what it trains. Under nine minutes on one H100 or H200; nothing is
# downloaded, and of what is not on a bare machine only transformers is needed beside torch, numpy, typer and rich.
# Each part is written to OUT as it ends, so that a run that is stopped keeps what it had.
#
#     benchmarks/gpu.sh OUT           on a GPU
#     benchmarks/gpu.sh --tiny OUT    on a processor, to see that it works
#     python benchmarks/gpu_page.py OUT docs/results/gpu.md
set -eu
if [ "$1" = --tiny ]; then
    shift
    device=cpu scale=0.01 sizes="--prompt 8 --new 16 --block-length 8 --repeats 1" several=2
    only="golden or come_and_go"
    export DUS_GPU=cpu
else
    device=cuda scale=1 sizes="--repeats 3" several=8,32 seconds=200
    only="test"
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH PYTHONWARNINGS=ignore
python=${PYTHON:-python3}
: > "$out/parts.txt"

part() { # NAME SECONDS ARGUMENTS…: of Python, with the exit code and the seconds in parts.txt
    name=$1 limit=$2 began=$(date +%s)
    shift 2
    timeout "$limit" "$python" "$@" > "$out/$name.txt" 2>&1 && code=0 || code=$?
    echo "$name $code $(($(date +%s) - began))" >> "$out/parts.txt"
}

bench() { # NAME SECONDS OPTIONS…: of dus bench
    name=$1 limit=$2
    shift 2
    # shellcheck disable=SC2086
    part "$name" "$limit" -m dus bench --shape llada-8b --scale $scale --device $device --no-textbook $sizes \
        --out "$out/$name.json" "$@"
}

part right 150 -m pytest -m gpu tests/gpu -p no:cacheprovider -k "$only"
bench one 90 --planner dus --cache none,dual,block,touched
bench adaptive 60 --planner "eb(gamma=1)" --planner "cb(tau=0.9)" --planner "deb(gamma=0.5)" --cache block
bench each 60 --planner "confidence(per_step=1)" --cache none,block
bench many 60 --planner dus --cache none,block --batch $several
part floor 60 benchmarks/gpu_floor.py --device $device --scale $scale --out "$out/floor.json"
[ $device = cuda ] || exit 0 # what follows takes a processor too long
bench compiled 60 --planner dus --cache none,block --compile
part trained $((seconds + 20)) benchmarks/gpu_train.py --seconds $seconds --out "$out/training"
