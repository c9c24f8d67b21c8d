PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-sglang fuzz docs lint report pages bench

demo: .venv/installed
	$(BIN)/dus demo

test: .venv/installed lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

test-sglang: .venv-sglang/installed  # in an environment of its own, since SGLang needs other versions; 6 GB
	OMP_NUM_THREADS=1 .venv-sglang/bin/pytest tests/integrations/test_sglang.py

fuzz: .venv/installed  # 8,000 inputs a test, above 100,000 in all
	DUS_FUZZ=8000 $(BIN)/pytest -n auto tests/cli/test_fuzz.py tests/cli/test_fuzz_generate.py

docs: .venv/installed  # into the folder site, which can be read from the disk: open site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

PRESET := $(if $(QUICK),report-quick,report)

report: .venv/installed  # a night; QUICK=1: under ten minutes; a stopped run goes on where it was
	$(BIN)/dus eval --preset $(PRESET) --engine ray --out results/$(PRESET)
	$(BIN)/dus report results/$(PRESET) --title 'Arithmetic of level 2' --paper --out $(if $(QUICK),results/report-quick.md,docs/results/planners.md)
ifndef QUICK
	$(ON_FIELD) --task arithmetic,code --level 1,2,3
	$(ON_FIELD) --task instructions --level 1
	$(BIN)/dus report results/field --field --out docs/results/field.md
	$(ON_LEADERS) --task arithmetic,code --level 1,2,3
	$(ON_LEADERS) --task instructions --level 1
	$(BIN)/dus report results/leaders --field --title 'The leading planners' --out docs/results/leaders.md
endif

EVAL := $(BIN)/dus eval
ON_FIELD := $(EVAL) --preset field --cache block --engine ray --confirm-run-unsafe-code --out results/field
ON_LEADERS := $(EVAL) --preset leaders --cache block --engine ray --confirm-run-unsafe-code --out results/leaders
ON_TASKS := $(EVAL) --out results/tasks --limit 200 --engine ray --confirm-run-unsafe-code
SOME := --block-length 8,16,32,64 --planner dus --planner 'confidence(like=dus)' \
	--planner 'confidence(like=dus(groups=residues))' --planner 'eb(gamma=1)' --planner 'eb(gamma=1) | spaced(gap=8)' \
	--planner 'cb(tau=0.9)' --planner 'cb(tau=0.9) | spaced(gap=8)'
ONE := --block-length 32 --planner 'confidence(per_step=1)'
ON_CACHES := $(EVAL) --out results/caches --block-length 8,32 --limit 200 --cache none,prefix,dual,block,touched \
	--planner dus --planner 'cb(tau=0.9)' --confirm-run-unsafe-code
TITLED = $(BIN)/dus report results/$(1) --title '$(2)' --out docs/results/$(1).md
COMMA := ,
STRIDES := 2 3 4 5 6 7 8

