/*
 * The data that the dispatcher shares with all versions of the programs behind it: user space makes
 * the map once and gives it to every object that it loads.
 */
#ifndef LOGTAP_SHARED_BPF_H
#define LOGTAP_SHARED_BPF_H

/*
 * By filter_index(inode): how many selected inodes have that index. BPF has no narrower atomics.
 * Alone in .bss: other data goes into sections of its own.
 */
__u32 filter[FILTER_SIZE];

#endif
