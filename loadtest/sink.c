/*
 * Many viewers in one process: WebSocket handshake, connect, subscribe, then read and check.
 *
 *   sink HOST PORT COUNT [--path P] [--tokens FILE] [--channels a,b] [--rate N] [--deflate] [--tls]
 *        [--sequence offset|n] [--pad N]
 *
 * Every message with a mark `~<microseconds>~<pad of x>~` is checked: the pad whole and of its
 * length, and its number ("offset":N or "n":"N") one more than the last of the same connection.
 * Equal frames are parsed once and compared byte by byte afterwards, so that checking costs less
 * than sending. Messages without a mark are counted, pings are answered.
 *
 * Commands on standard input, one answer line of JSON each: `stats`, `reset` (counters and
 * latencies), `quit`. `{"ready":N,...}` is printed once everyone is subscribed.
 *
 * Build: cc -O2 -o sink sink.c [-DWITH_TLS -lssl -lcrypto] [-DWITH_DEFLATE -lz]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif
#ifdef WITH_DEFLATE
#include <zlib.h>
#endif

#define READ_BYTES (1 << 20)
#define KNOWN 64              /* distinct frames remembered at a time */
#define BUCKETS 4000          /* of latency: 0.25 ms each up to one second, the last is "more" */
#define BUCKET_US 250
#define FRAME_MAX (8 << 20)

enum { CONNECTING, SHAKING, UPGRADING, SUBSCRIBING, READY, CLOSED };

