#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/identity/service.h"

/* `names`: leaf first. */
static void assert_service(struct cgroup_names names, const char *unit, const char *slice, const char *session,
			   const char *user_unit)
{
	struct service service;

	assert_int_equal(service__parse(&names, &service), *unit != '\0');
	assert_string_equal(service.unit, unit);
	assert_string_equal(service.slice, slice);
	assert_string_equal(service.session, session);
	assert_string_equal(service.user_unit, user_unit);
}

#define NAMES(...) ((struct cgroup_names){ { __VA_ARGS__ } })

static void units_have_their_slice(void **state)
{
	(void)state;
	assert_service(NAMES("nginx.service", "system.slice"), "nginx.service", "system.slice", "", "");
	assert_service(NAMES("getty@tty1.service", "system-getty.slice", "system.slice"), "getty@tty1.service",
		       "system-getty.slice", "", "");
	assert_service(NAMES("init.scope"), "init.scope", "-.slice", "", "");
	assert_service(NAMES("docker.socket", "system.slice"), "docker.socket", "system.slice", "", "");
	assert_service(NAMES("_notify.service", "system.slice"), "notify.service", "system.slice", "", "");
}

static void what_a_unit_makes_inside_is_the_units(void **state)
{
	(void)state;
	assert_service(NAMES("worker", "nginx.service", "system.slice"), "nginx.service", "system.slice", "", "");
	assert_service(NAMES("x.service", "system.slice", "docker-0123.scope", "system.slice"), "docker-0123.scope",
		       "system.slice", "", "");
	assert_service(NAMES("a", "b", CGROUP_NAMES_GAP, "c", "web.service", "system.slice"), "web.service",
		       "system.slice", "", "");
}

static void logins_have_a_session(void **state)
{
	(void)state;
	assert_service(NAMES("session-3.scope", "user-1000.slice", "user.slice"), "session-3.scope", "user-1000.slice",
		       "3", "");
	assert_service(NAMES("session-c2.scope", "user-1000.slice", "user.slice"), "session-c2.scope", "user-1000.slice",
		       "c2", "");
}

static void users_have_units_of_their_own(void **state)
{
	(void)state;
	assert_service(NAMES("web.service", "app.slice", "user@1000.service", "user-1000.slice", "user.slice"),
		       "user@1000.service", "user-1000.slice", "", "web.service");
	assert_service(NAMES("worker", "web.service", "app.slice", "user@1000.service", "user-1000.slice", "user.slice"),
		       "user@1000.service", "user-1000.slice", "", "web.service");
	assert_service(NAMES("init.scope", "user@1000.service", "user-1000.slice", "user.slice"), "user@1000.service",
		       "user-1000.slice", "", "init.scope");
	assert_service(NAMES("x", "user@1000.service", "user-1000.slice", "user.slice"), "user@1000.service",
		       "user-1000.slice", "", "");
}

static void what_is_no_unit_is_none(void **state)
{
	(void)state;
	assert_service(NAMES(NULL), "", "", "", "");
	assert_service(NAMES("", "", ""), "", "", "", "");
	assert_service(NAMES("web", "default"), "", "", "", "");
	assert_service(NAMES("x.service", "default"), "", "", "", "");
	assert_service(NAMES("system.slice"), "", "", "", "");
	assert_service(NAMES(".service", "system.slice"), "", "", "", "");
}

static void three_names_are_enough_for_a_unit(void **state)
{
	(void)state;
	assert_service(NAMES("web.service", "web.slice", "system.slice", CGROUP_NAMES_REST), "web.service", "web.slice",
		       "", "");
}

static void the_longest_names_fit(void **state)
{
	char longest[300];
	struct service service;

	(void)state;
	memset(longest, 'a', sizeof(longest));
	strcpy(longest + sizeof(longest) - sizeof(".service"), ".service");
	assert_true(service__parse(&NAMES(longest, "system.slice"), &service));
	assert_int_equal(strlen(service.unit), CGROUP_NAME_SIZE - 1);
	memcpy(longest, "session-", strlen("session-"));
	strcpy(longest + sizeof(longest) - sizeof(".scope"), ".scope");
	assert_true(service__parse(&NAMES(longest, "user.slice"), &service));
	assert_string_equal(service.session, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_have_their_slice),
		cmocka_unit_test(what_a_unit_makes_inside_is_the_units),
		cmocka_unit_test(logins_have_a_session),
		cmocka_unit_test(users_have_units_of_their_own),
		cmocka_unit_test(what_is_no_unit_is_none),
		cmocka_unit_test(three_names_are_enough_for_a_unit),
		cmocka_unit_test(the_longest_names_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
