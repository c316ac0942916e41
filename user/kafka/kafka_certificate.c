#include "kafka_certificate.h"

#include <stddef.h>
#include <string.h>

/* OpenSSL's X509_V_ERR_*, which are part of its ABI. */
static const struct {
	int error;
	const char *words;
} certificate_errors[] = {
	{ 9, "the broker's certificate is not valid yet" },
	{ 10, "the broker's certificate has expired" },
	{ 18, "the broker's certificate signed itself and is not in ssl.ca.location" },
	{ 19, "the broker's certificate is from an authority that is not in ssl.ca.location" },
	{ 20, "the broker's certificate is from an authority that is not in ssl.ca.location" },
	{ 21, "the broker's certificate is from an authority that is not in ssl.ca.location" },
	{ 23, "the broker's certificate was revoked" },
	{ 62, "the broker's certificate is for another host name" },
	{ 64, "the broker's certificate is for another address" },
};

const char *kafka_certificate__words(int x509_error)
{
	for (size_t i = 0; i < sizeof(certificate_errors) / sizeof(certificate_errors[0]); i++)
		if (certificate_errors[i].error == x509_error)
			return certificate_errors[i].words;
	return NULL;
}

bool kafka_certificate__is_refused(const char *reason)
{
	return strstr(reason, "certificate verify failed");
}
