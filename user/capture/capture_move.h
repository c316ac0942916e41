/*
 * Streams move into maps that have room for more or fewer of them, or longer slots, while they are
 * written, opened and closed. Owner: the capture; main thread, while no shard runs.
 */
#ifndef LOGTAP_CAPTURE_MOVE_H
#define LOGTAP_CAPTURE_MOVE_H

struct capture_maps;
struct capture_pin;
struct config;

/*
 * Lets the maps of an adopted capture follow the configuration's max_streams and this build's slots.
 * `maps` is then what is in charge. A stream keeps its slot's number and its generation, so that its
 * records go on as they were; where streams are in the way of fewer slots, there are as many as
 * before. Killed at any point, the next logtap ends the move. 0, or
 * -EALREADY: it failed, which has been said.
 */
int capture_move__follow(struct capture_maps *maps, const struct capture_pin *pin, const struct config *config);

#endif