struct conn {
    int fd;
    uint8_t state;
    uint16_t replies;
    size_t have;
    uint8_t *kept; /* an unfinished frame */
    uint64_t next; /* number of the next message; 0 = any */
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

struct frame { /* what one distinct frame says */
    uint8_t *bytes;
    size_t size, room;
    uint64_t first, last;
    uint32_t marked, other, replies, errors, pings;
    uint64_t sent[512]; /* microseconds, of the first 512 marks */
    uint32_t times;
};

static struct {
    const char *path, *channels, *host;
    int port, count, rate, deflate, tls, by_n, pad;
} opt = {"/connection/websocket", "", "", 0, 0, 2000, 0, 0, 0, 0};

static struct conn *conns;
static struct frame known[KNOWN];
static int known_at;
static char **tokens;
static int ready, closed_count, wanted_replies, epfd;
static uint64_t frames, messages, marked, bytes_in, gaps, damaged, refused, close_codes[5000];
static uint64_t latencies[BUCKETS + 1], latency_max;
static uint8_t *inbox;
#ifdef WITH_TLS
static SSL_CTX *ssl_context;
#endif

static uint64_t now_us(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what) {
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- what a frame says ---------------------------------------------------------------------- */

static uint64_t number_after(const char *line, const char *end, const char *key) {
    const char *at = memmem(line, end - line, key, strlen(key));
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void read_line(struct frame *f, const char *line, const char *end) {
    if (end - line == 2 && line[0] == '{' && line[1] == '}') {
        f->pings++;
        return;
    }
    if (end - line > 6 && !memcmp(line, "{\"id\":", 6)) {
        f->replies++;
        if (memmem(line, end - line, "\"error\":", 8)) {
            static int told;
            if (!told++) fprintf(stderr, "sink: refused: %.*s\n", (int)(end - line), line);
            f->errors++;
        }
        return;
    }
    const char *mark = memchr(line, '~', end - line);
    if (!mark) {
        f->other++;
        return;
    }
    f->marked++;
    if (f->times < 512) f->sent[f->times++] = strtoull(mark + 1, NULL, 10);
    const char *pad = memchr(mark + 1, '~', end - mark - 1);
    const char *stop = pad ? memchr(pad + 1, '~', end - pad - 1) : NULL;
    int whole = stop != NULL && stop - pad - 1 == opt.pad;
    for (const char *c = pad ? pad + 1 : end; whole && c < stop; c++) whole = *c == 'x';
    if (!whole) damaged++;
    uint64_t number = number_after(stop ? stop : line, end, opt.by_n ? "\"n\":\"" : "\"offset\":");
    if (f->marked == 1) f->first = number;
    else if (number != f->last + 1) gaps++;
    f->last = number;
}

static void parse(struct frame *f, const uint8_t *payload, size_t size) {
    const char *at = (const char *)payload, *end = at + size;
    while (at < end) {
        const char *stop = memchr(at, '\n', end - at);
        if (!stop) stop = end;
        if (stop > at) read_line(f, at, stop);
        at = stop + 1;
    }
}

static size_t inflated(const uint8_t *body, size_t size, uint8_t **out) {
#ifdef WITH_DEFLATE
    static uint8_t *buffer, *input;
    static z_stream z;
    if (!buffer) {
        buffer = malloc(FRAME_MAX);
        input = malloc(FRAME_MAX);
        if (inflateInit2(&z, -15) != Z_OK) die("inflateInit2");
    }
    memcpy(input, body, size);
    memcpy(input + size, "\0\0\xff\xff", 4);
    inflateReset(&z);
    z.next_in = input;
    z.avail_in = size + 4;
    z.next_out = buffer;
    z.avail_out = FRAME_MAX;
    if (inflate(&z, Z_SYNC_FLUSH) < 0) damaged++;
    *out = buffer;
    return FRAME_MAX - z.avail_out;
#else
    (void)body; (void)size; (void)out;
    fprintf(stderr, "sink: built without deflate\n");
    exit(1);
#endif
}

static struct frame *look_up(uint8_t first, const uint8_t *body, size_t size) {
    for (int i = 0; i < KNOWN; i++) {
        struct frame *f = &known[(known_at + KNOWN - i) % KNOWN];
        if (f->size == size && f->bytes && !memcmp(f->bytes, body, size)) return f;
    }
    known_at = (known_at + 1) % KNOWN;
    struct frame *f = &known[known_at];
    if (f->room < size + 1) {
        f->bytes = realloc(f->bytes, size + 1);
        f->room = size + 1;
    }
    memcpy(f->bytes, body, size);
    f->size = size;
    f->first = f->last = 0;
    f->marked = f->other = f->replies = f->errors = f->pings = f->times = 0;
    if (first & 0x40) {
        uint8_t *plain;
        size_t length = inflated(body, size, &plain);
        parse(f, plain, length);
    } else {
        f->bytes[size] = 0;
        parse(f, f->bytes, size);
    }
    return f;
}

/* --- one connection -------------------------------------------------------------------------- */

static void lose(struct conn *c) {
    if (c->state == CLOSED) return;
    if (c->state == READY) ready--;
    c->state = CLOSED;
    closed_count++;
#ifdef WITH_TLS
    if (c->ssl) SSL_free(c->ssl);
#endif
    close(c->fd);
    free(c->kept);
    c->kept = NULL;
}

static void put(struct conn *c, const void *data, size_t size) {
#ifdef WITH_TLS
    if (c->ssl) {
        if (SSL_write(c->ssl, data, size) <= 0) lose(c);
        return;
    }
#endif
    if (send(c->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) lose(c);
}

static void put_frame(struct conn *c, uint8_t opcode, const char *payload, size_t size) {
    uint8_t head[8];
    size_t at = 2;
    head[0] = 0x80 | opcode;
    if (size < 126) head[1] = 0x80 | size;
    else {
        head[1] = 0x80 | 126;
        head[2] = size >> 8;
        head[3] = size;
        at = 4;
    }
    memset(head + at, 0, 4); /* masked with the key zero */
    char *whole = malloc(size + 8);
    memcpy(whole, head, at + 4 > 8 ? 8 : at + 4);
    memcpy(whole + at + 4, payload, size);
    put(c, whole, at + 4 + size);
    free(whole);
}

static void upgrade(struct conn *c) {
    char request[512];
    int size = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        opt.path, opt.host, opt.port,
        opt.deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    c->state = UPGRADING;
    put(c, request, size);
}

static void subscribe(struct conn *c) {
    c->state = SUBSCRIBING;
    if (!tokens) {
        c->state = READY;
        ready++;
        return;
    }
    static char text[8192];
    size_t at = snprintf(text, sizeof text, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}",
                         tokens[c - conns]);
    int id = 2;
    for (const char *name = opt.channels; *name; id++) {
        const char *end = strchrnul(name, ',');
        at += snprintf(text + at, sizeof text - at, "\n{\"id\":%d,\"subscribe\":{\"channel\":\"%.*s\"}}",
                       id, (int)(end - name), name);
        name = *end ? end + 1 : end;
    }
    put_frame(c, 1, text, at);
}

static void take(struct conn *c, uint8_t first, const uint8_t *body, size_t size) {
    if ((first & 15) == 8) {
        int code = size >= 2 ? body[0] << 8 | body[1] : 1005;
        close_codes[code < 5000 ? code : 0]++;
        lose(c);
        return;
    }
    if ((first & 15) > 2) return;
    struct frame *f = look_up(first, body, size);
    frames++;
    messages += f->marked + f->other;
    marked += f->marked;
    if (f->pings) put_frame(c, 1, "{}", 2);
    if (f->replies) {
        refused += f->errors;
        c->replies += f->replies;
        if (c->state == SUBSCRIBING && c->replies >= wanted_replies && !f->errors) {
            c->state = READY;
            ready++;
        }
    }
    if (!f->marked) return;
    if (c->next && f->first != c->next) gaps++;
    c->next = f->last + 1;
    uint64_t now = now_us(CLOCK_REALTIME);
    for (uint32_t i = 0; i < f->times; i++) {
        uint64_t late = now > f->sent[i] ? now - f->sent[i] : 0;
        if (late > latency_max) latency_max = late;
        uint64_t bucket = late / BUCKET_US;
        latencies[bucket < BUCKETS ? bucket : BUCKETS]++;
    }
}

/* Frames in data; how much was used. */
static size_t take_frames(struct conn *c, const uint8_t *data, size_t have) {
    size_t at = 0;
    while (have - at >= 2 && c->state != CLOSED) {
        uint64_t size = data[at + 1] & 127;
        size_t head = 2;
        if (size == 126) {
            if (have - at < 4) break;
            size = data[at + 2] << 8 | data[at + 3];
            head = 4;
        } else if (size == 127) {
            if (have - at < 10) break;
            size = 0;
            for (int i = 2; i < 10; i++) size = size << 8 | data[at + i];
            head = 10;
        }
        if (have - at < head + size) break;
        take(c, data[at], data + at + head, size);
        at += head + size;
    }
    return at;
}

static size_t consume(struct conn *c, const uint8_t *data, size_t have) {
    size_t at = 0;
    if (c->state == UPGRADING) {
        const uint8_t *end = memmem(data, have, "\r\n\r\n", 4);
        if (!end) return 0;
        if (have < 12 || memcmp(data + 9, "101", 3)) {
            refused++;
            lose(c);
            return have;
        }
        at = end + 4 - data;
        subscribe(c);
    }
    return c->state == CLOSED ? have : at + take_frames(c, data + at, have - at);
}

static ssize_t pull(struct conn *c, uint8_t *into, size_t size) {
#ifdef WITH_TLS
    if (c->ssl) {
        int got = SSL_read(c->ssl, into, size);
        if (got > 0) return got;
        int why = SSL_get_error(c->ssl, got);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
            errno = EAGAIN;
            return -1;
        }
        return 0;
    }
#endif
    return recv(c->fd, into, size, 0);
}

static void readable(struct conn *c) {
#ifdef WITH_TLS
    if (c->state == SHAKING) {
        int done = SSL_connect(c->ssl);
        if (done == 1) upgrade(c);
        else {
            int why = SSL_get_error(c->ssl, done);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) lose(c);
        }
        return;
    }
#endif
    do {
        if (c->have) memcpy(inbox, c->kept, c->have);
        ssize_t got = pull(c, inbox + c->have, READ_BYTES);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            lose(c);
            return;
        }
        if (got < 0) return;
        bytes_in += got;
        size_t have = c->have + got, used = consume(c, inbox, have);
        if (c->state == CLOSED) return;
        c->have = have - used;
        if (c->have) {
            if (c->have > FRAME_MAX) die("a frame is too large");
            c->kept = realloc(c->kept, c->have);
            memcpy(c->kept, inbox + used, c->have);
        } else if (c->kept) {
            free(c->kept);
            c->kept = NULL;
        }
#ifdef WITH_TLS
    } while (c->ssl && SSL_pending(c->ssl) > 0);
#else
    } while (0);
