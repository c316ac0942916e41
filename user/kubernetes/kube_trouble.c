#include "kube_trouble.h"

#include "base/log.h"

static const char *advice(enum kube_failure failure)
{
	switch (failure) {
	case KUBE_UNTRUSTED:
		return "; its certificate must be for this name and from that authority";
	case KUBE_UNAUTHORIZED:
		return "; it does not take the token or certificate, which is read again each time";
	default:
		return "";
	}
}

void kube_trouble__tell(struct kube_trouble *trouble, const struct kube_answer *answer)
{
	unsigned int kind = 1u << answer->failure;

	if (answer->failure == KUBE_FINE) {
		if (trouble->told)
			log_info("Kubernetes: %s answers again: %s are known", trouble->server, trouble->what);
		trouble->told = 0;
		return;
	}
	if (trouble->told & kind)
		return;
	trouble->told |= kind;
	if (answer->failure == KUBE_FORBIDDEN)
		log_warn("Kubernetes: %s does not allow %s (%s): allow %s; new ones go without %s until then",
			 trouble->server, trouble->what, answer->why, trouble->rights, trouble->lost);
	else
		log_warn("Kubernetes: %s: %s%s; new ones of %s go without %s until it answers", trouble->server,
			 answer->why, advice(answer->failure), trouble->what, trouble->lost);
}
