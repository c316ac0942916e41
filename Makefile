# make            builds build/logtap; make deps installs what that needs
# make run        shows it: a container logs, its lines come out as JSON
# make test       unit tests, then end-to-end tests in a guest; CASE="lines gaps": only those of the latter
# make test-unit, make test-e2e  one half of that; without installing what is missing
# make test-slow  the end-to-end tests that take minutes each
# make test-api-down  all of them again, in a cluster whose API server does not answer; or CASE=...
# make test-fresh make run and make test on a fresh Debian machine, in a directory
# make test-faults   faults at random under load: SEED=n, MINUTES=10
# make fuzz       fuzzes the parsers of untrusted bytes, SECONDS=60 each
# make bench      instructions a write and in an outage (guest), lines a second (here)
# make clean      removes what was built; distclean also what was downloaded
#
# BUILD=DIR builds elsewhere (the end-to-end tests always take build). Run and test install what is missing (Debian, as root); see docker/packages.sh.

VERSION := 0.1.0
BUILD ?= build
CLANG ?= clang
# su without - leaves out where bpftool is.
export PATH := $(PATH):/usr/sbin:/sbin
BPFTOOL ?= bpftool

# Of the builds that run and test make.
JOBS := $(shell nproc)

# The architecture as the kernel's source names it.
ARCH := $(shell uname -m | sed -e s/x86_64/x86/ -e s/aarch64/arm64/)

PACKAGES := libbpf libelf zlib rdkafka libcyaml yaml-0.1 jansson libcurl sqlite3
WARNINGS := -Wall -Wextra -Werror
CPPFLAGS_ALL = -D_GNU_SOURCE= -DLOGTAP_VERSION='"$(VERSION)"' -Iuser -Iinclude -I$(BUILD) $(CPPFLAGS)
CFLAGS ?= -O2 -g
CFLAGS_ALL = -std=gnu11 $(WARNINGS) -pthread $(CFLAGS)
LDLIBS = $(shell pkg-config --libs $(PACKAGES)) -pthread
# __sync and __atomic without a result, so that 5.10 takes it: v3 has fetching atomics, which come with 5.12.
BPF_CFLAGS = -O2 -g -mcpu=v2 -target bpf -D__TARGET_ARCH_$(ARCH) -Ivmlinux -Iinclude $(WARNINGS) \
	-Wno-unused-parameter $(BPF_CPPFLAGS)

# user/'s folders from the ground up: none includes what stands above it.
FOLDERS := base lines identity kubernetes record selection journal capture sink kafka stream config

SOURCES := $(wildcard user/*.c user/*/*.c)
OBJECTS := $(SOURCES:user/%.c=$(BUILD)/user/%.o)
SKELETONS := $(BUILD)/capture.skel.h $(BUILD)/dispatch.skel.h

# One short line a step; V=1 shows the commands.
ifneq ($(V),1)
Q = @
say = @printf '  %-5s %s\n' $(1) $(2);
endif

all: $(BUILD)/logtap

$(BUILD)/logtap: $(OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/user/%.o: user/%.c Makefile | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/%.bpf.o: bpf/%.bpf.c Makefile
	@mkdir -p $(@D)
	@command -v $(CLANG) >/dev/null && pkg-config --exists $(PACKAGES) || \
		{ echo "Something that the build needs is missing: as root, make deps"; exit 1; }
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -c -o $@ $<

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.new
	$(Q)mv $@.new $@

# Unit tests: all of user/ but main, under the sanitizers, and one program a file of tests/unit.

UNIT_FLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
UNIT_OBJECTS := $(patsubst user/%.c,$(BUILD)/unit/user/%.o,$(filter-out user/main.c,$(SOURCES)))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))

