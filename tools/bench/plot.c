// SPDX-License-Identifier: BSD-2-Clause
//
// The report as a picture: for each operation a line on which each server has a point at its time
// in parts of the first server's, with a bar over the middle half of the rounds. The scale is
// logarithmic, so that half and double are equally far from the line at 1. Each way of measuring
// has a panel: clients that sleep and those that poll, or cold caches and warm ones.

#include "bench.h"

#include <math.h>
#include <string.h>

#define LABELS 170 // the width for the operations' names
#define PANEL 380
#define GAP 30
#define TOP 76
#define ROW 17
#define BOTTOM 34
// Of a name in the legend, with its point and what is between two.
#define NAME_WIDTH(name) (30 + 7 * (unsigned int)strlen(name))
#define SCALE_MIN 0.5
#define SCALE_MAX 2.0

// Told apart also by those who do not see all colours (Okabe and Ito); the first is the base.
static const char *const colours[] = {"#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7",
	"#e69f00", "#56b4e9", "#999999", "#7f4f24", "#5a189a", "#f0e442", "#1b4332", "#9d0208",
	"#4a6fa5", "#b5838d"};
_Static_assert(sizeof(colours) / sizeof(colours[0]) >= BENCH_TARGETS_MAX, "a colour for each");

struct plot {
	const struct bench *b;
	FILE *f;
	double low, high; // of the scale
	unsigned int rows, panels;
};

// What the scale has to hold: the medians, rounded outwards to powers of two.
static void find_scale(struct plot *p)
{
	p->low = SCALE_MIN;
	p->high = SCALE_MAX;
	for (unsigned int cell = 0; cell < p->b->ncells; cell++)
		for (unsigned int t = 1; t < p->b->ntargets; t++) {
			double ratio = result_ratio(p->b, cell, t).median;

			if (ratio <= 0)
				continue;
			p->low = fmin(p->low, exp2(floor(log2(ratio))));
			p->high = fmax(p->high, exp2(ceil(log2(ratio))));
		}
}

static double x_of(const struct plot *p, double ratio)
{
	ratio = fmin(fmax(ratio, p->low), p->high);
	return PANEL * log2(ratio / p->low) / log2(p->high / p->low);
}

static unsigned int height_of(const struct plot *p)
{
	return TOP + p->rows * ROW + BOTTOM;
}

static unsigned int width_of(const struct plot *p)
{
	unsigned int panels = LABELS + p->panels * (PANEL + GAP), legend = 0;

	for (unsigned int t = 1; t < p->b->ntargets; t++)
		legend += NAME_WIDTH(p->b->targets[t].name);
	return legend > panels ? legend : panels;
}

static void put_head(const struct plot *p)
{
	const unsigned int width = width_of(p);

	fprintf(p->f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"viewBox=\"0 0 %u %u\" font-family=\"sans-serif\" font-size=\"11\">\n"
		"<title>causeway bench: time in parts of that of %s</title>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		width, height_of(p), width, height_of(p), p->b->targets[0].name);
	fprintf(p->f,
		"<text x=\"10\" y=\"20\" font-size=\"14\" font-weight=\"bold\">Time of an "
		"operation, in parts of what %s takes</text>\n",
		p->b->targets[0].name);
}

static void put_legend(const struct plot *p)
{
	unsigned int x = 14;

	for (unsigned int t = 1; t < p->b->ntargets; t++) {
		const char *name = p->b->targets[t].name;

		fprintf(p->f,
			"<circle cx=\"%u\" cy=\"36\" r=\"4\" fill=\"%s\"/><text x=\"%u\" "
			"y=\"40\">%s</text>\n",
			x, colours[t], x + 8, name);
		x += NAME_WIDTH(name);
	}
}

// Both ways of an operation have one row.
static bool is_new_row(const struct bench *b, unsigned int cell)
{
	return cell == 0 || strcmp(b->cells[cell].name, b->cells[cell - 1].name) != 0;
}

static void put_labels(const struct plot *p)
{
	unsigned int row = 0;

	for (unsigned int cell = 0; cell < p->b->ncells; cell++) {
		unsigned int y = TOP + row * ROW;

		if (!is_new_row(p->b, cell))
			continue;
		if (row++ % 2 == 0)
			fprintf(p->f,
				"<rect x=\"0\" y=\"%u\" width=\"100%%\" height=\"%d\" "
				"fill=\"#f3f3f3\"/>\n",
				y, ROW);
		fprintf(p->f, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">%s</text>\n", LABELS - 8,
			y + 12, p->b->cells[cell].name);
	}
}

// Lines at the powers of two, or of as many as there is room for.
static void put_axis(const struct plot *p, double left, const char *title)
{
	int from = (int)lrint(log2(p->low)), to = (int)lrint(log2(p->high));
	int step = (to - from + 9) / 10;
	unsigned int bottom = TOP + p->rows * ROW;

	fprintf(p->f, "<text x=\"%.1f\" y=\"%d\" font-weight=\"bold\">%s</text>\n", left, TOP - 18,
		title);
	for (int i = from; i <= to; i++) {
		double x = left + x_of(p, exp2(i));

		if (i % step)
			continue;
		fprintf(p->f,
			"<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%u\" stroke=\"%s\"/>\n"
			"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" font-size=\"9\">",
			x, TOP, x, bottom, i ? "#cccccc" : "#000000", x, TOP - 4);
		fprintf(p->f, i < 0 ? "1/%.0f" : "%.0f", exp2(i < 0 ? -i : i));
		fprintf(p->f, "</text>\n");
	}
	fprintf(p->f,
		"<text x=\"%.1f\" y=\"%u\" fill=\"#555555\">← faster than %s</text>\n"
		"<text x=\"%.1f\" y=\"%u\" fill=\"#555555\" text-anchor=\"end\">slower →</text>\n",
		left, bottom + 18, p->b->targets[0].name, left + PANEL, bottom + 18);
}

static void put_point(
	const struct plot *p, double left, double y, unsigned int target, struct spread ratio)
{
	fprintf(p->f,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
		"stroke-width=\"2\" stroke-opacity=\"0.5\"/>"
		"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"/>\n",
		left + x_of(p, ratio.low), y, left + x_of(p, ratio.high), y, colours[target],
		left + x_of(p, ratio.median), y, colours[target]);
}

static void put_panel(const struct plot *p, double left, unsigned int way)
{
	unsigned int rows = 0;

	put_axis(p, left, bench_ways(p->b->o)->titles[way]);
	for (unsigned int cell = 0; cell < p->b->ncells; cell++) {
		rows += is_new_row(p->b, cell);
		if (p->b->cells[cell].way != way)
			continue;
		for (unsigned int t = 1; t < p->b->ntargets; t++) {
			struct spread ratio = result_ratio(p->b, cell, t);

			if (ratio.median > 0)
				put_point(p, left, TOP + rows * ROW - ROW / 2.0, t, ratio);
		}
	}
}

void report_plot(const struct bench *b, FILE *f)
{
	struct plot p = {.b = b, .f = f};
	double left = LABELS;

	for (unsigned int way = 0; way < 2; way++)
		p.panels += b->o->ways[way];
	for (unsigned int cell = 0; cell < b->ncells; cell++)
		p.rows += is_new_row(b, cell);
	find_scale(&p);
	put_head(&p);
	put_legend(&p);
	put_labels(&p);
	for (unsigned int way = 0; way < 2; way++) {
		if (!b->o->ways[way])
			continue;
		put_panel(&p, left, way);
		left += PANEL + GAP;
	}
	fprintf(f, "</svg>\n");
}
