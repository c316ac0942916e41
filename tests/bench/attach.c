/*
 * attach OBJECT: loads a BPF object, attaches all its programs, says so on stdout, and keeps them
 * until it is ended.
 */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what, long err)
{
	fprintf(stderr, "attach: %s: %s\n", what, strerror(-err));
	return 1;
}

int main(int argc, char **argv)
{
	struct bpf_program *program;
	struct bpf_object *object;

	if (argc != 2) {
		fprintf(stderr, "usage: attach OBJECT\n");
		return 2;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	object = bpf_object__open(argv[1]);
	if (libbpf_get_error(object))
		return fail(argv[1], libbpf_get_error(object));
	if (bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object) {
		struct bpf_link *link = bpf_program__attach(program);

		if (libbpf_get_error(link))
			return fail(bpf_program__name(program), libbpf_get_error(link));
	}
	puts("attached");
	fflush(stdout);
	pause();
	return 0;
}
