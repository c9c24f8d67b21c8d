#!/bin/sh
# What a GPU does: whether it is right, how fast it is, what it trains. Under nine minutes on one H100 or H200; nothing is
# downloaded. Each part is written to OUT as it ends, so that a run that is stopped keeps what it had.
#
#     benchmarks/gpu.sh OUT           on a GPU
#     benchmarks/gpu.sh --tiny OUT    on a processor, to see that it works
#     python benchmarks/gpu_page.py OUT docs/results/gpu.md
#
# A part that lacks a package is skipped, and says so. Beside torch and numpy the parts need
#
#     all         transformers 5.23 or later (with the tokenizers, huggingface-hub and safetensors that it asks for),
#                 typer and rich
#     right       pytest and hypothesis; torchao for its int8 test
#     compiled    triton, which comes with torch for CUDA, and a C compiler
#     trained     accelerate
#
# Their wheels, to be made where there is a network, for a machine of Python 3.12 that has torch:
#
#     pip download -d wheels --python-version 3.12 --platform manylinux_2_28_x86_64 --only-binary=:all: \
#         'transformers>=5.23,<6' 'typer>=0.29,<1' 'rich>=14,<16' 'pytest>=9,<10' 'hypothesis>=6.150,<7' psutil
#     pip download -d wheels --python-version 3.12 --platform manylinux_2_28_x86_64 --only-binary=:all: --no-deps \
#         'accelerate>=1.12,<2' 'torchao>=0.18,<1'
#
# and there: pip install --no-index --no-deps wheels/*.whl
set -eu
if [ "$1" = --tiny ]; then
    shift
    device=cpu scale=0.01 sizes="--prompt 8 --new 16 --block-length 8" short="" repeats=1 several=2 longest=0
    experts="--scale 0.02 --prompt 8 --new 16"
    only="golden or come_and_go"
    export DUS_GPU=cpu
else
    device=cuda scale=1 sizes="" short="--new 64" repeats=3 several=8,32 longest=240 only=""
    experts="--scale 1 --new 64"
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH PYTHONWARNINGS=ignore
python=${PYTHON:-python3}
: > "$out/parts.txt"
started=$(date +%s)

part() { # NAME SECONDS PACKAGES ARGUMENTS…: of Python, with the exit code and the seconds in parts.txt
    name=$1 limit=$2 packages=$3 began=$(date +%s)
    shift 3
    # shellcheck disable=SC2086
    missing=$("$python" -c 'import sys
from importlib.util import find_spec
print(*[name for name in sys.argv[1:] if find_spec(name) is None])' $packages)
    if [ -n "$missing" ]; then
        echo "skipped: there is no $missing" > "$out/$name.txt"
        echo "$name 77 0" >> "$out/parts.txt"
        return
    fi
    timeout -k 5 "$limit" "$python" "$@" > "$out/$name.txt" 2>&1 && code=0 || code=$?
    echo "$name $code $(($(date +%s) - began))" >> "$out/parts.txt"
}

bench() { # NAME SECONDS OPTIONS…: of dus bench
    name=$1 limit=$2
    shift 2
    # shellcheck disable=SC2086
    part "$name" "$limit" transformers -m dus bench --shape llada-8b --scale $scale --device $device --no-textbook \
        $sizes --out "$out/$name.json" "$@"
}

# Seconds on an H100, of which the limits leave room for half as much again: to begin and to make the model 20; then a
# generation under DUS, of 40 calls of 12 to 20 ms, 0.8, of which a way takes 4 and 2.7 a repeat; token by token, of 64
# calls, 1.2. So `one` is 20 + 4 x 12 x 0.8 = 58, `adaptive` 20 + 3 x 6.7 x 1.2 = 44, `each` 20 + 2 x 6.7 x 1.6 = 41,
# `many` 20 + 6.7 x (1 + 1.8) = 39; `experts` is half a minute to make 16 billion parameters, and seven generations. The
# limits come to 475; training has what is left of 525, at most four minutes.
part right 110 "transformers pytest hypothesis" -m pytest -m gpu tests/gpu/test_gpu.py -p no:cacheprovider -k "$only"
bench one 75 --planner dus --cache none,dual,block,touched --repeats $repeats
bench adaptive 55 --planner "eb(gamma=1)" --planner "cb(tau=0.9)" --planner "deb(gamma=0.5)" --cache block --repeats 1 $short
bench each 50 --planner dus --planner "confidence(per_step=1)" --cache none,block --repeats 1 $short
bench many 50 --planner dus --cache block --batch $several --repeats 1
# shellcheck disable=SC2086
part experts 45 transformers -m dus bench --shape llada2-mini --device $device --no-textbook --planner dus \
    --cache block --repeats 1 $experts --out "$out/experts.json"
part floor 35 transformers benchmarks/gpu_floor.py --device $device --scale $scale --out "$out/floor.json"
[ $device = cuda ] || exit 0 # what follows takes a processor too long
bench compiled 55 --planner dus --cache block --repeats 1 --compile
left=$((525 - ($(date +%s) - started)))
[ $left -lt $longest ] || left=$longest
part trained $left "transformers accelerate" benchmarks/gpu_train.py --seconds $((left - 25)) --out "$out/training"
