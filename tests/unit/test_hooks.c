#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/magic.h>

#include "capture/hooks.h"

static unsigned int count;

static const struct hook *find(const char *function)
{
	const struct hook *hooks = hooks__table(&count);

	for (unsigned int i = 0; i < count; i++)
		if (strcmp(hooks[i].function, function) == 0)
			return &hooks[i];
	fail_msg("no hook %s", function);
	return NULL;
}

static void skip_without_btf(void)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		skip();
}

static void every_group_has_a_hook(void **state)
{
	const struct hook *hooks = hooks__table(&count);
	unsigned int members[HOOK_GROUPS] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		members[hooks[i].group]++;
	for (int group = 0; group < HOOK_GROUPS; group++)
		assert_true(members[group] > 0);
}

static void programs_and_functions_are_named_once(void **state)
{
	const struct hook *hooks = hooks__table(&count);

	(void)state;
	for (unsigned int i = 0; i < count; i++) {
		assert_non_null(hooks[i].what);
		for (unsigned int j = 0; j < i; j++) {
			assert_string_not_equal(hooks[i].program, hooks[j].program);
			if (hook_group_is_rescue(hooks[i].group) == hook_group_is_rescue(hooks[j].group))
				assert_string_not_equal(hooks[i].function, hooks[j].function);
		}
	}
}

static bool is_rescue_of(const struct hook *rescue, const struct hook *hook)
{
	return rescue->group == (hook->group == HOOK_PIPE_WRITE ? HOOK_PIPE_RESCUE : HOOK_FILE_RESCUE) &&
	       strcmp(rescue->function, hook->function) == 0;
}

/* Of several functions of the pipes' the first that is present serves: for both the same one. */
static void each_write_has_a_rescue_in_the_same_order(void **state)
{
	const struct hook *hooks = hooks__table(&count);
	unsigned int rescues = 0, last[HOOK_GROUPS] = { 0 };

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		rescues += hook_group_is_rescue(hooks[i].group);
	for (unsigned int i = 0; i < count; i++) {
		unsigned int j = 0;

		if (!(HOOK_WRITES >> hooks[i].group & 1))
			continue;
		while (j < count && !is_rescue_of(&hooks[j], &hooks[i]))
			j++;
		assert_in_range(j, last[hooks[i].group], count - 1);
		last[hooks[i].group] = j;
		assert_ptr_equal(hooks[i].module, hooks[j].module);
		rescues--;
	}
	assert_int_equal(rescues, 0);
}

static void file_writes_alone_name_file_systems(void **state)
{
	const struct hook *hooks = hooks__table(&count);

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(hooks[i].magics[0] != 0, hooks[i].group == HOOK_FILE_WRITE);
	assert_int_equal(find("ext4_file_write_iter")->magics[0], EXT4_SUPER_MAGIC);
	assert_int_equal(find("shmem_file_write_iter")->magics[0], TMPFS_MAGIC);
}

static void a_running_kernel_has_what_all_kernels_have(void **state)
{
	static const char *const always[] = {
		"pipe_release", "sched_process_exec", "security_file_open",      "__destroy_inode",
		"cgroup_mkdir", "cgroup_rmdir",       "generic_file_write_iter",
	};

	(void)state;
	skip_without_btf();
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		assert_int_equal(hooks__present(find(always[i])), 1);
	hooks__release();
}

static void a_kernel_has_one_function_that_writes_to_pipes(void **state)
{
	(void)state;
	skip_without_btf();
	assert_int_equal(
		hooks__present(find("pipe_write")) + hooks__present(find("anon_pipe_write")), 1);
	hooks__release();
}

static void what_no_kernel_has_is_absent(void **state)
{
	const struct hook function = { .function = "logtap_no_such_function" };
	const struct hook tracepoint = { .function = "logtap_no_such_tracepoint",
					 .kind = HOOK_TRACEPOINT };
	const struct hook module = { .function = "logtap_no_such_function",
				     .module = "logtap_no_such_module" };
	/* A function is no tracepoint of that name. */
	const struct hook confused = { .function = "pipe_release", .kind = HOOK_TRACEPOINT };

	(void)state;
	skip_without_btf();
	assert_int_equal(hooks__present(&function), 0);
	assert_int_equal(hooks__present(&tracepoint), 0);
	assert_int_equal(hooks__present(&module), 0);
	assert_int_equal(hooks__present(&confused), 0);
	assert_true(hooks__function_id("logtap_no_such_function") < 0);
	assert_true(hooks__function_id("pipe_release") > 0);
	hooks__release();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_group_has_a_hook),
		cmocka_unit_test(programs_and_functions_are_named_once),
		cmocka_unit_test(each_write_has_a_rescue_in_the_same_order),
		cmocka_unit_test(file_writes_alone_name_file_systems),
		cmocka_unit_test(a_running_kernel_has_what_all_kernels_have),
		cmocka_unit_test(a_kernel_has_one_function_that_writes_to_pipes),
		cmocka_unit_test(what_no_kernel_has_is_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
