#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "record/record_facts.h"

#define ID "00112233445566778899aabbccddeeff"

static char root[64];

static int setup(void **state)
{
	char path[128];

	(void)state;
	strcpy(root, "/dev/shm/logtap-facts-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/etc", root);
	/* What cannot be read is meant. */
	log_set_level(LOG_LEVEL_ERROR);
	return mkdir(path, 0700);
}

static int teardown(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/etc/machine-id", root);
	unlink(path);
	snprintf(path, sizeof(path), "%s/etc/os-release", root);
	unlink(path);
	snprintf(path, sizeof(path), "%s/etc", root);
	rmdir(path);
	return rmdir(root);
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/etc/%s", root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static struct record_facts read_facts(unsigned int count)
{
	enum host_fact asked[] = { HOST_FACT_MACHINE_ID, HOST_FACT_BOOT_ID, HOST_FACT_CLOUD, HOST_FACT_OS };
	static struct config config;
	struct record_facts facts;

	config.record.host = asked;
	config.record.host_count = count;
	record_facts__read(&config, root, &facts);
	assert_ptr_equal(facts.cloud, count >= 3 ? &config.cloud : NULL);
	return facts;
}

static void what_is_not_asked_for_is_not_told(void **state)
{
	struct record_facts facts = read_facts(0);

	(void)state;
	assert_string_equal(facts.machine_id, "");
	assert_string_equal(facts.boot_id, "");
}

static void ids_are_read(void **state)
{
	struct record_facts facts;

	(void)state;
	write_file("machine-id", ID "\n");
	facts = read_facts(3);
	assert_string_equal(facts.machine_id, ID);
	assert_int_equal(strlen(facts.boot_id), 36);
}

static void what_is_no_id_is_left_out(void **state)
{
	static const char *const texts[] = { "", "uninitialized\n", ID "0\n", "\"0112233445566778899aabbccddeeff\n" };

	(void)state;
	assert_string_equal(read_facts(1).machine_id, "");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_file("machine-id", texts[i]);
		assert_string_equal(read_facts(1).machine_id, "");
	}
}

static void the_operating_system_is_read(void **state)
{
	struct record_facts facts;
	char text[512];

	(void)state;
	assert_false(read_facts(3).has_os);
	snprintf(text, sizeof(text), "NAME='Debian GNU/Linux'\nVERSION=\"12 (bookworm)\"\nVERSION_ID=12\n# ID=x\nID=debian\nBUILD\n"
		 "VERSION_CODENAME=%0200d\n", 1);
	write_file("os-release", text);
	facts = read_facts(4);
	assert_true(facts.has_os);
	assert_string_equal(facts.os.name, "Debian GNU/Linux");
	assert_string_equal(facts.os.version, "12 (bookworm)");
	assert_string_equal(facts.os.version_id, "12");
	assert_string_equal(facts.os.id, "debian");
	assert_string_equal(facts.os.codename, "");
	assert_string_not_equal(facts.os.kernel, "");
	assert_string_equal(host_os__family(&facts.os), "debian");
}

static void a_like_distributions_family_is_its(void **state)
{
	struct host_os os = { .id = "nobara", .id_like = "rhel centos" };

	(void)state;
	assert_string_equal(host_os__family(&os), "redhat");
	strcpy(os.id_like, "nothing");
	assert_string_equal(host_os__family(&os), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_not_asked_for_is_not_told, setup, teardown),
		cmocka_unit_test_setup_teardown(ids_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_id_is_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(the_operating_system_is_read, setup, teardown),
		cmocka_unit_test(a_like_distributions_family_is_its),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
