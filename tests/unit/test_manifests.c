/* conf/kubernetes, and the pods that tests are made of, beside Kubernetes' own schemas. Skipped where those cannot be had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/base/config.h"
#include "../../user/config/config_load.h"

#define CANNOT_BE_HAD 77

static char out[] = "/tmp/test_manifests.XXXXXX";

static void manifests_are_as_kubernetes_wants_them(void **state)
{
	char line[128];
	int status;

	(void)state;
	snprintf(line, sizeof(line), "tests/kubernetes/validate %s", out);
	status = system(line);
	if (WEXITSTATUS(status) == CANNOT_BE_HAD)
		skip();
	assert_int_equal(status, 0);
}

static void config_map_has_a_configuration(void **state)
{
	struct config *config = NULL;

	(void)state;
	if (access(out, R_OK))
		skip();
	assert_int_equal(config__load(out, stderr, &config), 0);
	assert_int_equal(config->sink, SINK_KAFKA);
	assert_int_equal(config->kubernetes.source, KUBERNETES_AUTO);
	config__free(config);
	unlink(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manifests_are_as_kubernetes_wants_them),
		cmocka_unit_test(config_map_has_a_configuration),
	};

	if (!mkdtemp(out) || rmdir(out))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
