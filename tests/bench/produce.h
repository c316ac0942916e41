/* What the producing program and its driver share. */
#ifndef LOGTAP_BENCH_PRODUCE_H
#define LOGTAP_BENCH_PRODUCE_H

#define LINE_SIZE 216   /* with its newline */
#define LINES 65536     /* different ones */
#define STREAMS 16

struct line_text {
	char text[LINE_SIZE];
};

/* The context of one run: `done` falls short of `count` when the ring is full. */
struct produce {
	unsigned long long first;
	unsigned long long count;
	unsigned long long done;
};

#endif
