// SPDX-License-Identifier: BSD-2-Clause
//
// What is measured: causewayd itself, the servers that were named, the peers that are installed,
// and plain system calls.

#include "bench.h"

#include "../vm/vm.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OURS "causewayd"
#define PLAIN "system-calls"
#define NAME_MAX_BYTES 24
#define PEERS 2

// Words are kept with their placeholders; what is no placeholder has its '%' twice.
static void add_literal(struct words *command, const char *word)
{
	AUTO_FREE char *twice = doubled(word, '%');

	words_add(command, twice);
}

static char *expand(const char *word, const char *dir, const char *socket)
{
	char *out = format("%s", "");

	while (*word) {
		size_t plain = strcspn(word, "%");
		const char *with = "%";
		char *longer;

		if (word[plain] == '%' && word[plain + 1] != '%')
			with = word[plain + 1] == 'd' ? dir : socket;
		longer = format("%s%.*s%s", out, (int)plain, word, word[plain] ? with : "");
		free(out);
		out = longer;
		word += plain + (word[plain] ? 2 : 0);
	}
	return out;
}

// Takes one word off the text, as a shell would: quotes and backslashes, nothing else. NULL where a
// quote does not end. `word` has room for all of the text.
static const char *take_word(const char *text, char *word)
{
	char quote = 0;

	for (; *text && (quote || !isspace((unsigned char)*text)); text++) {
		if (*text == quote)
			quote = 0;
		else if (!quote && (*text == '\'' || *text == '"'))
			quote = *text;
		else if (*text == '\\' && quote != '\'' && text[1])
			*word++ = *++text;
		else
			*word++ = *text;
	}
	*word = 0;
	return quote ? NULL : text;
}

static int split(struct words *command, const char *name, const char *text)
{
	AUTO_FREE char *word = format("%s", text);

	for (text += strspn(text, " \t\n"); *text; text += strspn(text, " \t\n")) {
		text = take_word(text, word);
		if (!text) {
			say("bench: --against %s: a quote has no end", name);
			return -1;
		}
		words_add(command, word);
	}
	return 0;
}

static int check_placeholders(const char *name, const struct words *command)
{
	bool dir = false, socket = false;

	for (unsigned int i = 0; i < command->n; i++) {
		for (const char *p = strchr(command->v[i], '%'); p; p = strchr(p + 2, '%')) {
			if (!p[1] || !strchr("ds%", p[1])) {
				say("bench: --against %s: '%.2s' is none of %%d (the directory), "
				    "%%s (the socket), %%%%",
					name, p);
				return -1;
			}
			dir = dir || p[1] == 'd';
			socket = socket || p[1] == 's';
		}
	}
	if (!dir || !socket) {
		say("bench: --against %s: the command has no %s", name,
			dir ? "%s, where the socket's path goes"
			    : "%d, where the directory's path goes");
		return -1;
	}
	return 0;
}

// It becomes a file's name and a picture's text.
static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && (!i || !strchr("-._+", text[i])))
			return false;
	return len <= NAME_MAX_BYTES;
}

static int add_against(struct target *t, const struct target *before, const char *text)
{
	const char *equal = strchr(text, '=');
	size_t len = equal ? (size_t)(equal - text) : 0;

	if (!len || !equal[1]) {
		say("bench: --against needs NAME=COMMAND, not '%s'", text);
		return -1;
	}
	if (!is_name(text, len)) {
		say("bench: --against: '%.*s' cannot be a name: 1 to %d letters, digits and -._+, "
		    "first a letter or digit",
			(int)len, text, NAME_MAX_BYTES);
		return -1;
	}
	snprintf(t->name, sizeof(t->name), "%.*s", (int)len, text);
	for (const struct target *other = before; other < t; other++)
		if (!strcmp(other->name, t->name) || !strcmp(t->name, PLAIN) ||
			!strcmp(t->name, NINEP) || !strncmp(t->name, MODULE, strlen(MODULE))) {
			say("bench: --against: the name '%s' is taken", t->name);
			return -1;
		}
	return split(&t->command, t->name, equal + 1) || check_placeholders(t->name, &t->command)
		       ? -1
		       : 0;
}

int target_ours(struct target *t, const struct bench_options *o)
{
	static const char *const fixed[] = {"--log-level", "warn", "--xattr"};
	AUTO_FREE char *path = find_causewayd();

	if (!vm_in_path(path)) {
		say("bench: there is no causewayd: %s cannot be run", path);
		return -1;
	}
	add_literal(&t->command, path);
	words_add(&t->command, "--shared-dir=%d");
	words_add(&t->command, "--socket-path=%s");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		words_add(&t->command, fixed[i]);
	for (unsigned int i = 0; i < o->daemon_options.n; i++)
		add_literal(&t->command, o->daemon_options.v[i]);
	return 0;
}

void target_tells(struct target *t)
{
	words_add(&t->command, "--control-path=%s.control");
	t->tells = true;
}

static void find_control(struct target *t, const char *socket)
{
	if (t->tells)
		snprintf(t->control, sizeof(t->control), "%s.control", socket);
}

// The two daemons called virtiofsd: what --version says of each, and how each is run so that it
// does the same as causewayd.
static const struct peer {
	const char *name, *mark;
	const char *options[8];
} peers[PEERS] = {
	{"virtiofsd-c", "FUSE kernel interface",
		{"--socket-path=%s", "-o", "source=%d,cache=auto,xattr", "-o", "sandbox=chroot",
			"-o", "log_level=warn"}},
	{"virtiofsd", "virtiofsd",
		{"--shared-dir=%d", "--socket-path=%s", "--cache=auto", "--xattr",
			"--log-level=warn"}},
};

static const char *const places[] = {"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd",
	"/usr/lib/qemu/virtiofsd", "/usr/libexec/qemu/virtiofsd"};