#endif
}

static void begin(struct conn *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(opt.port)};
    inet_pton(AF_INET, opt.host, &address.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0) die("socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &event);
#ifdef WITH_TLS
    if (opt.tls) {
        c->ssl = SSL_new(ssl_context);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
        c->state = SHAKING;
        readable(c);
        return;
    }
#endif
    upgrade(c);
}

/* --- reports --------------------------------------------------------------------------------- */

static double quantile(double share) {
    uint64_t all = 0, upto = 0;
    for (int i = 0; i <= BUCKETS; i++) all += latencies[i];
    for (int i = 0; i <= BUCKETS; i++) {
        upto += latencies[i];
        if (upto && upto >= share * all)
            return i == BUCKETS ? latency_max / 1000.0 : (i + 1) * BUCKET_US / 1000.0;
    }
    return 0;
}

static void report(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec +
                 (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"ready\":%d,\"closed\":%d,\"frames\":%lu,\"messages\":%lu,\"marked\":%lu,"
           "\"bytes\":%lu,\"gaps\":%lu,\"damaged\":%lu,\"refused\":%lu,\"slow\":%lu,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f,\"cpu\":%.3f}\n",
           ready, closed_count, frames, messages, marked, bytes_in, gaps, damaged, refused,
           close_codes[3008], quantile(0.5), quantile(0.99), latency_max / 1000.0, cpu);
    fflush(stdout);
}

