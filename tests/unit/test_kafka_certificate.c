#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../user/kafka/kafka_certificate.h"

static void reasons_have_plain_words(void **state)
{
	(void)state;
	assert_string_equal(kafka_certificate__words(10), "the broker's certificate has expired");
	assert_null(kafka_certificate__words(0));
	assert_null(kafka_certificate__words(1000));
}

/* What librdkafka 2.0 says, depending on whether the broker has answered when it looks first. */
static void a_refused_certificate_is_known_by_openssls_words(void **state)
{
	(void)state;
	assert_true(kafka_certificate__is_refused("ssl://127.0.0.1:38309/bootstrap: error:0A000086:SSL routines::certificate "
						  "verify failed (after 49ms in state SSL_HANDSHAKE)"));
	assert_true(kafka_certificate__is_refused("ssl://127.0.0.1:42859/bootstrap: SSL handshake failed: error:0A000086:SSL "
						  "routines::certificate verify failed: broker certificate could not be "
						  "verified, verify that ssl.ca.location is correctly configured"));
	assert_false(kafka_certificate__is_refused("127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused "
						   "(after 0ms in state CONNECT)"));
	assert_false(kafka_certificate__is_refused(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons_have_plain_words),
		cmocka_unit_test(a_refused_certificate_is_known_by_openssls_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
