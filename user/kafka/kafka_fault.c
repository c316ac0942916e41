#include "kafka_fault.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char refused[] =
	"the topic refuses a record for a reason of its own (%s): it is looked for, and a gap record "
	"takes its place; see sink_records_refused";
static const char no_topic[] =
	"the topic does not exist (%s): create it, or correct kafka.topic; records wait in the journal";
static const char not_allowed[] =
	"the topic may not be written to (%s): logtap's user needs Write on it; records wait in the "
	"journal";
static const char topic_setting[] =
	"the topic's settings refuse what logtap sends (%s): records wait in the journal until they are "
	"changed";
static const char distrust[] =
	"Kafka and logtap do not trust each other (%s): see kafka.rdkafka in the configuration; "
	"records wait in the journal";
static const char gave_up[] =
	"librdkafka's producer gave up (%s): a new one takes over and sends again what is not "
	"acknowledged";
static const char out_of_reach[] =
	"Kafka cannot be reached (%s): records wait in the journal until it can";

static const struct kafka_fault faults[] = {
	/*
	 * Taken back because of another failure. A gap in the sequence: we ask librdkafka to stop
	 * rather than to send what comes after a failed record; its error is reported beside this.
	 */
	{ RD_KAFKA_RESP_ERR__PURGE_QUEUE, KAFKA_BLAME_NOBODY, "%s" },
	{ RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, KAFKA_BLAME_NOBODY, "%s" },
	{ RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, KAFKA_BLAME_NOBODY, "%s" },
	{ RD_KAFKA_RESP_ERR__DESTROY, KAFKA_BLAME_NOBODY, "%s" },
	/*
	 * A compacted topic and no key, a broker's validation. Brokers answer old protocol versions,
	 * such as librdkafka 2.0 speaks, "corrupt message" instead.
	 */
	{ RD_KAFKA_RESP_ERR_INVALID_RECORD, KAFKA_BLAME_RECORD, refused },
	{ RD_KAFKA_RESP_ERR_INVALID_MSG, KAFKA_BLAME_RECORD, refused },
	{ RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, KAFKA_BLAME_RECORD, refused },
	/* Too far from the broker's clock. */
	{ RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, KAFKA_BLAME_RECORD, refused },
	{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_BLAME_SIZE, "%s" },
	{ RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, KAFKA_BLAME_SIZE, "%s" },
	/* Both the broker's answer and librdkafka's knowledge. */
	{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KAFKA_BLAME_TOPIC, no_topic },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, KAFKA_BLAME_TOPIC, no_topic },
	{ RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KAFKA_BLAME_TOPIC, no_topic },
	{ RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, KAFKA_BLAME_TOPIC, no_topic },
	{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_BLAME_TOPIC, not_allowed },
	{ RD_KAFKA_RESP_ERR_POLICY_VIOLATION, KAFKA_BLAME_TOPIC, topic_setting },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, KAFKA_BLAME_TOPIC, topic_setting },
	{ RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, KAFKA_BLAME_TOPIC, topic_setting },
	{ RD_KAFKA_RESP_ERR__AUTHENTICATION, KAFKA_BLAME_TRUST, distrust },
	{ RD_KAFKA_RESP_ERR__SSL, KAFKA_BLAME_TRUST, distrust },
	{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, KAFKA_BLAME_TRUST, distrust },
	{ RD_KAFKA_RESP_ERR__FATAL, KAFKA_BLAME_CLUSTER, gave_up },
	{ RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, KAFKA_BLAME_CLUSTER, gave_up },
	{ RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, KAFKA_BLAME_CLUSTER, gave_up },
	{ RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, KAFKA_BLAME_CLUSTER, gave_up },
	{ RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, KAFKA_BLAME_CLUSTER, out_of_reach },
};

static const struct kafka_fault other = {
	.blame = KAFKA_BLAME_CLUSTER,
	.words = "Kafka did not take records (%s): they are kept and sent again",
};

_Static_assert(COUNT(faults) < KAFKA_FAULT_WORDS, "a number for each fault");

const struct kafka_fault *kafka_fault__of(rd_kafka_resp_err_t err)
{
	for (size_t i = 0; i < COUNT(faults); i++)
		if (faults[i].err == err)
			return &faults[i];
	return &other;
}

size_t kafka_fault__number(const struct kafka_fault *fault)
{
	for (size_t i = 0; i < COUNT(faults); i++)
		if (faults[i].words == fault->words)
			return i;
	return COUNT(faults);
}