static const struct peer *peer_at(const char *path)
{
	char *argv[] = {(char *)path, (char *)"--version", NULL};
	AUTO_FREE char *text = vm_in_path(path) ? vm_output_of(argv, 4096, NULL) : NULL;

	for (size_t i = 0; text && i < PEERS; i++)
		if (strstr(text, peers[i].mark))
			return &peers[i];
	return NULL;
}

static void add_peer(struct target *targets, int *n, const char *path)
{
	const struct peer *peer = path && *path ? peer_at(path) : NULL;
	struct target *t = &targets[*n];

	for (int i = 0; peer && i < *n; i++)
		if (!strcmp(targets[i].name, peer->name))
			peer = NULL;
	if (!peer)
		return;
	snprintf(t->name, sizeof(t->name), "%s", peer->name);
	add_literal(&t->command, path);
	for (size_t i = 0; i < sizeof(peer->options) / sizeof(char *) && peer->options[i]; i++)
		words_add(&t->command, peer->options[i]);
	++*n;
}

static void add_peers(struct target *targets, int *n)
{
	int before = *n;

	add_peer(targets, n, getenv("CAUSEWAY_VIRTIOFSD"));
	add_peer(targets, n, "virtiofsd");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		add_peer(targets, n, places[i]);
	if (*n == before)
		say("bench: --peers: no virtiofsd is installed (CAUSEWAY_VIRTIOFSD may name one)");
}

static int choose_servers(const struct bench_options *o, struct target *targets)
{
	int n = 0;

	snprintf(targets[n].name, sizeof(targets[n].name), OURS);
	if (target_ours(&targets[n], o))
		return -1;
	n++;
	for (unsigned int i = 0; i < o->against.n; i++, n++)
		if (add_against(&targets[n], targets, o->against.v[i]))
			return -1;
	if (o->peers)
		add_peers(targets, &n);
	if (o->module) {
		int more = module_choose(o, &targets[n]);

		if (more < 0)
			return -1;
		n += more;
	}
	if (!o->guest) {
		snprintf(targets[n].name, sizeof(targets[n].name), PLAIN);
		targets[n].plain = targets[n].up = true;
		n++;
	}
	return n;
}

int targets_choose(const struct bench_options *o, struct target *targets)
{
	int n, ninep = 0;

	for (int i = 0; i < BENCH_TARGETS_MAX; i++)
		targets[i] = (struct target){.server.pidfd = -1};
	n = o->dax	  ? dax_choose(o, targets)
	    : o->shared	  ? shared_choose(o, targets)
	    : o->ablation ? ablation_choose(o, targets)
			  : choose_servers(o, targets);
	if (n > 0 && o->guest)
		ninep = ninep_possible(o);
	if (ninep > 0) {
		snprintf(targets[n].name, sizeof(targets[n].name), NINEP);
		targets[n++].ninep = true;
	}
	return ninep < 0 ? -1 : n;
}

void target_fail(struct target *t, const char *why)
{
	snprintf(t->why, sizeof(t->why), "%s", why);
	t->up = false;
	if (!bench_stop)
		say("bench: %s: %s", t->name, t->why);
}

static void expand_all(
	const struct target *t, struct words *argv, const char *dir, const char *socket)
{
	for (unsigned int i = 0; i < t->command.n; i++) {
		AUTO_FREE char *word = expand(t->command.v[i], dir, socket);

		words_add(argv, word);
	}
}

void target_listen(struct target *t, const struct ground *g, const char *socket)
{
	AUTO_WORDS struct words argv = {0};
	char error[sizeof(t->why)];

	find_control(t, socket);
	expand_all(t, &argv, g->path, socket);
	t->up = !server_listen(&t->server, argv.v, socket, error, sizeof(error));
	if (t->up)
		t->memory = server_memory(&t->server);
	else
		target_fail(t, error);
}

static int connect_to(struct target *t, const struct ground *g, int sock,
	const struct session_room *room, char *seen, size_t size)
{
	int ret;

	if (t->way)
		return dax_connect(t, sock, seen, size);
	if (t->shared)
		return shared_connect(t, sock, seen, size);
	ret = session_open(&t->session, sock, room);
	if (ret)
		snprintf(seen, size, "%s", t->session.wire.lost);
	t->session.ground = g;
	return ret;
}

void target_start(struct target *t, const struct ground *g, const char *socket_dir,
	const struct session_room *room)
{
	AUTO_FREE char *socket = format("%s/%s", socket_dir, t->name);
	AUTO_WORDS struct words argv = {0};
	char error[sizeof(t->why)], seen[sizeof(t->why) / 2];
	int sock;

	find_control(t, socket);
	expand_all(t, &argv, g->path, socket);
	sock = server_start(&t->server, argv.v, socket, error, sizeof(error));
	if (sock < 0) {
		target_fail(t, error);
	} else if (connect_to(t, g, sock, room, seen, sizeof(seen))) {
		server_explain(&t->server, seen, error, sizeof(error));
		target_fail(t, error);
		target_end(t);
	} else {
		t->up = true;
		t->open = !t->client;
		t->memory = server_memory(&t->server);
	}
}

void target_lost(struct target *t)
{
	char why[sizeof(t->why)];

	server_explain(&t->server, t->lost, why, sizeof(why));
	target_fail(t, why);
	target_end(t);
}

// A connection that ends is something that some servers write about, so they end first.
void target_end(struct target *t)
{
	server_end(&t->server);
	if (t->open)
		session_close(&t->session);
	t->open = false;
	client_disconnect(t);
}

void targets_free(struct target *targets)
{
	for (int i = 0; i < BENCH_TARGETS_MAX; i++)
		words_free(&targets[i].command);
}