pages: report  # every page of docs/results on the bundled models, and the tables of docs/analysis.md: some hours
	$(ON_TASKS) --task code,instructions --level 1 $(SOME)
	$(ON_TASKS) --task code --level 2 $(SOME)
	$(ON_TASKS) --task code,instructions --level 1 $(ONE)
	$(ON_TASKS) --task code --level 2 $(ONE)
	$(EVAL) --out results/dream --model bundled-dream --level 1,2 --limit 200 --block-length 8,16,32 --engine ray \
		--planner dus --planner 'confidence(like=dus)' --planner 'confidence(like=dus(groups=residues))' \
		--planner 'cb(tau=0.9)' --planner 'confidence(per_step=1)'
	$(EVAL) --preset order --out results/order --engine ray
	$(EVAL) --out results/strides --level 2 --block-length 32 --limit 300 --engine ray \
		$(foreach n,$(STRIDES),--planner 'dus(order=entropy, groups=residues, stride=$(n))' --planner 'confidence(steps=$(n))')
	$(EVAL) --out results/level-1 --level 1 --block-length 8,16,32 --limit 300 --engine ray --planner dus \
		--planner 'confidence(like=dus)' --planner 'random(like=dus)' --planner 'left-to-right(like=dus)'
	$(ON_CACHES) --task arithmetic,code --level 1,2
	$(ON_CACHES) --task instructions --level 1
	$(EVAL) --out results/caches-code --task code --level 2 --block-length 32 --limit 2000 --cache none,block,touched \
		--planner dus --confirm-run-unsafe-code
	$(EVAL) --out results/int8 --quantize int8 --level 2 --max-new-tokens 96 --limit 300 --block-length 8,16,32,64 \
		--planner dus --planner 'cb(tau=0.9)'
	for task in 'arithmetic --level 2' 'code --level 2' 'instructions --level 1'; do \
		$(EVAL) --out results/edited --task $$task --block-length 16,32 --limit 200 --planner dus \
			--planner 'dus | edited' --planner 'cb(tau=0.9)' --planner 'cb(tau=0.9) | edited' \
			--confirm-run-unsafe-code || exit 1; done
	$(BIN)/dus calibrate --out results/levels-8.json --calls 24 --max-new-tokens 64 --block-length 8 --level 2 --texts 256 \
		--page docs/results/levels.md
	$(EVAL) --out results/calibrated --level 2 --limit 300 --block-length 8 --planner dus \
		--planner 'confidence(like=dus)' --planner 'left-to-right(like=dus)' \
		--planner "levels(file='results/levels-8.json')" --planner "levels(groups='0 1/2 3 6/4 5 7')"
	$(BIN)/dus report results/dream --out docs/results/dream.md
	$(call TITLED,tasks,Code and instructions)
	$(call TITLED,level-1,Arithmetic of level 1)
	$(call TITLED,order,Orders and counts)
	$(call TITLED,strides,Strides)
	$(call TITLED,calibrated,A schedule made for the model)
	$(call TITLED,edited,Editing)
	$(call TITLED,caches,Caches)
	$(call TITLED,caches-code,Caches on 2$(COMMA)000 programs)
	$(call TITLED,int8,Eight-bit weights)
	$(BIN)/dus theory gap --texts 200 --group 2,4 --page docs/results/gap.md
	$(BIN)/dus theory long --known 8,32,96 --fill --turns 0,1,2 --limit 100 --level 2 --texts 32 \
		--page docs/results/long-contexts.md
	$(BIN)/dus theory blocks --limit 200 --rule "adablock(ids='17', otherwise=16)" --page docs/results/block-lengths.md
	$(BIN)/dus theory discount --samples 300 --page docs/results/discount.md
	$(BIN)/dus calibrate --planner deb --block-length 32 --level 3 --texts 64 --out results/shares.json \
		--page docs/results/shares.md
	$(EVAL) --out results/shared --task arithmetic --level 2,3 --block-length 32 --cache block --planner deb \
		--planner "deb(file='results/shares.json')" --planner 'deb(rho=0.85)' --limit 300
	$(call TITLED,shared,Shares in place of one rate)
	$(BIN)/dus analyze --task arithmetic --level 2 --errors --limit 100 --planner dus --planner 'confidence(like=dus)' \
		--planner 'eb(gamma=1)' --planner 'confidence(per_step=1)' --out results/analysis

bench: .venv/installed  # every page on what a generation costs
	PATH="$(CURDIR)/$(BIN):$$PATH" benchmarks/pages.sh

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/installed: pyproject.toml constraints.txt  # a module is compiled when it is first imported
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --no-compile --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv-sglang/installed: pyproject.toml tests/integrations/sglang.txt
	$(PYTHON) -m venv .venv-sglang
	.venv-sglang/bin/pip install --no-compile --quiet --disable-pip-version-check --requirement tests/integrations/sglang.txt
	.venv-sglang/bin/pip install --no-compile --quiet --disable-pip-version-check --no-deps sglang==0.5.23 --editable .
	touch $@
