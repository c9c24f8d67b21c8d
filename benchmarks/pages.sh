#!/bin/sh
# Every page of docs/results on what a generation costs, on a machine that does nothing else.
set -eu
cd "$(dirname "$0")/.."
pages=docs/results
shape="--shape llada-8b --scale 0.17"

dus bench --repeats 5 --page $pages/speed-bundled.md
dus bench --batch 64 --prompt 64 --new 64 --repeats 5 --page $pages/batch-bundled.md
dus bench $shape --repeats 5 --page $pages/speed.md
dus bench $shape --dtype float32 --repeats 3 --page $pages/speed-float32.md
dus bench $shape --planner 'eb(gamma=1) | spaced(gap=8)' --no-textbook --cache none,dual,touched --repeats 3 \
    --page $pages/speed-eb.md
dus bench $shape --batch 1,8,32 --prompt 128 --new 128 --no-textbook --repeats 3 --page $pages/batches.md
dus bench $shape --quantize int8 --compile --cache none --cache touched --no-textbook --repeats 3 \
    --page $pages/compiled.md
dus bench $shape --split --cache touched --repeats 3 --page $pages/seconds.md
dus bench $shape --growth new --growth prompt --growth block --repeats 3 --page $pages/growth.md
dus bench $shape --growth batch --prompt 128 --new 128 --repeats 3 --page $pages/growth-rows.md
dus bench --shape llada-8b --scale 0.05 --threads 1 --requests 64 --repeats 3 --page $pages/requests.md
python benchmarks/load.py --page $pages/load.md
dus bench --shape llada2-mini --scale 0.5 --threads 1 --prompt 64 --new 64 --cache block --repeats 3 \
    --page $pages/experts.md
dus bench --shape llada2-mini --scale 0.1 --threads 1 --growth new --new 256,1024 --prompt 64 --cache block \
    --repeats 3 --page $pages/growth-blocks.md
