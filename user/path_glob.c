#include "path_glob.h"

#include <stddef.h>
#include <string.h>

/* Matches one character against the set behind '['; *end is behind its ']'. A set without an end is a plain '['. */
static bool set_matches(const char *set, char c, const char **end)
{
	bool inverted = *set == '!' || *set == '^';
	const char *p = set + inverted;
	bool found = false;
	bool first = true;

	for (; *p && (first || *p != ']'); p++, first = false) {
		if (p[1] == '-' && p[2] && p[2] != ']') {
			found |= (unsigned char)*p <= (unsigned char)c &&
				 (unsigned char)c <= (unsigned char)p[2];
			p += 2;
		} else {
			found |= *p == c;
		}
	}
	if (!*p) {
		*end = set;
		return c == '[';
	}
	*end = p + 1;
	return found != inverted && c != '/';
}

/* One glob element that is no star, against one character; *glob moves behind it. */
static bool element_matches(const char **glob, char c)
{
	const char *g = *glob;

	switch (*g) {
	case '?':
		*glob = g + 1;
		return c != '/';
	case '[':
		return set_matches(g + 1, c, glob);
	case '\\':
		g += g[1] != 0;
		/* fall through */
	default:
		*glob = g + 1;
		return *g == c;
	}
}

/* A `**` in front of `glob` has just been read: any part of the path may be it, whole directories if a slash follows. */
static bool deep_matches(const char *glob, const char *path)
{
	bool directories = *glob == '/';

	if (directories && path_glob__matches(glob + 1, path))
		return true;
	for (; *path; path++) {
		if (directories && *path != '/')
			continue;
		if (path_glob__matches(glob, path))
			return true;
	}
	return !*glob;
}

static bool star_matches(const char *glob, const char *path)
{
	for (;; path++) {
		if (path_glob__matches(glob, path))
			return true;
		if (!*path || *path == '/')
			return false;
	}
}

bool path_glob__matches(const char *glob, const char *path)
{
	for (; *glob; path++) {
		if (glob[0] == '*' && glob[1] == '*')
			return deep_matches(glob + 2, path);
		if (*glob == '*')
			return star_matches(glob + 1, path);
		if (!*path || !element_matches(&glob, *path))
			return false;
	}
	return !*path;
}

static bool is_special(char c)
{
	return c == '*' || c == '?' || c == '[' || c == ']' || c == '\\';
}

/* `length` bytes at the low or the high end of a word, as the kernel half reads them from the name (little endian). */
static void pack(const char *text, size_t length, size_t at, uint64_t *value, uint64_t *mask)
{
	char bytes[8] = { 0 }, ones[8] = { 0 };

	memcpy(bytes + at, text, length);
	memset(ones + at, 0xff, length);
	memcpy(value, bytes, 8);
	memcpy(mask, ones, 8);
}

struct name_pattern path_glob__name_pattern(const char *glob)
{
	const char *slash = strrchr(glob, '/');
	const char *name = slash ? slash + 1 : glob;
	struct name_pattern pattern = { 0 };
	size_t length = strlen(name);
	uint64_t value, mask;
	size_t head = 0, tail = 0;

	while (head < length && head < 8 && !is_special(name[head]))
		head++;
	while (tail < length && tail < 8 && !is_special(name[length - 1 - tail]))
		tail++;
	pack(name, head, 0, &value, &mask);
	pattern.head = value;
	pattern.head_mask = mask;
	pack(name + length - tail, tail, 8 - tail, &value, &mask);
	pattern.tail = value;
	pattern.tail_mask = mask;
	pattern.length_min = head > tail ? head : tail;
	return pattern;
}