$(BUILD)/unit/user/%.o: user/%.c Makefile | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,"CC -fsanitize",$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) -std=gnu11 $(WARNINGS) -pthread $(UNIT_FLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/unit/logtap.a: $(UNIT_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/unit/test_%: tests/unit/test_%.c $(BUILD)/unit/logtap.a
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS_ALL) -Itests/unit -std=gnu11 $(WARNINGS) -Werror=unused-function -pthread $(UNIT_FLAGS) \
		-MMD -MP -MF $@.d -o $@ $< $(BUILD)/unit/logtap.a -lcmocka $(LDLIBS) $(WRAP:%=-Wl,--wrap=%)

# Steps between which a kill must find the agent: the test makes them take longer.
$(BUILD)/unit/test_shard $(BUILD)/unit/test_shard_full $(BUILD)/unit/test_shard_missed: WRAP := checkpoint__commit journal__publish ring__release heap__reclaim
# A disk that fails.
$(BUILD)/unit/test_journal_drop: WRAP := journal_disk__read
# What may be another at the next call is.
$(BUILD)/unit/test_stream_wait: WRAP := identity_cache__get
# The test's clock.
$(BUILD)/unit/test_shard_pods: WRAP := clock_gettime
# A record that the encoder makes none of.
$(BUILD)/unit/test_pipeline: WRAP := journal__reserve journal__append

$(BUILD)/includes: tests/includes Makefile $(wildcard user/*/*.[ch])
	$(call say,CHECK,"includes of user/")
	$(Q)tests/includes $(FOLDERS)
	$(Q)touch $@

unit-tests: $(BUILD)/includes $(UNIT_TESTS)

deps:
	@docker/packages.sh build

run:
	@docker/packages.sh build run
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@LOGTAP=$(abspath $(BUILD)/logtap) tests/demo/run

test:
	@docker/packages.sh build run test
	@$(MAKE) --no-print-directory -j$(JOBS) all unit-tests
	@BUILD=$(BUILD) tests/run $(CASE)

test-unit: unit-tests
	@BUILD=$(BUILD) tests/unit/run

test-e2e: all
	@tests/e2e/run $(CASE)

# The cases that take minutes each.
test-slow:
	@docker/packages.sh build run test
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tests/e2e/run slow

# Nothing depends on the API server: its labels are all that is missing. Where it hangs or is silent, quick cases with pods do.
test-api-down:
	@docker/packages.sh build run test
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@status=0; tests/e2e/run -e API=down $(or $(CASE),quick slow) || status=1; \
	for api in hang silent; do echo "--- API=$$api"; tests/e2e/run -e API=$$api $(or $(CASE),pods) || status=1; done; exit $$status

# The long run of faults; make test has a short one.
MINUTES ?= 10
test-faults:
	@docker/packages.sh build run test
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@SEED=$(SEED) tests/e2e/run -t $$(($(MINUTES) * 120 + 600)) -e MINUTES=$(MINUTES) faults

test-fresh:
	@tests/fresh/run $(CASE)

bench: all
	@tests/bench/writes
	@echo
	@tests/bench/outage
	@echo
	@tests/bench/pipeline

# Fuzzing: each of tests/fuzz for SECONDS, with clang's libFuzzer, ASan and UBSan.

SECONDS ?= 60
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_FLAGS := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined

$(BUILD)/fuzz/user/%.o: user/%.c Makefile | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,"CC -fsanitize=fuzzer",$<)
	$(Q)$(CLANG) $(CPPFLAGS_ALL) -std=gnu11 $(WARNINGS) -pthread $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(patsubst user/%.c,$(BUILD)/fuzz/user/%.o,$(filter-out user/main.c,$(SOURCES)))
	$(call say,FUZZ,$<)
	$(Q)$(CLANG) $(CPPFLAGS_ALL) -std=gnu11 $(WARNINGS) -pthread $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

fuzz: $(FUZZERS)
	@mkdir -p $(BUILD)/fuzz/corpus
	@for f in $(FUZZERS); do echo "$$f for $(SECONDS) s"; mkdir -p $(BUILD)/fuzz/corpus/$${f##*/}; \
		$$f -max_total_time=$(SECONDS) -artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus/$${f##*/} \
			2>$$f.log || { tail -n 40 $$f.log; exit 1; }; tail -n 1 $$f.log; done

clean:
	@[ ! -d $(BUILD) ] || find $(BUILD) -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +

distclean:
	rm -rf $(BUILD)

-include $(OBJECTS:.o=.d) $(UNIT_OBJECTS:.o=.d) $(UNIT_TESTS:=.d) $(SKELETONS:.skel.h=.bpf.d)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps run bench fuzz test test-unit test-e2e test-slow test-api-down test-faults test-fresh unit-tests clean distclean
