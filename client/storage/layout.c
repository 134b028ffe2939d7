#include "client/storage/layout.h"

#include "shared/metainfo.h"

/* Of the content; what metainfo_parse() let pass cannot wrap. */
static uint64_t file_end(const struct metainfo_file *f)
{
	return f->offset + f->length;
}

/* The first file that ends after `offset`, or file_count.  Ends never go down
 * in the order of the files, empty ones included. */
static size_t first_ending_after(const struct metainfo *m, uint64_t offset)
{
	size_t low = 0;
	size_t high = m->file_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (file_end(&m->files[middle]) > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct layout_walk layout_walk(
	const struct metainfo *m, uint64_t offset, uint64_t len)
{
	return (struct layout_walk){
		.m = m,
		.file = first_ending_after(m, offset),
		.offset = offset,
		.left = len,
	};
}

/* The part that begins at w->offset, as if the range had no end. */
static struct layout_part part_here(const struct layout_walk *w)
{
	struct layout_part gap = {LAYOUT_NO_FILE, 0, UINT64_MAX};

	if (w->file == w->m->file_count)
		return gap;

	const struct metainfo_file *f = &w->m->files[w->file];
	if (f->offset > w->offset) {
		gap.len = f->offset - w->offset;
		return gap;
	}

	uint64_t in_file = w->offset - f->offset;
	if (f->pad)
		return (struct layout_part){
			LAYOUT_NO_FILE, 0, f->length - in_file};
	return (struct layout_part){w->file, in_file, f->length - in_file};
}

bool layout_next(struct layout_walk *w, struct layout_part *ret)
{
	if (w->left == 0)
		return false;

	while (w->file < w->m->file_count &&
		file_end(&w->m->files[w->file]) <= w->offset)
		w->file++;

	struct layout_part part = part_here(w);
	if (part.len > w->left)
		part.len = w->left;
	w->offset += part.len;
	w->left -= part.len;
	*ret = part;
	return true;
}

void layout_file_pieces(const struct metainfo *m, size_t file,
	uint32_t *ret_first, uint32_t *ret_end)
{
	const struct metainfo_file *f = &m->files[file];
	uint32_t first = (uint32_t)(f->offset / m->piece_length);
	uint32_t end = first;

	if (f->length > 0)
		end = (uint32_t)((file_end(f) - 1) / m->piece_length) + 1;
	*ret_first = first;
	*ret_end = end;
}
