/*
 * A record that Kafka will not take becomes a gap record, which tells its loss in its place. Pure
 * functions, sink's thread.
 */
#ifndef LOGTAP_KAFKA_REFUSAL_H
#define LOGTAP_KAFKA_REFUSAL_H

struct kafka_record;

/*
 * Gives the record a gap's value. A record without a key gets the line's id for one: a compacted
 * topic takes nothing else. 0; -EINVAL: it is a gap itself, or nothing can be told of it; -ENOMEM.
 */
int kafka_refusal__replace(struct kafka_record *record);

#endif
