/*
 * The machine's own limit: a loop of send() over the same sockets, and nothing else.
 *
 *   limit PORT   then on standard input `go FRAMES PER_SECOND SIZE`: so many rounds, each one frame
 *   of SIZE bytes of payload to every connection; the answer line is the CPU seconds it took.
 *
 * Accepts WebSocket handshakes (of clients that send the key of RFC 6455's example, as sink does).
 * Build: cc -O2 -o limit limit.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 20000
#define ANSWER                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

static int fds[CONNECTIONS], count;

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static uint64_t now_us(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void take_one(int listener) {
    static char request[4096];
    int fd = accept(listener, NULL, NULL);
    if (fd < 0 || count == CONNECTIONS) return;
    size_t have = 0;
    while (!memmem(request, have, "\r\n\r\n", 4)) {
        ssize_t got = recv(fd, request + have, sizeof request - have, 0);
        if (got <= 0) {
            close(fd);
            return;
        }
        have += got;
    }
    if (send(fd, ANSWER, strlen(ANSWER), MSG_NOSIGNAL) < 0) {
        close(fd);
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    fds[count++] = fd;
}

/* {"n":"00000001","d":"~<16 digits>~xxx~"} of exactly `size` bytes, behind the frame's header */
static size_t make(char *out, int size, unsigned n) {
    size_t at = 2;
    out[0] = (char)0x81;
    if (size < 126) out[1] = (char)size;
    else {
        out[1] = 126;
        out[2] = (char)(size >> 8);
        out[3] = (char)size;
        at = 4;
    }
    int head = sprintf(out + at, "{\"d\":\"~%016lu~", now_us(CLOCK_REALTIME));
    int tail = 18; /* ~","n":"00000001"} */
    memset(out + at + head, 'x', size - head - tail);
    sprintf(out + at + size - tail, "~\",\"n\":\"%08u\"}", n);
    return at + size;
}

static void go(unsigned rounds, unsigned per_second, int size) {
    static char frame[70000];
    static unsigned n;
    uint64_t start = now_us(CLOCK_MONOTONIC);
    double before = cpu();
    uint64_t sent = 0, lost = 0;
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t due = start + (uint64_t)round * 1000000 / per_second, now = now_us(CLOCK_MONOTONIC);
        if (due > now) usleep(due - now);
        size_t length = make(frame, size, ++n);
        for (int i = 0; i < count; i++) {
            while (send(fds[i], frame, length, MSG_NOSIGNAL) < 0) {
                if (errno != EAGAIN) {
                    lost++;
                    break;
                }
                struct pollfd wait = {.fd = fds[i], .events = POLLOUT};
                poll(&wait, 1, 1000);
            }
            sent++;
        }
    }
    printf("{\"cpu\":%.6f,\"sent\":%lu,\"lost\":%lu}\n", cpu() - before, sent, lost);
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "limit PORT\n");
        return 2;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("limit: listen");
        return 1;
    }
    puts("listening");
    fflush(stdout);
    struct pollfd waits[2] = {{.fd = listener, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    char line[128];
    while (poll(waits, 2, -1) >= 0) {
        if (waits[0].revents) take_one(listener);
        if (waits[1].revents) {
            unsigned rounds, per_second;
            int size;
            if (!fgets(line, sizeof line, stdin)) return 0;
            if (sscanf(line, "go %u %u %d", &rounds, &per_second, &size) == 3)
                go(rounds, per_second, size);
        }
    }
    return 1;
}
