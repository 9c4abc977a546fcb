// SPDX-License-Identifier: BSD-2-Clause
/* Special files. */
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "fscases.h"

static void make_nodes(void)
{
	umask(0);
	R(mknod("file", S_IFREG | 0640, 0));
	R(mknod("zero", 0600, 0));
	R(mknod("fifo", S_IFIFO | 0666, 0));
	R(mknod("sock", S_IFSOCK | 0755, 0));
	R(mknod("char", S_IFCHR | 0600, makedev(1, 3)));
	R(mknod("block", S_IFBLK | 0600, makedev(7, 260)));
	R(mknod("high", S_IFCHR | 0600, makedev(511, 1048575)));
	R(mknod("dir", S_IFDIR | 0755, 0));
	R(mknod("bad", 0xf000 | 0644, 0));
	R(mknod("fifo", S_IFIFO | 0666, 0));
	R(mkfifo("other", 0600));
	show("file");
	show("zero");
	show("fifo");
	show("sock");
	show("char");
	show("block");
	show("high");
	R(rename("char", "null"));
	R(link("null", "null2"));
	R(chmod("null2", 0666));
	show("null");
}

static void use_device(void)
{
	char buf[8];
	int fd;

	R(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	fd = FD(open("null", O_RDWR));
	R(write(fd, "text", 4));
	R(read(fd, buf, sizeof(buf)));
	close(fd);
	R(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	fd = FD(open("zero", O_RDONLY));
	R(read(fd, buf, sizeof(buf)));
	R(truncate("zero", 0));
}

static void fifo_writer(void *arg)
{
	int fd = open("fifo", O_WRONLY);

	dprintf(fd, "through the fifo");
	close(fd);
}

static void use_fifo(void)
{
	char buf[32] = "";
	int fd;
	pid_t pid;

	R(mkfifo("fifo", 0600));
	FD(open("fifo", O_WRONLY | O_NONBLOCK));
	fd = FD(open("fifo", O_RDONLY | O_NONBLOCK));
	R(read(fd, buf, sizeof(buf)));
	close(fd);
	pid = fork();
	if (pid == 0) {
		fifo_writer(NULL);
		_exit(0);
	}
	fd = FD(open("fifo", O_RDONLY));
	R(read(fd, buf, sizeof(buf)));
	say("text", "%s", buf);
	R(read(fd, buf, sizeof(buf)));
	R(waitpid(pid, NULL, 0) == pid);
	R(lseek(fd, 0, SEEK_SET));
	show("fifo");
}

static void use_socket(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "sock"};
	char buf[16] = "";
	int server = FD(socket(AF_UNIX, SOCK_STREAM, 0));
	int client = FD(socket(AF_UNIX, SOCK_STREAM, 0));
	int fd;

	R(bind(server, (struct sockaddr *)&name, sizeof(name)));
	show("sock");
	R(bind(client, (struct sockaddr *)&name, sizeof(name)));
	R(connect(client, (struct sockaddr *)&name, sizeof(name)));
	R(listen(server, 1));
	R(connect(client, (struct sockaddr *)&name, sizeof(name)));
	fd = FD(accept(server, NULL, NULL));
	R(write(client, "hello", 5));
	R(read(fd, buf, sizeof(buf)));
	say("text", "%s", buf);
	FD(open("sock", O_RDWR));
	R(rename("sock", "moved"));
	show("moved");
	R(unlink("moved"));
}

const struct fs_case node_cases[] = {{"make-nodes", make_nodes}, {"use-device", use_device},
	{"use-fifo", use_fifo}, {"use-socket", use_socket}, {NULL, NULL}};
