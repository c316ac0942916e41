/*
 * Every difference between kernels that the programs have to know, each with the change that made
 * it. A flavour (struct x___y) is matched by the name before the three underscores.
 */
#ifndef LOGTAP_KERNEL_FIXES_BPF_H
#define LOGTAP_KERNEL_FIXES_BPF_H

/*
 * 5.14, 8cd54c1c8480 ("iov_iter: separate direction from flavour"): `type`, a bit mask with the
 * direction, became iter_type.
 */
struct iov_iter___type {
	unsigned int type;
} __attribute__((preserve_access_index));

struct iov_iter___iter_type {
	u8 iter_type;
} __attribute__((preserve_access_index));

/*
 * 6.4, de4f5fed3f23 ("iov_iter: add iter_iovec() helper") and its series: iov was renamed to __iov.
 */
struct iov_iter___iov {
	const struct iovec *iov;
} __attribute__((preserve_access_index));

struct iov_iter___renamed_iov {
	const struct iovec *__iov;
} __attribute__((preserve_access_index));

/*
 * 6.0, fcb14cb1bdac ("new iov_iter flavour - ITER_UBUF"). Its number moved later: it is read from
 * the running kernel.
 */
struct iov_iter___ubuf {
	void *ubuf;
} __attribute__((preserve_access_index));

enum iter_type___any { ITER_IOVEC___any, ITER_UBUF___any };

enum iter_kind { ITER_KIND_OTHER, ITER_KIND_UBUF, ITER_KIND_IOVEC };

static __always_inline enum iter_kind iter_kind(struct iov_iter *iter)
{
	unsigned int type;

	if (bpf_core_field_exists(struct iov_iter___iter_type, iter_type))
		type = ((struct iov_iter___iter_type *)iter)->iter_type;
	else
		type = ((struct iov_iter___type *)iter)->type & ~1U;

	if (bpf_core_enum_value_exists(enum iter_type___any, ITER_UBUF___any) &&
	    type == bpf_core_enum_value(enum iter_type___any, ITER_UBUF___any))
		return ITER_KIND_UBUF;
	if (type == bpf_core_enum_value(enum iter_type___any, ITER_IOVEC___any))
		return ITER_KIND_IOVEC;
	return ITER_KIND_OTHER;
}

static __always_inline u64 iter_ubuf(struct iov_iter *iter)
{
	u64 ubuf = (u64)((struct iov_iter___ubuf *)iter)->ubuf;

	/*
	 * The union's first member is a pointer, with which 6.1's verifier would not let us
	 * compute. Negated, it is a number.
	 */
	asm volatile("%0 = -%0\n\t%0 = -%0" : "+r"(ubuf));
	return ubuf;
}

static __always_inline const struct iovec *iter_iov(struct iov_iter *iter)
{
	if (bpf_core_field_exists(struct iov_iter___renamed_iov, __iov))
		return BPF_CORE_READ((struct iov_iter___renamed_iov *)iter, __iov);
	return BPF_CORE_READ((struct iov_iter___iov *)iter, iov);
}

/*
 * 6.15, 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent."): parent was renamed to
 * __parent.
 */
struct kernfs_node___parent {
	struct kernfs_node *parent;
} __attribute__((preserve_access_index));

struct kernfs_node___renamed_parent {
	struct kernfs_node *__parent;
} __attribute__((preserve_access_index));

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(struct kernfs_node___renamed_parent, __parent))
		return BPF_CORE_READ((struct kernfs_node___renamed_parent *)node, __parent);
	return BPF_CORE_READ((struct kernfs_node___parent *)node, parent);
}

#endif
