/*
 * The kubelet's directory of logs, /var/log/pods/NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log: the only
 * place on a containerd node that tells which attempt of a container runs. Any thread.
 */
#ifndef LOGTAP_POD_LOGS_H
#define LOGTAP_POD_LOGS_H

struct identity;

#define POD_LOGS_DIR "/var/log/pods"

/*
 * Sets log_path and restart_count to the latest attempt's; leaves them alone where there is none,
 * or a name is missing. 0 or -ENOMEM.
 */
int pod_logs__fill(const char *root, struct identity *identity);

#endif
