/*
 * topics BROKER NAME[:PARTITIONS[:MAX_MESSAGE_BYTES|:compact[:apart]]]...: creates topics and returns when
 * every partition has a leader; `apart`: the last one's is broker 2, the others' broker 1. topics BROKER -NAME: deletes one, and
 * returns when it is gone. Kafka's own tool would start a Java machine for each call.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

enum { TIMEOUT_MS = 20000, TRIES = 30 };

static void die(const char *what, const char *why)
{
	fprintf(stderr, "topics: %s: %s\n", what, why);
	exit(1);
}

static void assign(rd_kafka_NewTopic_t *topic, int partitions)
{
	char error[256];

	for (int i = 0; i < partitions; i++) {
		int32_t broker = i == partitions - 1 ? 2 : 1;

		if (rd_kafka_NewTopic_set_replica_assignment(topic, i, &broker, 1, error,
							     sizeof(error)))
			die("assignment", error);
	}
}

static rd_kafka_NewTopic_t *topic__new(char *spec)
{
	char *name = strsep(&spec, ":"), *partitions = strsep(&spec, ":"), error[256];
	char *setting = strsep(&spec, ":");
	rd_kafka_NewTopic_t *topic;

	topic = rd_kafka_NewTopic_new(name, partitions ? atoi(partitions) : 1, spec ? -1 : 1, error,
				      sizeof(error));
	if (!topic)
		die(name, error);
	if (spec)
		assign(topic, atoi(partitions));
	if (setting && !strcmp(setting, "compact"))
		rd_kafka_NewTopic_set_config(topic, "cleanup.policy", setting);
	else if (setting && rd_kafka_NewTopic_set_config(topic, "max.message.bytes", setting))
		die(name, "bad limit");
	return topic;
}

static bool check_results(rd_kafka_event_t *event)
{
	const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
	const rd_kafka_topic_result_t **topics;
	size_t count;

	if (rd_kafka_event_error(event))
		die("no answer", rd_kafka_event_error_string(event));
	topics = rd_kafka_CreateTopics_result_topics(result, &count);
	for (size_t i = 0; i < count; i++) {
		rd_kafka_resp_err_t err = rd_kafka_topic_result_error(topics[i]);

		if (err == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR)
			return false;
		if (err)
			die(rd_kafka_topic_result_name(topics[i]),
			    rd_kafka_topic_result_error_string(topics[i]));
	}
	return true;
}

/* false: there is no broker to have them, as one that did not get to run for two seconds is taken for dead for a while. */
static bool create(rd_kafka_t *client, rd_kafka_NewTopic_t **topics, size_t count)
{
	rd_kafka_AdminOptions_t *options;
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_event_t *event;
	char error[256];
	bool done;

	options = rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	if (rd_kafka_AdminOptions_set_operation_timeout(options, TIMEOUT_MS, error, sizeof(error)))
		die("timeout", error);
	rd_kafka_CreateTopics(client, topics, count, options, queue);
	event = rd_kafka_queue_poll(queue, TIMEOUT_MS + 5000);
	if (!event)
		die("no answer", "timed out");
	done = check_results(event);
	rd_kafka_event_destroy(event);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_queue_destroy(queue);
	return done;
}

static bool is_there(rd_kafka_t *client, const char *name)
{
	const struct rd_kafka_metadata *metadata;
	bool found = false;

	if (rd_kafka_metadata(client, 1, NULL, &metadata, TIMEOUT_MS))
		die(name, "no metadata");
	for (int i = 0; i < metadata->topic_cnt; i++)
		found |= !strcmp(metadata->topics[i].topic, name);
	rd_kafka_metadata_destroy(metadata);
	return found;
}

/* After a second, and so often at most. */
static void again(const char *name, int *tries)
{
	if (++*tries == TRIES)
		die(name, "in vain");
	sleep(1);
}

static void delete(rd_kafka_t *client, const char *name)
{
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	const rd_kafka_topic_result_t **topics;
	rd_kafka_event_t *event;
	size_t count;

	rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
	event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
	if (!event || rd_kafka_event_error(event))
		die(name, "no answer");
	topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
						     &count);
	if (count && rd_kafka_topic_result_error(topics[0]))
		die(name, rd_kafka_topic_result_error_string(topics[0]));
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_DeleteTopic_destroy(topic);
	/* The controller has answered; the broker takes records until it knows. */
	for (int tries = 0; is_there(client, name);)
		again(name, &tries);
}

int main(int argc, char **argv)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_NewTopic_t **topics;
	rd_kafka_t *client;
	char error[256];

	if (argc < 3)
		die("usage", "topics BROKER NAME[:PARTITIONS[:MAX_MESSAGE_BYTES|:compact[:apart]]]... | -NAME");
	if (rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], error, sizeof(error)))
		die(argv[1], error);
	client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (client && argv[2][0] == '-') {
		delete(client, argv[2] + 1);
		rd_kafka_destroy(client);
		return 0;
	}
	topics = calloc(argc - 2, sizeof(*topics));
	if (!client || !topics)
		die("client", error);
	for (int i = 2; i < argc; i++)
		topics[i - 2] = topic__new(argv[i]);
	for (int tries = 0; !create(client, topics, argc - 2);)
		again(argv[2], &tries);
	rd_kafka_NewTopic_destroy_array(topics, argc - 2);
	free(topics);
	rd_kafka_destroy(client);
	return 0;
}
