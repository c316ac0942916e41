#include "path_glob.h"

#include <stddef.h>
#include <string.h>

/*
 * Matches one character against the set behind '['; *end is behind its ']'. A set that does not end
 * in its name is a plain '['.
 */
static bool set_matches(const char *set, char c, const char **end)
{
	bool inverted = *set == '!' || *set == '^';
	const char *p = set + inverted;
	bool found = false;
	bool first = true;

	for (; *p && *p != '/' && (first || *p != ']'); p++, first = false) {
		if (p[1] == '-' && p[2] && p[2] != ']' && p[2] != '/') {
			found |= (unsigned char)*p <= (unsigned char)c &&
				 (unsigned char)c <= (unsigned char)p[2];
			p += 2;
		} else {
			found |= *p == c;
		}
	}
	if (*p != ']') {
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

/*
 * Where to go on when what follows a star does not match: its rest against the path one byte
 * further on.
 */
struct retry {
	const char *glob;
	const char *path;
};

/* Moves *path to the next place where the rest of a star may begin. */
static bool next_place(struct retry *retry, const char **glob, const char **path)
{
	if (!retry->glob || !*retry->path)
		return false;
	*path = ++retry->path;
	*glob = retry->glob;
	return true;
}

/*
 * Only the last star of each kind is ever retried: what came before it matched as early as it
 * could, which leaves the star the most to take. So the time is bounded by the path's length,
 * squared, times the glob's, whatever a container calls its files.
 */
bool path_glob__matches(const char *glob, const char *path)
{
	struct retry star = { 0 }, deep = { 0 };

	while (*glob || *path) {
		if (!strncmp(glob, "/**/", 4) && *path == '/') {
			/*
			 * Its second slash is the next one, or this one when it is no directory at
			 * all.
			 */
			glob += 3;
			deep = (struct retry){ glob, path };
			star.glob = NULL;
		} else if (glob[0] == '*' && glob[1] == '*') {
			glob += 2;
			deep = (struct retry){ glob, path };
			star.glob = NULL;
		} else if (*glob == '*') {
			star = (struct retry){ ++glob, path };
		} else if (*glob && *path && element_matches(&glob, *path)) {
			path++;
		} else if (star.glob && *star.path != '/' && next_place(&star, &glob, &path)) {
			continue;
		} else {
			star.glob = NULL;
			if (!next_place(&deep, &glob, &path))
				return false;
		}
	}
	return true;
}

static bool is_special(char c)
{
	return c == '*' || c == '?' || c == '[' || c == ']' || c == '\\';
}

/*
 * `length` bytes at the low or the high end of a word, as the kernel half reads them from the name
 * (little endian).
 */
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

	/* A `**` may take slashes: then only what follows it is surely in the last name. */
	while (!strstr(name, "**") && head < length && head < 8 && !is_special(name[head]))
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