static void reset(void) {
    frames = messages = marked = bytes_in = 0;
    memset(latencies, 0, sizeof latencies);
    latency_max = 0;
}

static int command(void) {
    static char line[256];
    static size_t have;
    ssize_t got = read(0, line + have, sizeof line - have - 1);
    if (got <= 0) return 0;
    have += got;
    line[have] = 0;
    char *end;
    while ((end = strchr(line, '\n'))) {
        *end = 0;
        if (!strcmp(line, "quit")) return 0;
        if (!strcmp(line, "reset")) reset();
        report();
        have -= end + 1 - line;
        memmove(line, end + 1, have + 1);
    }
    return 1;
}

static void read_tokens(const char *name) {
    FILE *file = fopen(name, "r");
    if (!file) die(name);
    tokens = calloc(opt.count, sizeof *tokens);
    size_t room = 0;
    for (int i = 0; i < opt.count; i++) {
        ssize_t size = getline(&tokens[i], &room, file);
        if (size < 0) die("too few tokens");
        tokens[i][strcspn(tokens[i], "\n")] = 0;
        room = 0;
    }
    fclose(file);
}

static const char *tokens_file;

static void read_options(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "sink HOST PORT COUNT [options]; see sink.c\n");
        exit(2);
    }
    opt.host = argv[1];
    opt.port = atoi(argv[2]);
    opt.count = atoi(argv[3]);
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], "--path")) opt.path = argv[++i];
        else if (!strcmp(argv[i], "--tokens")) tokens_file = argv[++i];
        else if (!strcmp(argv[i], "--channels")) opt.channels = argv[++i];
        else if (!strcmp(argv[i], "--rate")) opt.rate = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--pad")) opt.pad = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--sequence")) opt.by_n = !strcmp(argv[++i], "n");
        else if (!strcmp(argv[i], "--deflate")) opt.deflate = 1;
        else if (!strcmp(argv[i], "--tls")) opt.tls = 1;
        else {
            fprintf(stderr, "sink: unknown option %s\n", argv[i]);
            exit(2);
        }
    }
    wanted_replies = 1;
    for (const char *c = opt.channels; *c; c++) wanted_replies += c == opt.channels || *c == ',';
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    if (tokens_file) read_tokens(tokens_file);
#ifdef WITH_TLS
    if (opt.tls) ssl_context = SSL_CTX_new(TLS_client_method()); /* a load test trusts anybody */
#else
    if (opt.tls) {
        fprintf(stderr, "sink: built without TLS\n");
        return 1;
    }
#endif
    inbox = malloc(READ_BYTES + FRAME_MAX + 16);
    conns = calloc(opt.count, sizeof *conns);
    epfd = epoll_create1(0);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    int listens = epoll_ctl(epfd, EPOLL_CTL_ADD, 0, &input) == 0;
    uint64_t started = now_us(CLOCK_MONOTONIC);
    int begun = 0, told = 0;
    struct epoll_event events[512];
    for (;;) {
        uint64_t now = now_us(CLOCK_MONOTONIC);
        uint64_t due = opt.rate ? (now - started) * opt.rate / 1000000 + 1 : (uint64_t)opt.count;
        for (int n = 0; begun < opt.count && (uint64_t)begun < due && n < 64; n++) begin(&conns[begun++]);
        int count = epoll_wait(epfd, events, 512, begun < opt.count ? 1 : 1000);
        for (int i = 0; i < count; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) {
                if (!command()) return 0;
            } else if (c->state != CLOSED) readable(c);
        }
        if (!told && begun == opt.count && ready + closed_count + (int)refused >= opt.count) {
            told = 1;
            report();
            if (!listens) return 0;
        }
    }
}
